"""Trial records on disk -> plain rows. A record that cannot be read becomes a row with status "damaged"."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.frames.columns import COLUMNS, CONFIG, EPOCH_COLUMNS, PROVENANCE
from analysis.frames.metric_columns import METRICS, TIMESTAMP
from tivae.config import RENAMED
from tivae.io import record as formats
from tivae.io import record_index as index
from tivae.io.files import DamagedFile
from tivae.io.record import RECORD, NewerRecord, Record, read

Row = dict[str, Any]
Part = dict[str, list[Any]]

_SECTIONS: dict[str, dict[str, str]] = {
    "config": {column.name: column.dtype for column in CONFIG},
    "metrics": {column.name: column.dtype for column in METRICS},
    "provenance": {column.name: column.dtype for column in PROVENANCE},
}
_EPOCH_DTYPES = {column.name: column.dtype for column in EPOCH_COLUMNS}
_TAKEN = {column.name for column in COLUMNS["trials"]}


def trial_folders(folder: Path) -> list[Path]:
    """The folders of the trials of a results folder, begun ones too, by name; [] where it has none."""
    try:
        with os.scandir(folder / "trials") as entries:
            found = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / "trials" / name for name in sorted(found)]


def read_trials(folder: Path, running: bool = False) -> tuple[Columns, Columns]:
    """The `trials` and `epochs` values of every trial of `folder` that has ended, with `running` of the others too.

    Nothing that has a record is missing: a damaged one gives a row with status "damaged" and its `error`.
    """
    paths = trial_folders(folder)
    kept, *values = index.unchanged(folder, _version(), [path.name for path in paths])
    (trials, epochs), rows = map(Columns.with_values, values), []
    for path in paths:
        if path.name in kept:
            continue
        try:
            found: tuple[Row, Part] | None = _ended(path)
        except FileNotFoundError:
            found = _running(path) if running else None
        except (DamagedFile, NewerRecord) as problem:
            found = {"key": path.name, "status": "damaged", "error": str(problem)}, {}
        if found is not None:
            rows.append(found[0])
            epochs.extend(found[1])
    trials.extend(Columns.of(rows).values)
    return trials, epochs


def write_index(folder: Path) -> None:
    """Writes an index with which `read_trials` of `folder` reads only records that have changed since."""
    paths = trial_folders(folder)
    # Taken before the records are read: one that is written meanwhile has another.
    signatures = {path.name: index.signature(path) for path in paths}
    trials, epochs = read_trials(folder)
    settled = {
        key: found
        for key, status in zip(trials.values.get("key", []), trials.values.get("status", []), strict=True)
        if status != "damaged" and (found := signatures.get(key)) is not None and index.is_settled(found)
    }
    if settled:
        index.write(folder, _version(), settled, *(part.of_trials(settled) for part in (trials, epochs)))


@functools.cache
def _version() -> str:
    """Names all that decides what is read of a record: columns, and the code that reads them."""
    digest = hashlib.sha256(repr((_SECTIONS, _EPOCH_DTYPES, sorted(_TAKEN), RENAMED)).encode())
    for module in (__file__, formats.__file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()


class Columns:
    """Columns that grow by parts; a column that a part lacks is None there."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.length = 0

    @classmethod
    def with_values(cls, values: dict[str, list[Any]]) -> Columns:
        """The columns `values`, which are of one length."""
        columns = cls()
        columns.values, columns.length = values, len(next(iter(values.values()), []))
        return columns

    def of_trials(self, keys: Collection[str]) -> dict[str, list[Any]]:
        """The values of the rows with these keys."""
        rows = [position for position, key in enumerate(self.values.get("key", [])) if key in keys]
        return {name: [values[position] for position in rows] for name, values in self.values.items()}

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Columns:
        """The columns of `rows`."""
        columns = cls()
        names = tuple(rows[0]) if rows else ()
        if all(tuple(row) == names for row in rows):
            # As good as always, and twice as fast.
            values = zip(*(row.values() for row in rows), strict=True)
            columns.values = dict(zip(names, map(list, values), strict=True))
        else:
            found = dict.fromkeys(name for row in rows for name in row)
            columns.values = {name: [row.get(name) for row in rows] for name in found}
        columns.length = len(rows)
        return columns

    def extend(self, part: Part) -> None:
        """Adds the rows of `part`, whose columns are of one length."""
        rows = len(next(iter(part.values()), []))
        for name in part.keys() - self.values.keys():
            self.values[name] = [None] * self.length
        for name, values in self.values.items():
            values.extend(part.get(name) or [None] * rows)
        self.length += rows


def _frames(record: Record, trial: Path) -> tuple[Row, Part]:
    """The trial's row and the columns of its epochs, every value of its column's type. Raises `DamagedFile`."""
    row: Row = {"key": trial.name, "status": _text(record["status"]), "recipe": record["recipe"]}
    try:
        row["error"] = _value(record.get("error"), "string", "error")
        for section, dtypes in _SECTIONS.items():
            row |= _section(record.get(section), section, dtypes)
        epochs = _epochs(record.get("epochs"), trial.name)
    except _WrongValueError as problem:
        raise DamagedFile(f"{trial / RECORD}: {problem}") from None
    return row, epochs


def _ended(trial: Path) -> tuple[Row, Part]:
    record = read(trial)
    if record["kind"] != "trial":
        raise DamagedFile(f"{trial / RECORD} has kind {record['kind']!r}; it must have kind 'trial'")
    return _frames(record, trial)


def _running(trial: Path) -> tuple[Row, Part] | None:
    """A trial without a record, as far as it is known: key and status at least; None if it has not begun."""
    from tivae import records  # imports torch, which reading finished trials does not need

    found = records.begun(trial)
    try:
        return None if found is None else _frames(found, trial)
    except DamagedFile:
        return {"key": trial.name, "status": "running", "recipe": None}, {}


class _WrongValueError(ValueError):
    pass


def _section(value: object, name: str, dtypes: Mapping[str, str]) -> Row:
    """The scalars of one section. Unknown ones are kept, unknown lists and objects stay in the record."""
    if not isinstance(value, dict):
        raise _WrongValueError(f"`{name}` is {_short(repr(value))}; it must be an object")
    row: Row = {}
    for given, content in value.items():
        field: str = RENAMED.get(given) or given
        if field in dtypes:
            row[field] = _value(content, dtypes[field], name, field)
        elif field not in _TAKEN and _is_scalar(content):
            row[_text(field)] = _text(content)
    return row


def _epochs(value: object, key: str) -> Part:
    """The columns of a trial's epochs, `key` among them."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _WrongValueError(f"`epochs` is {_short(repr(value))}; it must be a list of objects")
    columns: Part = {"key": [key] * len(value)}
    for field, found in Columns.of(value).values.items():
        dtype = _EPOCH_DTYPES.get(field)
        if dtype is not None and field not in columns:
            columns[field] = _values(found, dtype, "epochs", field)
        elif dtype is None and all(_is_scalar(content) for content in found):
            columns[_text(field)] = [_text(content) for content in found]
    return columns


def _values(values: list[Any], dtype: str, *name: str) -> list[Any]:
    """As `_value` for each of `values`, in a few steps for the usual list of finite floats."""
    if dtype == "float64" and set(map(type, values)) == {float} and math.isfinite(sum(values)):
        return values
    return [_value(value, dtype, *name) for value in values]


def _value(value: Any, dtype: str, *name: str) -> Any:
    """`value` in the Python type of `dtype`, None for null; raises `_WrongValueError` for any other type.

    name: where in the record it stands.
    """
    given = type(value)
    if value is None:
        return None
    if dtype == "float64" and given is float and math.isfinite(value):
        return value
    if dtype in ("string", TIMESTAMP) and given is str:
        return _text(value)
    if dtype == "boolean" and given is bool:
        return value
    if dtype == "Int64" and given is int and -(2**63) <= value < 2**63:
        return value
    if dtype == "float64" and given is int and abs(value) < 2**1000:
        return float(value)
    if name[-1] == "hidden_widths" and given is list:
        return "-".join(str(_value(width, "Int64", *name)) for width in value)
    raise _WrongValueError(f"`{'.'.join(name)}` is {_short(repr(value))}; it must be {_DTYPE_WORDS[dtype]}")


_DTYPE_WORDS = {
    "string": "a text",
    TIMESTAMP: "a time in ISO 8601",
    "Int64": "a whole number",
    "float64": "a finite number",
    "boolean": "true or false",
}


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _text(value: Any) -> Any:
    """`value`; a text without lone surrogates, which JSON can hold and neither Parquet nor CSV can."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "replace").decode("utf-8")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
