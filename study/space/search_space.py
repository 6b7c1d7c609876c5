"""Search spaces: the trials of a file of `search_spaces/`, or its search."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.space import factors, grid, search, yaml_reader
from study.space.grid import Grid
from study.space.search import Search
from study.space.yaml_reader import Node, SpaceError
from tivae import registry
from tivae.config import ConfigError, TrialConfig

__all__ = ["SearchSpace", "SpaceError", "available", "find", "parse_override", "read"]

FOLDER = Path(__file__).resolve().parents[2] / "search_spaces"

_REGISTRIES: dict[str, registry.Registry[Any]] = {"model": registry.MODELS, "probe": registry.PROBES}
_GRID_KEYS = ("settings", "factors", "seeds")


@dataclass(frozen=True)
class SearchSpace:
    """The trials that one file asks for, each once, all of one seed before the next; none where it is a search."""

    name: str
    question: str
    trials: tuple[TrialConfig, ...]
    search: Search | None = None
    unused: tuple[str, ...] = ()
    """Fields that the file or an override gives, and no trial uses."""


def available() -> list[Path]:
    """The files in `search_spaces/`, by name."""
    return sorted(FOLDER.glob("*.yaml"))


def find(name_or_path: str) -> Path:
    """The file of a search space given by its name in `search_spaces/`, from any folder, or by its path.

    Raises `SpaceError` with the known names if there is none.
    """
    known = {path.stem: path for path in available()}
    if name_or_path in known:
        return known[name_or_path]
    for path in (Path(name_or_path), FOLDER.parent / name_or_path, FOLDER / name_or_path):
        if _is_file(path):
            return path
    near = difflib.get_close_matches(Path(name_or_path).stem, known, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    rule = f"{hint}give one of {', '.join(known)}, or the path of a .yaml file"
    raise SpaceError(f"there is no search space `{name_or_path}`; {rule}")


def read(
    path: Path, *, overrides: Mapping[str, Any] | None = None, seeds: int | list[int] | None = None
) -> SearchSpace:
    """The search space in a file, with fields and seeds replaced in every trial.

    An override puts its value in place of the setting or factor of that name wherever it stands; a list of
    values, or a mapping of ranges, makes it a factor. `seeds` is a count or a list.

    Raises `SpaceError` with file and line, whatever bytes the file holds.
    """
    path = Path(path)
    source = _shown(path)
    document = yaml_reader.parse(_bytes(path, source), source)
    # Who runs a search space trusts the modules that it names.
    with registry.importing():
        _import_entries(document.plain, source)
        _import_entries(overrides or {}, "--set")
        return _read(path, source, document, overrides or {}, seeds)


def _read(
    path: Path, source: str, document: Node, overrides: Mapping[str, Any], seeds: int | list[int] | None
) -> SearchSpace:
    if isinstance(document.value, dict) and "search" in document.value:
        searched = search.read(document, source, overrides, seeds)
        given = [name for name, node in searched.settings.items() if node.value is not None]
        unused = _unused([*given, *(item.name for item in searched.parameters)], searched.sample)
        return SearchSpace(path.stem, _question(document), (), searched, unused)
    grids = _grids(document)
    grid.check_conditions(grids)
    replaced = grid.overrides(overrides, seeds)
    grids = [each.updated(replaced) for each in grids]
    trials = grid.trials(grids, source)
    given = [*_named_fields(document), *overrides]
    return SearchSpace(
        name=path.stem,
        question=_question(document),
        trials=trials,
        unused=_unused([name for name in given if any(each.values_of(name) - {None} for each in grids)], trials),
    )


def _unused(given: Iterable[str], trials: Sequence[TrialConfig]) -> tuple[str, ...]:
    """Those of the fields that are unset in all of the trials, of which none has a use for it."""
    return tuple(name for name in dict.fromkeys(given) if all(getattr(config, name) is None for config in trials))


def _import_entries(part: Any, source: str, field: str | None = None) -> None:
    """Imports the models and probes from elsewhere that `part` names anywhere, so that their own fields are known."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            _import_entries(value, source, name if name in _REGISTRIES else field)
    elif isinstance(part, list | tuple):
        for value in part:
            _import_entries(value, source, field)
    elif field is not None and isinstance(part, str) and registry.ELSEWHERE.fullmatch(part):
        try:
            _REGISTRIES[field][part]
        except ConfigError as error:
            raise SpaceError(str(error), source) from None


def parse_override(text: str) -> tuple[str, Any]:
    """The name and the value of `name=value`; the value is read as in a file.

    >>> parse_override("learning_rate=1e-3")
    ('learning_rate', 0.001)
    >>> parse_override("latent_dim={range: [2, 8, 2]}")
    ('latent_dim', {'range': [2, 8, 2]})

    Raises `SpaceError` if there is no name, no "=" or no readable value.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise SpaceError(f"`{text}` is not of the form name=value, such as epochs=5", "--set")
    place = f"--set {name}"
    return name, yaml_reader.parse(value.encode(errors="surrogatepass"), place).plain


def _grids(document: Node) -> list[Grid]:
    value = document.value
    if value is None or value == {}:
        raise SpaceError("the file is empty; copy search_spaces/example.yaml to begin with", document.place)
    if not isinstance(value, dict):
        found = "a list" if isinstance(value, list) else "a single value"
        rule = "it must hold `settings` and `factors`, as search_spaces/example.yaml does"
        raise SpaceError(f"the file is {found}; {rule}", document.place)
    factors.check_keys(document, ("question", "search", *_GRID_KEYS, "blocks"), "a search space")
    shared = grid.read(document)
    if "blocks" not in value:
        if not set(value) & set(_GRID_KEYS):
            raise SpaceError("the file asks for no trials; give it `factors` or `settings`", document.place)
        return [shared]
    blocks = value["blocks"]
    if not isinstance(blocks.value, list) or not blocks.value:
        raise SpaceError("`blocks` holds no blocks; it must be a list of them, or be left out", blocks.place)
    return [shared.updated(_block(block)) for block in blocks.value]


def _block(node: Node) -> Grid:
    if not isinstance(node.value, dict) or not node.value:
        rule = "it must hold `settings`, `factors` or `seeds`"
        raise SpaceError(f"a block of `blocks` is {node.plain!r}; {rule}", node.place)
    factors.check_keys(node, _GRID_KEYS, "a block")
    return grid.read(node)


def _named_fields(document: Node) -> Iterator[str]:
    blocks = document.value["blocks"].value if "blocks" in document.value else []
    for node in (document, *blocks):
        for key in node.value:
            if key in ("settings", "factors"):
                yield from factors.entries(node, key)


def _question(document: Node) -> str:
    node = document.value.get("question")
    if node is None:
        return ""
    if not isinstance(node.value, str) or not node.value.strip():
        raise SpaceError(f"`question` is {node.plain!r}; it must be a sentence", node.place)
    return yaml_reader.one_line(node.value)


def _bytes(path: Path, source: str) -> bytes:
    if not _is_file(path):
        raise SpaceError("there is no such file; give the path of a .yaml file", source)
    try:
        with path.open("rb") as file:
            return file.read(yaml_reader.MAX_BYTES + 1)
    except OSError as error:
        raise SpaceError(f"the file cannot be read ({error.strerror}); make it readable", source) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def _shown(path: Path) -> str:
    full = Path(os.path.abspath(path))
    return str(full.relative_to(FOLDER.parent)) if full.is_relative_to(FOLDER.parent) else str(path)
