"""The command that reruns one trial."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tivae.config import FIELD_NAMES, TrialConfig


def command(config: TrialConfig) -> str:
    """A command line that runs exactly this trial: the paper's grid with every field set that differs from it."""
    cell = {"model": config.model, "train_dataset": config.train_dataset, "stn": config.stn}
    named: dict[str, Any] = {name: value for name, value in cell.items() if value is not None}
    usual = TrialConfig(**named)
    fields = [name for name in FIELD_NAMES if name not in named and getattr(config, name) != getattr(usual, name)]
    values = named | {name: getattr(config, name) for name in fields if getattr(config, name) is not None}
    if values.pop("dataset_facts", None) is not None:
        # The name holds a digest of images that lie elsewhere.
        values["dataset"] = config.images.origin
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    settings = " ".join(f"--set {shlex.quote(f'{name}={text}')}" for name, text in texts.items())
    return f"uv run python -m study.run paper_grid {settings} --name {config.key}"
