"""Arms: the cells of a study by what is chosen in each, beside what the study has in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from analysis.frames.labels import in_name, named_model, setting_label, stn_name
from analysis.frames.recipe import default_value, shown
from tivae.config import TrialConfig, known_fields

# Fields of one config that differ from the reference, with their values, in the order of the config.
Chosen: TypeAlias = Mapping[str, Any]

# What stands in front of the model is named in each arm that has it, also where most have it.
_ALWAYS_NAMED = ("stn", "front")


def chosen(configs: Sequence[TrialConfig], factors: Sequence[str]) -> list[Chosen]:
    """Of each config those of `factors` that differ from what most of the configs that use them have.

    Where there is no such value, or a field may be left out, from its default beside the config's other fields.
    """
    common = {name: _common(configs, name) for name in known_fields() if name in factors and name != "model"}
    return [{name: getattr(config, name) for name in common if _is_chosen(config, name, common)} for config in configs]


def _is_chosen(config: TrialConfig, name: str, common: Mapping[str, Any]) -> bool:
    value = getattr(config, name)
    if value is None:
        return False
    return bool(value != (default_value(config, name) if common[name] is None else common[name]))


def _common(configs: Sequence[TrialConfig], name: str) -> Any:
    """The value that most have of the configs that use the field; None if there is none or it may be left out."""
    users = {config.model for config in configs if getattr(config, name) is not None}
    values = [getattr(config, name) for config in configs if config.model in users]
    if name in _ALWAYS_NAMED or None in values:
        return None
    value, count = Counter(values).most_common(1)[0]
    return value if 2 * count > len(values) else None


def arm_label(config: TrialConfig, choices: Chosen) -> str:
    """An arm in one line, such as "VICReg, STN, reconstruction weight 10, target base"."""
    named = {name: value for name, value in choices.items() if name not in in_name(config.model)}
    return ", ".join(filter(None, [named_model(config.to_dict()), choice_label(named)]))


def choice_label(choices: Chosen) -> str:
    """What is chosen, without the model; of parts in a row that begin with the same word, only the first has it."""
    parts = [_part(name, value) for name, value in choices.items()]
    pairs = zip(["", *parts], parts, strict=False)
    return ", ".join(
        part.partition(" ")[2] if " " in part and before.split(" ")[0] == part.split(" ")[0] else part
        for before, part in pairs
    )


def _part(name: str, value: Any) -> str:
    if name == "stn":
        return stn_name(value)
    if name == "train_dataset":
        return f"trained on {value}"
    return setting_label(name, shown(value) if isinstance(value, tuple) else value)
