"""Search spaces written and read in one go."""

from pathlib import Path
from typing import Any

from study.space import search_space


def read_text(folder: Path, text: str | bytes, **options: Any) -> search_space.SearchSpace:
    path = folder / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return search_space.read(path, **options)
