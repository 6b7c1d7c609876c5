"""Measures of each trial: one a module, named after it. A new file here is measured with the others.

`standard` costs about 4 % of the paper's trial on a CPU, `all` about 6 %; the whole test set is used, and every trial
with the same warp settings meets the same warps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.evaluation.measure import Measure
from tivae.evaluation.memo import Memo
from tivae.evaluation.readout import Readout, fitted_on, probed_stn
from tivae.evaluation.subject import Subject
from tivae.fields import ConfigError
from tivae.models import Model
from tivae.models.stn import SpatialTransformer
from tivae.registry import MEASURES

LEVELS = ("none", "standard", "all")


@dataclass(frozen=True)
class Measured:
    """columns: the trial's metrics; details: the curves behind them, None if nothing was measured."""

    columns: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] | None = None


def chosen(measures: str) -> dict[str, Measure]:
    """The measures that a text asks for: `none`, `standard`, `all` and names of measures, with commas between them.

    >>> sorted(chosen("curves,equivariance"))
    ['curves', 'equivariance']

    Raises `ConfigError` if there is no such measure.
    """
    found: dict[str, Measure] = {}
    for name in filter(None, map(str.strip, measures.split(","))):
        if name in LEVELS:
            standard = [other for other in MEASURES if MEASURES[other].standard]
            found |= {other: MEASURES[other] for other in {"all": list(MEASURES), "standard": standard}.get(name, [])}
        elif name in MEASURES:
            found[name] = MEASURES[name]
        else:
            rule = f"it must be {', '.join((*LEVELS, *MEASURES))}, or `package.module:Name` for your own"
            raise ConfigError(f"`measures` is {measures!r}, of which {name!r} is none; {rule}", "measures")
    return found


def wanted_of(config: TrialConfig, measures: str) -> dict[str, Measure]:
    """The measures of `chosen(measures)` that apply to `config`: some need an STN."""
    return {name: entry for name, entry in chosen(measures).items() if config.has_front or not entry.needs_stn}


def measure(
    config: TrialConfig,
    data: TrialData,
    model: Model,
    stn: SpatialTransformer | None,
    readout: Readout,
    measures: str,
    memo: Memo | None = None,
) -> Measured:
    """The measures that `chosen(measures)` gives, on the test images.

    memo: of other readouts of the same model, whose encodings are used again.

    Raises `DegenerateWarp` if an STN has collapsed, and what a measure from elsewhere raises.
    """
    wanted = wanted_of(config, measures)
    if not wanted:
        return Measured()
    started = time.perf_counter()
    probe = readout.probes[fitted_on("augmented", config)]
    subject = Subject(config, data, model, probed_stn(config, stn), probe, stn, memo=memo or Memo())
    columns: dict[str, Any] = {}
    for entry in wanted.values():
        columns |= entry(subject)
    details = {"format": 1, "level": measures, "measures": list(wanted), "curves": {}, **subject.details}
    return Measured(columns, details | {"wall_seconds": time.perf_counter() - started})
