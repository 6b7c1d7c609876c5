"""Fields that a config has because of the model or the probe that it names."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tivae.fields import ConfigError, type_of
from tivae.registry import MODELS, PROBES


class WithOwnFields(type):
    """Makes each config of the class that has the own fields of its model and its probe beside those of all configs.

        TrialConfig(probe="k_nearest", neighbours=5).neighbours  # 5
        TrialConfig(neighbours=5) == TrialConfig()  # True: no logistic regression has neighbours

    The own fields of other entries are left out, as a grid gives them to all of its trials.
    """

    def __call__(cls, *args: Any, **values: Any) -> Any:
        base: Any = cls.__mro__[-2]
        plain = {item.name: item for item in dataclasses.fields(base)}
        model = MODELS[MODELS.name_of(values.get("model", plain["model"].default))]
        probe = PROBES[PROBES.name_of(values.get("probe")) or PROBES.names[0]]
        chosen: Any = _with_fields(base, model, probe)
        if values.keys() - chosen.__dataclass_fields__.keys():
            elsewhere = own_fields().keys()
            values = {
                name: value
                for name, value in values.items()
                if name in chosen.__dataclass_fields__ or name not in elsewhere
            }
        return type.__call__(chosen, *args, **values)


def own_fields() -> dict[str, dataclasses.Field[Any]]:
    """The own fields of all models and probes that this process knows, by name."""
    entries = [(entry, False) for entry in MODELS.loaded.values()] + [(entry, True) for entry in PROBES.loaded.values()]
    return {item.name: item for entry, is_probe in entries for item in declared(entry, is_probe)}


@functools.cache
def declared(entry: Any, is_probe: bool) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of the nested class `Fields` of a model or a probe, complete: with name, type and stage."""
    body = getattr(entry, "Fields", None)
    if body is None:
        return ()
    if "__dataclass_fields__" not in vars(body):
        dataclasses.dataclass(kw_only=True)(body)
    complete = dataclasses.make_dataclass(
        "Fields",
        [
            (
                item.name,
                type_of(item),
                dataclasses.field(
                    default=item.default, metadata={**item.metadata, **({"stage": "readout"} if is_probe else {})}
                ),
            )
            for item in dataclasses.fields(body)
        ],
    )
    return dataclasses.fields(complete)


@functools.cache
def _with_fields(base: Any, model: Any, probe: Any) -> Any:
    own = (*declared(model, False), *declared(probe, True))
    if not own:
        return base
    for item in own:
        if item.name in base.__dataclass_fields__ or [other.name for other in own].count(item.name) > 1:
            raise ConfigError(
                f"`{item.name}` is a field of {model.__name__} or {probe.__name__} and of others; rename it"
            )
    return dataclasses.make_dataclass(
        base.__name__,
        [(item.name, item.type, dataclasses.field(default=item.default, metadata=item.metadata)) for item in own],
        bases=(base,),
        namespace={"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__},
        frozen=True,
        kw_only=True,
    )
