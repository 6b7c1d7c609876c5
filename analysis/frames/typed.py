"""Dataframes with the dtypes of their columns, to and from Parquet and CSV without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from analysis import spreadsheet
from analysis.frames.columns import COLUMNS
from analysis.frames.metric_columns import TIMESTAMP
from tivae.config import RENAMED
from tivae.io import files


def frame_of(values: Mapping[str, list[Any]], rows: int, name: str) -> pd.DataFrame:
    """The frame `name` (trials or epochs): its columns with their dtypes, then any that are not listed.

    values: plain values by column, each list of length `rows`; a column that is missing is missing in every row.
    """
    dtypes = {column.name: column.dtype for column in COLUMNS[name]}
    dtypes |= {other: _dtype_of(values[other]) for other in sorted(values.keys() - dtypes.keys())}
    nothing = [None] * rows
    return pd.DataFrame({column: _array(values.get(column, nothing), dtype) for column, dtype in dtypes.items()})


def empty_frame(name: str) -> pd.DataFrame:
    """The frame `name` with its columns and no row."""
    return frame_of({}, 0, name)


def _array(values: list[Any], dtype: str) -> Any:
    if dtype == "float64":
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if dtype == TIMESTAMP:
        return pd.array([_moment(value) for value in values], dtype=dtype)
    if dtype == "string":
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    return pd.array(values, dtype=dtype)


def _moment(value: Any) -> Any:
    """A time that ISO 8601 writes, as UTC where it names no zone; what is none is missing."""
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # The range of pandas.
        return pd.Timestamp(moment.astimezone(UTC)) if 1970 <= moment.year < 2200 else pd.NaT
    except (TypeError, ValueError, OverflowError):
        return pd.NaT


def _dtype_of(values: list[Any]) -> str:
    """The dtype of a column that is not listed: of numbers, of truths, or else of texts."""
    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return "boolean"
    numbers = types and types <= {int, float} and all(abs(v) < 2**1000 for v in values if v is not None)
    return "float64" if numbers else "string"


def write_frames(trials: pd.DataFrame, epochs: pd.DataFrame, folder: Path) -> None:
    """Writes trials.parquet, trials.csv, epochs.parquet, epochs.csv; each is replaced whole or not at all."""
    for name, frame in (("trials", trials), ("epochs", epochs)):
        with files.replacing(folder / f"{name}.parquet") as file:
            frame.to_parquet(file, index=False)
        with files.replacing(folder / f"{name}.csv") as file:
            spreadsheet.guarded(frame).to_csv(file, index=False)


def read_frame(folder: Path, name: str) -> pd.DataFrame:
    """`name`.parquet of `folder`, or else `name`.csv, with its columns' dtypes; empty where it has neither.

    Raises `ValueError` naming the file that cannot be read, or the column whose values are of another type.
    """
    for suffix, read in ((".parquet", pd.read_parquet), (".csv", _read_csv)):
        path = folder / f"{name}{suffix}"
        if path.exists():
            return _typed(_readable(read, path), name, path)
    return empty_frame(name)


def _readable(read: Callable[[BinaryIO], pd.DataFrame], path: Path) -> pd.DataFrame:
    try:
        with files.opened(path, files.MAXIMUM_TENSOR_BYTES) as file:
            return read(file)
    # pyarrow and pandas raise many kinds of error for a damaged file; all mean the same here.
    except Exception as problem:
        line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ValueError(f"{path} cannot be read ({line}); copy it again") from problem


def _read_csv(file: BinaryIO) -> pd.DataFrame:
    # Everything as text: only the column's own dtype decides what "None", "007" or "1e5" means.
    return spreadsheet.unguarded(pd.read_csv(file, dtype="string", keep_default_na=False, na_values=[""]))


def _typed(frame: pd.DataFrame, name: str, path: Path) -> pd.DataFrame:
    frame = frame.rename(columns={old: new for old, new in RENAMED.items() if new not in frame.columns})
    if "key" not in frame.columns or frame["key"].isna().any():
        raise ValueError(f"{path} has rows without a `key`; it must be a `{name}` frame")
    dtypes: dict[str, str] = {column.name: column.dtype for column in COLUMNS[name]}
    dtypes |= {other: _guess(frame[other]) for other in frame.columns if other not in dtypes}
    typed = {}
    for column, dtype in dtypes.items():
        if column not in frame.columns:
            typed[column] = pd.Series(_array([None] * len(frame), dtype), index=frame.index)
            continue
        try:
            typed[column] = _cast(frame[column], dtype)
        except (ValueError, TypeError, OverflowError) as problem:
            raise ValueError(f"{path}, column `{column}`: its values must be {dtype} ({problem})") from problem
    return pd.DataFrame(typed)


def _cast(values: pd.Series, dtype: str) -> pd.Series:
    if not pd.api.types.is_string_dtype(values.dtype):
        return values.astype(dtype)
    parsed = [None if pd.isna(value) else _PARSERS[dtype](value) for value in values]
    return pd.Series(_array(parsed, dtype), index=values.index)


def _whole(text: str) -> int:
    """Also of "10.0", as spreadsheets and plain `read_csv` leave whole numbers in a column with gaps."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)


def _truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(f"{text!r} is neither True nor False")
    return text == "True"


_PARSERS: dict[str, Callable[[str], Any]] = {
    "float64": float,
    "Int64": _whole,
    "boolean": _truth,
    "string": str,
    TIMESTAMP: str,
}


def _guess(values: pd.Series) -> str:
    """The dtype of a column that is not listed."""
    present = values.dropna()
    if not pd.api.types.is_string_dtype(values.dtype):
        return "boolean" if pd.api.types.is_bool_dtype(values.dtype) else "float64"
    if len(present) and present.isin(["True", "False"]).all():
        return "boolean"
    numeric = pd.to_numeric(present, errors="coerce")
    return "float64" if len(present) and numeric.notna().all() else "string"
