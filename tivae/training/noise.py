"""The noise of a training's posterior samples, drawn on the host: the same on every device type, batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from tivae.data.placement import send
from tivae.models import Trainable

# 1 MB: copies are few, and the host draws while the device is busy with the batches before.
NUMBERS_PER_COPY = 2**18


class StepNoise:
    """One posterior sample's noise for each batch of an epoch.

    It comes to an accelerator in blocks of several batches, the first before the epoch's first step. On the host
    itself each batch's is drawn as it is wanted; the numbers are the same.
    """

    def __init__(self, model: Trainable, source: torch.Generator, device: torch.device):
        self._model, self._source, self._device = model, source, device
        self._sizes: Iterator[int] = iter(())
        self._ready: deque[Tensor] = deque()

    def begin_epoch(self, images: int, batch_size: int) -> None:
        """The next batches are those of an epoch of `images`."""
        whole, rest = divmod(images, batch_size)
        self._sizes = iter([batch_size] * whole + [rest] * (rest > 0))
        self._ready.clear()
        if self._device.type != "cpu":
            self._refill()

    def take(self, count: int) -> Tensor:
        """The next batch's noise, of `count` images, on the device."""
        if self._device.type == "cpu":
            return self._model.noise(count, self._source)
        if not self._ready:
            self._refill()
        noise = self._ready.popleft()
        assert len(noise) == count, f"the batch has {count} images where the epoch's next has {len(noise)}"
        return noise

    def _refill(self) -> None:
        drawn: list[Tensor] = []
        for size in self._sizes:
            drawn.append(self._model.noise(size, self._source))
            if sum(noise.numel() for noise in drawn) >= NUMBERS_PER_COPY:
                break
        if drawn:
            self._ready.extend(send(torch.cat(drawn), self._device).split([len(noise) for noise in drawn]))
