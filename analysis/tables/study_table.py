"""A table of a study: its numbers, and the same as texts to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import formats
from analysis.formats import Table
from tivae.io.files import replacing


@dataclass(frozen=True, eq=False)
class StudyTable:
    """frame: the numbers, in full precision; table: the same as texts, to print."""

    name: str
    frame: pd.DataFrame
    table: Table

    def write(self, folder: Path) -> Mapping[str, Path]:
        """Writes `<name>.csv` (the frame), `.md` and `.tex` (the table) into `folder`; each is replaced whole."""
        contents = {"csv": formats.csv(self.frame), "md": self.table.markdown(), "tex": self.table.latex()}
        paths = {suffix: folder / f"{self.name}.{suffix}" for suffix in contents}
        for suffix, content in contents.items():
            with replacing(paths[suffix]) as file:
                file.write(content.encode())
        return paths
