"""The small version of a search space, which goes through every step of the full one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tivae.config import TrialConfig

TRAIN_IMAGES = 6_000
TEST_IMAGES = 2_000
VALIDATION_IMAGES = 1_000
EPOCHS = 2
QUICK_TRIALS = 6
SUFFIX = "-quick"


def shrunk(trials: Iterable[TrialConfig]) -> tuple[TrialConfig, ...]:
    """The same cells with few images and epochs, the first seed of each only."""
    small: dict[str, TrialConfig] = {}
    seen: set[str] = set()
    for config in trials:
        cell = replace(config, seed=0).key
        if cell in seen:
            continue
        seen.add(cell)
        changed = shrunk_one(config)
        small.setdefault(changed.key, changed)
    return tuple(small.values())


def shrunk_one(config: TrialConfig) -> TrialConfig:
    """The same trial with few images and epochs."""
    return replace(
        config,
        train_images=min(TRAIN_IMAGES, config.train_images or config.images.train_images),
        validation_images=min(VALIDATION_IMAGES, config.validation_images) if config.validation_images else None,
        test_images=min(TEST_IMAGES, config.test_images or config.images.test_images),
        epochs=min(EPOCHS, config.epochs),
        stn_epochs=min(EPOCHS, config.stn_epochs) if config.stn_epochs is not None else None,
    )


WARNING = (
    f"QUICK VERSION: {TRAIN_IMAGES:,} training images, {TEST_IMAGES:,} test images, {EPOCHS} epochs, one seed. "
    "It shows that everything works; its figures are no results."
)
