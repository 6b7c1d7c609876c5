"""The file formats of data sets: idx files as MNIST has them, packed or not, and .npz."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tivae.data.image_set import Arrays, UnavailableError
from tivae.io import files
from tivae.io.files import DamagedFile

# Values of idx files that occur in labels and images.
_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 12: np.dtype(">i4")}
MOST_BYTES = 2_000_000_000


def idx_arrays(contents: Mapping[str, bytes]) -> Arrays:
    """Four idx files as arrays, in the order of `Arrays`; of labels with several numbers (QMNIST's), the first.

    Raises `UnavailableError` if a file is not an idx file.
    """
    arrays = (idx_array(unpacked(content, name), name) for name, content in contents.items())
    train, train_labels, test, test_labels = arrays
    return Arrays(train, _digits(train_labels), test, _digits(test_labels))


def idx_array(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """The array of an idx file: two zero bytes, type, number of axes, the length of each, the values."""
    try:
        kind, axes = content[2:4]
        shape = struct.unpack_from(f">{axes}I", content, offset=4)
        # A view of bytes: read-only, and nobody can make it writable.
        values: npt.NDArray[np.uint8] = np.frombuffer(content, _TYPES[kind], offset=4 + 4 * axes).reshape(shape)
    except (ValueError, KeyError, struct.error) as problem:
        raise UnavailableError(f"{name} is not an idx file ({problem})") from None
    return values


def unpacked(content: bytes, name: str) -> bytes:
    """`content`, unpacked if it is a .gz file. Raises `UnavailableError` if it is damaged or too large."""
    if not name.endswith(".gz"):
        return content
    try:
        return files.unzipped(content, name, MOST_BYTES)
    except DamagedFile as problem:
        raise UnavailableError(str(problem)) from None


def _digits(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return labels if labels.dtype == np.uint8 else labels[:, 0].astype(np.uint8)
