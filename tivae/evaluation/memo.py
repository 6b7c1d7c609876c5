"""A cache of what several readouts of one trained model share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
# Of encodings: those of 10 x 10 latents take 0.25 GB with all measures.
SHARED_BYTES = 2**29


class Memo:
    """Values by key; the most recent are kept while their arrays fit into `limit` bytes, with a limit of 0 none is."""

    def __init__(self, limit: int = 0):
        self._limit, self._taken = limit, 0
        self._known: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, computed by `make` unless it is kept."""
        if key in self._known:
            known: T = self._known[key]
            return known
        value = make()
        if self._limit and _size(value) <= self._limit:
            self._taken += _size(value)
            self._known[key] = value
            while self._taken > self._limit:
                self._taken -= _size(self._known.pop(next(iter(self._known))))
        return value


def _size(value: object) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else 0
