"""What a crash or a bad disk leaves of a file, and whether a folder has changed."""

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


def contents(folder: Path) -> dict[Path, bytes]:
    """The bytes of each file in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
