"""Records of trials that never ran, for tests of what is read from them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import analysis
from analysis.paper import TABLE_1
from tivae.config import RECIPE, TrialConfig

PARTS = [f"{part}_{kind}" for part in ("train", "base", "augmented") for kind in ("loss", "reconstruction", "kl")]
FITS = [f"{test}_accuracy_fit_{fit}" for test in ("base", "augmented") for fit in ("base", "augmented")]

Metrics = Callable[[TrialConfig, random.Random], dict[str, float]]


def record(config: TrialConfig, status: str = "finished", error: str | None = None, **metrics: Any) -> dict[str, Any]:
    """A complete record as `tivae` writes it; metrics that are not given are drawn from the config."""
    draw = random.Random(config.key)
    names = [*PARTS, *FITS, "base_accuracy", "augmented_accuracy"]
    drawn = {name: draw.random() for name in names} | {"probe_iterations": 88, "probe_converged": True}
    return {
        "format": 1,
        "recipe": RECIPE,
        "kind": "trial",
        "key": config.key,
        "status": status,
        "error": error,
        "config": config.to_dict(),
        "metrics": drawn | metrics if status == "finished" else {},
        "epochs": [epoch(config, number, draw) for number in range(1, config.epochs + 1)],
        "provenance": provenance(),
    }


def epoch(config: TrialConfig, number: int, draw: random.Random) -> dict[str, Any]:
    """A row of `epochs`."""
    return {
        "epoch": number,
        "step": 938 * number,
        "temperature": None if config.categories is None else 0.5,
        "learning_rate": 1e-3,
        **{name: draw.random() for name in PARTS},
        "wall_seconds": 60.0,
        "images_per_second": 1000,  # a whole number where a float is meant, as JSON may have it
    }


def provenance() -> dict[str, Any]:
    versions = {"python": "3.11.7", "torch": "2.15.0", "torchvision": "0.30", "numpy": "2.4.6", "scikit_learn": "1.9"}
    return versions | {
        "device": "cpu",
        "device_name": "a processor",
        "host": "a machine",
        "platform": "Linux",
        "threads": 1,
        "commit": "0123456",
        "started_at": "2026-01-01T00:00:00+00:00",
        "finished_at": "2026-01-01T00:15:00+00:00",
        "wall_seconds": 900.0,
        "data_source": "cache",
        "resumed": 0,
    }


def write_record(results: Path, content: dict[str, Any] | bytes, key: str | None = None) -> Path:
    """Writes `trials/<key>/record.json` and returns the trial's folder."""
    name = key or (content["key"] if isinstance(content, dict) else "0" * 12)
    folder = results / "trials" / name
    folder.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else json.dumps(content, indent=1).encode()
    (folder / "record.json").write_bytes(data)
    return folder


def papers_metrics(config: TrialConfig, draw: random.Random, noise: float = 0.003) -> dict[str, float]:
    """The paper's values of the config's cell, with noise."""
    names = ("base_accuracy", "augmented_accuracy", "base_loss", "augmented_loss")
    for cell in TABLE_1:
        if all(getattr(config, name) == value for name, value in cell.factors.items()):
            return {name: getattr(cell, name) + draw.gauss(0, noise) for name in names}
    raise ValueError(f"no cell of the paper: {config}")


def grid(seeds: int | Iterable[int] = 1, **settings: Any) -> list[TrialConfig]:
    """The configs of the paper's eight cells."""
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    return [TrialConfig(**cell.factors, seed=seed, **settings) for cell in TABLE_1 for seed in numbers]


def write_study(results: Path, configs: Iterable[TrialConfig], metrics: Metrics = papers_metrics) -> Path:
    """Finished records of `configs`; returns the results folder."""
    for config in configs:
        write_record(results, record(config, **metrics(config, random.Random(config.key))))
    return results


def study_of(results: Path, configs: Iterable[TrialConfig], metrics: Metrics = papers_metrics) -> analysis.Study:
    """Such a study, loaded."""
    return analysis.load(write_study(results, configs, metrics))
