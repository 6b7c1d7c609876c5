"""Entries by name: the models, fronts, probes and measures that a config or a command can ask for.

An entry of this repository is one module in the folder of its registry, named after it. One from elsewhere is named
`package.module:Name`. Its module is imported where a search space or a command line names it; a record, which may be a
stranger's, can only name what is imported already or what the environment variable TIVAE_TRUSTED lists.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

from tivae.fields import ConfigError

if TYPE_CHECKING:
    from tivae.evaluation.measure import Measure
    from tivae.evaluation.probe import Classifier
    from tivae.models.base import Model
    from tivae.models.front import Front

TRUSTED_VARIABLE = "TIVAE_TRUSTED"
ELSEWHERE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
_importing: ContextVar[bool] = ContextVar("importing", default=False)

Entry = TypeVar("Entry")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A block in which the user names entries, so that modules outside the repository are imported."""
    token = _importing.set(True)
    try:
        yield
    finally:
        _importing.reset(token)


class Registry(Generic[Entry]):
    """Entries by name.

    field: the config field that names one, for messages. folders: of `tivae`, with one module per entry. base:
    `module:Name` of the class that entries derive from or are instances of. first: names listed before the others.
    """

    def __init__(self, field: str, folders: tuple[str, ...], base: str, first: tuple[str, ...] = ()):
        self.field, self._base = field, base
        files = [file for folder in folders for file in (Path(__file__).parent / folder).glob("*.py")]
        modules = {file.stem: f"tivae.{file.parent.relative_to(Path(__file__).parent).as_posix()}" for file in files}
        self._modules = {name: f"{folder.replace('/', '.')}.{name}" for name, folder in modules.items()}
        self._modules.pop("__init__", None)
        self.names = (*(name for name in first if name in self._modules), *sorted(self._modules.keys() - set(first)))
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.names or ELSEWHERE.fullmatch(name) is not None)

    def __getitem__(self, name: object) -> Entry:
        """The entry `name`. Raises `ConfigError` where there is none, or its module may not be imported.

        >>> MODELS["pca"].label
        'PCA'
        >>> PROBES["svm"]
        Traceback (most recent call last):
            ...
        tivae.fields.ConfigError: `probe` is 'svm'; it must be ...
        """
        if isinstance(name, str) and name in self._entries:
            return self._entries[name]
        known = isinstance(name, str) and name in self.names
        entry = self._in_repository(name) if known else self._elsewhere(name)
        self._entries[str(name)] = entry
        return entry

    def get(self, name: object) -> Entry | None:
        """The entry `name`; None where `registry[name]` raises."""
        try:
            return self[name]
        except ConfigError:
            return None

    @property
    def loaded(self) -> dict[str, Entry]:
        """All entries of the repository, and the others that this process has loaded."""
        return {name: self[name] for name in dict.fromkeys((*self.names, *self._entries))}

    def name_of(self, entry: object) -> object:
        """The name of an entry given as a class or an object; anything else unchanged."""
        if isinstance(entry, str) or not self._is_entry(entry):
            return entry
        module, name = str(getattr(entry, "__module__", "")), getattr(entry, "__qualname__", "")
        own = {path: key for key, path in self._modules.items()}
        return own.get(module, f"{module}:{name}")

    def _in_repository(self, name: object) -> Entry:
        module = importlib.import_module(self._modules[str(name)])
        own = [item for item in vars(module).values() if getattr(item, "__module__", None) == module.__name__]
        found = list(filter(self._is_entry, own))
        assert len(found) == 1, f"{module.__name__} must hold one entry, not {len(found)}"
        entry: Entry = found[0]
        return entry

    def _elsewhere(self, name: object) -> Entry:
        if not isinstance(name, str) or not ELSEWHERE.fullmatch(name):
            rule = f"it must be {' or '.join(self.names)}, or `package.module:Name` for your own"
            near = _nearest(str(name), self.names)
            hint = f"did you mean `{near}`? " if near else ""
            raise ConfigError(f"`{self.field}` is {name!r}; {hint}{rule}", self.field)
        module_name, _, attribute = name.partition(":")
        entry = getattr(self._module(name, module_name), attribute, None)
        if not self._is_entry(entry):
            rule = f"{attribute} must be a {self._base.replace(':', '.')}"
            what = "has no such name" if entry is None else "has something else of that name"
            if missing := self._missing(entry):
                what, rule = f"defines {attribute} without {', '.join(missing)}", "define them"
            raise ConfigError(f"`{self.field}` is {name}, but {module_name} {what}; {rule}", self.field)
        found: Entry = entry
        return found

    def _module(self, name: str, module_name: str) -> ModuleType:
        if module_name not in sys.modules and not (_importing.get() or _is_trusted(module_name)):
            rule = f"import {module_name} first, or set {TRUSTED_VARIABLE}={module_name}, if you trust it"
            raise ConfigError(f"`{self.field}` is {name}, which is not of this repository; {rule}", self.field)
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            problem = f"can't be imported ({type(error).__name__}: {' '.join(str(error).split())})"
            rule = "its folder must be on PYTHONPATH, and importing it must work"
            raise ConfigError(f"`{self.field}` is {name}, which {problem}; {rule}", self.field) from error
        if not module_name.startswith("tivae."):
            _outside.add(module_name)
        return module

    def _is_entry(self, item: object) -> TypeGuard[Any]:
        base = self._base_class()
        return issubclass(item, base) and not self._missing(item) if isinstance(item, type) else isinstance(item, base)

    def _missing(self, item: object) -> list[str]:
        """What a class that would be an entry must define and does not: methods, and what each declares."""
        base = self._base_class()
        if not (isinstance(item, type) and issubclass(item, base)):
            return []
        declared = [name for name, kind in inspect.get_annotations(base).items() if str(kind).startswith("ClassVar")]
        abstract = getattr(item, "__abstractmethods__", ())
        return [*sorted(abstract), *(name for name in declared if not hasattr(item, name))]

    def _base_class(self) -> type:
        module, _, name = self._base.partition(":")
        found: type = getattr(importlib.import_module(module), name)
        return found


_outside: set[str] = set()


def outside() -> list[Path]:
    """The packages, or modules of one file, outside the repository from which this process has entries."""
    found = set()
    for name in _outside:
        top = sys.modules[name.partition(".")[0]]
        folders = getattr(top, "__path__", None)
        found.add(Path(next(iter(folders)) if folders else str(top.__file__)).resolve())
    return sorted(found)


def _is_trusted(module: str) -> bool:
    trusted = os.environ.get(TRUSTED_VARIABLE, "").replace(",", " ").split()
    return any(module == name or module.startswith(f"{name}.") for name in trusted)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name whose short form `name` is, such as "cvae", or the one that is closest to it."""
    shorts = {}
    for each in known:
        *first, last = each.split("_")
        shorts["".join(part[0] for part in first) + last] = each
    plain = name.lower().replace("-", "_").replace(" ", "_")
    near = difflib.get_close_matches(plain, known, n=1)
    return shorts.get(plain) or (near[0] if near else None)


MODELS: Registry[type[Model]] = Registry(
    "model",
    ("models/autoencoders", "models/encoders", "models/controls"),
    "tivae.models.base:Model",
    first=("vae", "categorical_vae", "autoencoder", "pixels", "pca", "untrained"),
)
FRONTS: Registry[type[Front]] = Registry("front", ("models/fronts",), "tivae.models.front:Front")
PROBES: Registry[type[Classifier]] = Registry(
    "probe", ("evaluation/probes",), "tivae.evaluation.probe:Classifier", first=("logistic_regression", "linear_svm")
)
MEASURES: Registry[Measure] = Registry(
    "measures",
    ("evaluation/measures",),
    "tivae.evaluation.measure:Measure",
    first=("curves", "consistency", "equivariance", "canonicalisation", "local_invariance"),
)
