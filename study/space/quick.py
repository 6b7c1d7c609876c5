"""`--quick`: a small version of a search space that runs every step of the full one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tivae.config import TrialConfig

TRAIN_IMAGES = 6_000
TEST_IMAGES = 2_000
VALIDATION_IMAGES = 1_000
EPOCHS = 2
QUICK_TRIALS = 6
SUFFIX = "-quick"


def shrunk(trials: Iterable[TrialConfig], given: Collection[str] = ()) -> tuple[TrialConfig, ...]:
    """The same cells with few images and epochs, the first seed of each only.

    given: the fields that the command line sets, which stay as they are; `seed` among them keeps all seeds.
    """
    small: dict[str, TrialConfig] = {}
    seen: set[str] = set()
    for config in trials:
        cell = config.key if "seed" in given else replace(config, seed=0).key
        if cell in seen:
            continue
        seen.add(cell)
        changed = shrunk_one(config, given)
        small.setdefault(changed.key, changed)
    return tuple(small.values())


def shrunk_one(config: TrialConfig, given: Collection[str] = ()) -> TrialConfig:
    """The same trial with few images and epochs; the fields `given` stay as they are."""
    small: dict[str, Any] = {
        "train_images": min(TRAIN_IMAGES, config.train_images or config.images.train_images),
        "validation_images": min(VALIDATION_IMAGES, config.validation_images) if config.validation_images else None,
        "test_images": min(TEST_IMAGES, config.test_images or config.images.test_images),
        "epochs": min(EPOCHS, config.epochs),
        "stn_epochs": min(EPOCHS, config.stn_epochs) if config.stn_epochs is not None else None,
    }
    return replace(config, **{name: value for name, value in small.items() if name not in given})


def warning(trials: Sequence[TrialConfig]) -> str:
    """The banner of the small version, computed from its trials."""
    parts = [
        f"{_span([config.train_images for config in trials])} training images",
        f"{_span([config.test_images for config in trials])} test images",
        _epochs([config.epochs for config in trials]),
    ]
    stn_epochs = [config.stn_epochs for config in trials if config.stn_epochs is not None]
    if stn_epochs and set(stn_epochs) != {config.epochs for config in trials}:
        parts.append(f"{_epochs(stn_epochs)} of the STN")
    seeds = len({config.seed for config in trials})
    parts.append("1 seed" if seeds == 1 else f"{seeds} seeds")
    return f"QUICK VERSION: {', '.join(parts)}. It shows that everything works; its numbers are not meaningful."


def _epochs(values: Sequence[int]) -> str:
    span = _span(values)
    return f"{span} epoch" if span == "1" else f"{span} epochs"


def _span(values: Sequence[int | None]) -> str:
    """The one value, or "smallest to largest"; "all" where a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "all" if not known else f"{min(known):,} to all"
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
