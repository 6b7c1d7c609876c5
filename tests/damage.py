"""What a crash or a bad disk leaves of a file."""

from pathlib import Path


def cut(file: Path) -> None:
    """Leaves its first half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    """Leaves no byte."""
    file.write_bytes(b"")


def flip(file: Path) -> None:
    """Changes one bit in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
