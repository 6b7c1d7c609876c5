"""Which operations a device type has, by the installed torch's own table."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torchgen
import yaml


def has_kernel(name: str, overload: str, device_type: str) -> bool:
    """Whether torch has a kernel of the operation `aten::name.overload` for cuda or mps."""
    short = name.removeprefix("aten::")
    entry = _table().get(f"{short}.{overload}" if overload else short)
    if entry is None or (entry.get("dispatch") is None and entry.get("structured_delegate") is None):
        return True
    keys = _keys(entry)
    if entry.get("structured_delegate"):
        keys |= _keys(_table().get(entry["structured_delegate"], {}))
    return device_type.upper() in keys or any(key.startswith("Composite") for key in keys)


def _keys(entry: dict[str, Any]) -> set[str]:
    generated = {"CPU", "CUDA"} if "ufunc_inner_loop" in entry else set()
    return {key.strip() for names in (entry.get("dispatch") or {}) for key in names.split(",")} | generated


@functools.cache
def _table() -> dict[str, Any]:
    file = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native" / "native_functions.yaml"
    entries = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {entry["func"].split("(")[0]: entry for entry in entries}
