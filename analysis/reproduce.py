"""The command that reruns one trial."""

from __future__ import annotations

import json
import shlex
from typing import Any

from analysis.formats import printable
from analysis.frames.study import Study
from tivae.config import TrialConfig


def command_of(study: Study, key: str) -> str:
    """The command of a study's trial; a comment with the reason where its config is not known."""
    try:
        return command(study.config(key))
    except ValueError as problem:
        return printable(f"# {key}: {problem}")


def command(config: TrialConfig) -> str:
    """A command line that runs exactly this trial: the paper's grid with every field set that differs from it."""
    wanted = {name: value for name, value in config.to_dict().items() if value is not None}
    values: dict[str, Any] = {}
    differing: dict[str, Any] = {name: wanted[name] for name in ("model", "train_dataset", "stn") if name in wanted}
    # What is given decides the defaults of the rest.
    while differing:
        values |= differing
        made = TrialConfig(**values).to_dict()
        differing = {name: value for name, value in wanted.items() if name not in values and value != made.get(name)}
    if values.pop("dataset_facts", None) is not None:
        # The name holds a digest of images that lie elsewhere.
        values["dataset"] = config.images.origin
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    settings = " ".join(f"--set {shlex.quote(f'{name}={text}')}" for name, text in texts.items())
    return f"uv run python -m study.run paper_grid {settings} --name {config.key}"
