"""The fields of a search space, as a JSON schema for editors (`search_spaces/schema.json`) and as a list.

`python -m study.space.schema` writes the schema, and the list of fields at the end of `search_spaces/example.yaml`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from study.space.domains import LISTED, MAX_TRIALS, SEARCHED, SHAPES
from study.space.factors import is_whole
from study.space.search import DIRECTIONS, PRUNERS, SAMPLERS, SIZES, VALIDATION_METRICS, Algorithms
from study.space.search_space import FOLDER
from tivae.config import known_fields
from tivae.registry import ELSEWHERE, MODELS

FIELDS = known_fields()
PATH, EXAMPLE = FOLDER / "schema.json", FOLDER / "example.yaml"
# The first line of each search space; editors find the schema by it.
MODELINE = "# yaml-language-server: $schema=schema.json"
LIST_HEAD = "# All fields, each with its default, what it means, and its legal values:\n#\n"

Schema = dict[str, Any]
_GRID = ("settings", "factors", "seeds")
# YAML 1.2, which editors read, takes 60_000 for a word, and YAML 1.1 takes 1e-3 for one.
_WHOLE: Schema = {"type": ["integer", "string"], "pattern": "^[-+]?[0-9]+(_[0-9]+)*$"}
_NUMBER: Schema = {
    "type": ["number", "string"],
    "pattern": r"^[-+]?([0-9]+(_[0-9]+)*|[0-9]*\.?[0-9]+|[0-9]+\.)([eE][-+]?[0-9]+)?$",
}


def schema() -> Schema:
    """The JSON schema (draft 7) of a search space."""
    is_search = {"required": ["search"]}
    search_keys = _search_keys()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A search space of `python -m study.run`",
        "type": "object",
        "properties": {"question": {"type": "string", "description": "what you want to know; it heads the report"}}
        | {name: _ref(name) for name in _GRID}
        | {
            "blocks": {
                **_list_of(_closed({name: _ref(name) for name in _GRID}) | {"minProperties": 1}),
                "description": "several grids in one file; each takes over what stands above",
            }
        }
        | search_keys,
        "additionalProperties": False,
        "if": is_search,
        "then": {
            "required": ["parameters", "objectives", "trials"],
            "properties": {"factors": False, "seeds": False, "blocks": False},
        },
        "else": {"properties": {name: False for name in search_keys if name != "search"}},
        "definitions": {name: _field(name) for name in FIELDS}
        | _grid_keys()
        | {f"listed_{name}": _factor(name, LISTED) for name in FIELDS}
        | {f"searched_{name}": _factor(name, SEARCHED, single=True) for name in _searchable()}
        | {
            "where": _closed({name: {"anyOf": [_ref(name), _list_of(_ref(name))]} for name in FIELDS})
            | {"minProperties": 1}
        }
        | {f"range_{word}": _range(word) for word in SHAPES},
    }


def field_list(width: int = 118) -> str:
    """A paragraph for each field: name, default, what it means, and its legal values."""
    rows = [(name, _default(name), _legal(name), FIELDS[name].metadata["help"]) for name in FIELDS]
    names, defaults = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = []
    for name, default, legal, meaning in rows:
        head = f"{name:{names}}  {default:{defaults}}  "
        lines += textwrap.wrap(f"{meaning} [{legal}]", width, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def written() -> dict[Any, str]:
    """The content of each file that is made from the fields, by its path."""
    kept = EXAMPLE.read_text().partition(LIST_HEAD)[0]
    fields = textwrap.indent(field_list(), "#   ")
    return {PATH: _lines(schema()) + "\n", EXAMPLE: kept + LIST_HEAD + fields}


def _lines(content: Schema) -> str:
    """JSON with a line for each entry, and for each definition."""
    parts = (
        f"{json.dumps(key)}: {_lines(part) if key == 'definitions' else json.dumps(part)}"
        for key, part in content.items()
    )
    return "{\n" + ",\n".join(parts) + "\n}"


def _field(name: str) -> Schema:
    item = FIELDS[name]
    bounds = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
    found: Schema = {"description": f"{item.metadata['help']} [{_legal(name)}]"}
    if "registry" in item.metadata:
        elsewhere = {"type": "string", "pattern": ELSEWHERE.pattern}
        names = [*item.metadata["allowed"], *([None] if item.default is None else [])]
        return (
            found
            | {"anyOf": [{"enum": names}, elsewhere]}
            | ({} if item.default is None else {"default": item.default})
        )
    if "text" in item.metadata:
        found |= {"type": ["string"]}
    elif "allowed" in item.metadata:
        found |= {"enum": list(item.metadata["allowed"])}
    elif isinstance(item.default, bool):
        found |= {"type": "boolean"}
    elif isinstance(item.default, tuple):
        found |= _list_of(_WHOLE)
    else:
        found |= _WHOLE if is_whole(name) else _NUMBER
        found |= {word: item.metadata[key] for key, word in bounds.items() if item.metadata[key] is not None}
    if item.default is None:
        found |= {"enum": [*found["enum"], None]} if "enum" in found else {"type": [*found["type"], "null"]}
    else:
        found |= {"default": list(item.default) if isinstance(item.default, tuple) else item.default}
    return found


def _factor(name: str, ranges: Iterable[str], *, single: bool = False) -> Schema:
    """A factor with values and ranges, or with a `single` one of them."""
    values = _list_of(_ref(name))
    is_number = "low" in FIELDS[name].metadata
    parts = {"values": values} | ({word: _ref(f"range_{word}") for word in ranges} if is_number else {})
    where = {"where": _ref("where")}
    mappings = [_closed({word: part} | where) | {"required": [word]} for word, part in parts.items()]
    joined = [_closed(parts | where) | {"minProperties": 1}]
    return {"anyOf": [values, *(mappings if single else joined)], "description": FIELDS[name].metadata["help"]}


def _range(word: str) -> Schema:
    shape, lengths = SHAPES[word]
    return _list_of(_NUMBER) | {"minItems": min(lengths), "maxItems": max(lengths), "description": shape}


def _grid_keys() -> Schema:
    seed = _ref("seed")
    return {
        "settings": _closed({name: _ref(name) for name in FIELDS}) | {"description": "what all trials share"},
        "factors": _closed({name: _ref(f"listed_{name}") for name in FIELDS})
        | {"description": "what is varied: every value is combined with every value of the others"},
        "seeds": {
            "anyOf": [_WHOLE | {"minimum": 1, "maximum": MAX_TRIALS}, _list_of(seed)],
            "description": "how many, counted from 0, or a list such as [0, 7]",
        },
    }


def _search_keys() -> Schema:
    count = _WHOLE | {"maximum": MAX_TRIALS}
    directions = {"enum": list(DIRECTIONS)}
    return {
        "search": {"enum": ["optuna"], "description": "makes it a search, by Optuna, in place of a grid"},
        "parameters": _closed({name: _ref(f"searched_{name}") for name in _searchable()})
        | {"minProperties": 1, "description": "what is searched over"},
        "objectives": _closed(dict.fromkeys((*VALIDATION_METRICS, *SIZES), directions)) | {"minProperties": 1},
        "sampler": _algorithm(SAMPLERS),
        "pruner": _algorithm(PRUNERS),
        "trials": count | {"minimum": 1, "description": "how many in all, those that were pruned or failed counted"},
        "most_numbers": count
        | {"minimum": 2, "description": "of an encoding; a trial that has more gets fewer latents"},
        "sampler_seed": count | {"minimum": 0, "description": "of the sampler's random numbers"},
        "start": {
            "type": "array",
            "items": _closed({name: _ref(name) for name in _searchable()}),
            "description": "points that are tried first",
        },
    }


def _algorithm(known: Algorithms) -> Schema:
    named = [
        _closed(
            {"name": {"const": name}} | {option: _WHOLE | {"minimum": least} for option, (_, least) in options.items()}
        )
        for name, options in known.items()
    ]
    return {"anyOf": [{"enum": list(known)}, *({**one, "required": ["name"]} for one in named)]}


def _searchable() -> list[str]:
    return [name for name in FIELDS if name != "seed"]


def _closed(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _default(name: str) -> str:
    default = FIELDS[name].default
    if isinstance(default, bool) or default is None:
        return str(default).lower().replace("none", "-")
    return str(list(default)) if isinstance(default, tuple) else str(default)


def _legal(name: str) -> str:
    item = FIELDS[name]
    if name == "probe_features":
        return " | ".join(dict.fromkeys(feature for model in MODELS for feature in MODELS[model].feature_names))
    if "allowed" in item.metadata:
        return " | ".join(
            (*item.metadata["allowed"], *(["package.module:Name"] if "registry" in item.metadata else []))
        )
    if isinstance(item.default, bool):
        return "true | false"
    if isinstance(item.default, tuple):
        return "a list"
    if "text" in item.metadata:
        return "a text"
    low, high, above = (item.metadata[bound] for bound in ("low", "high", "above"))
    start = f"above {above:,}" if low is None else f"{low:,}"
    return f"{start} to {high:,}" if high is not None else start if low is None else f"{start} or more"


if __name__ == "__main__":
    for path, content in written().items():
        path.write_text(content)
