"""Escaping of texts in CSV files: spreadsheets run those that begin like a formula, and results may be a stranger's."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with ' before each text that a spreadsheet would run, names of columns included; numbers stay."""
    return _mapped(frame, lambda text: f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text)


def unguarded(frame: pd.DataFrame) -> pd.DataFrame:
    """The inverse of `guarded`."""
    return _mapped(frame, lambda text: text[1:] if _GUARDED.match(text) else text)


def _mapped(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """`frame` with `change` made to its texts and the names of its columns."""
    mapped = frame.copy()
    for position, dtype in enumerate(frame.dtypes):
        if pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype):
            values = frame.iloc[:, position]
            new = [change(value) if isinstance(value, str) else value for value in values]
            mapped.isetitem(position, pd.Series(new, index=values.index, dtype=dtype))
    mapped.columns = pd.Index([change(str(name)) for name in frame.columns])
    return mapped


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
