"""All data sets by name: each `ImageSet` in a module of this folder is one, and there is no other list of them."""

from __future__ import annotations

import functools
import hashlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tivae.data import own_images
from tivae.data.image_set import DataError, ImageSet

DEFAULT = "fashion_mnist"
_ELSEWHERE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# Digits of a digest behind the name of a data set that is in no catalogue.
_DIGITS = 8
_RESOLVED = re.compile(rf"[\w.-]{{1,60}}@[0-9a-f]{{{_DIGITS}}}")


@functools.cache
def known() -> Mapping[str, ImageSet]:
    """The data sets of this folder by name."""
    found: dict[str, ImageSet] = {}
    for module in pkgutil.iter_modules(__path__):
        content = vars(importlib.import_module(f"{__name__}.{module.name}"))
        for item in content.values():
            if isinstance(item, ImageSet) and found.setdefault(item.name, item) is not item:
                raise DataError(f"two data sets are called {item.name}; each must have a name of its own")
    return MappingProxyType(found)


def named(dataset: str, facts: str | None = None) -> ImageSet:
    """The data set that a config calls `dataset`. Raises `DataError` if there is none of that name."""
    if dataset in known():
        return known()[dataset]
    if facts is None or not _RESOLVED.fullmatch(dataset):
        raise DataError(f"`dataset` is {dataset!r}; {_RULE.format(', '.join(known()))}")
    return _with_facts(dataset, facts)


def is_resolved(dataset: str, facts: str | None) -> bool:
    """Whether these are as `resolved` gives them."""
    return (facts is None and dataset in known()) or (facts is not None and bool(_RESOLVED.fullmatch(dataset)))


def resolved(dataset: str) -> tuple[str, str | None]:
    """The form in which a config keeps a `dataset`: its name, and facts if it is in no catalogue.

    That may be `package.module:Name`, an `ImageSet` in a module of one's own, or the path of images, see
    `tivae.data.own_images`: the name is then that of the object, module or path with eight digits of a digest of its
    content. What is in the catalogue stays as it is.

    Raises `DataError` if there is no such data set.
    """
    if dataset in known():
        return dataset, None
    if _ELSEWHERE.fullmatch(dataset):
        images = elsewhere(dataset, may_import=True)
    elif dataset.endswith(own_images.SUFFIX) or Path(dataset).expanduser().is_dir():
        images = own_images.described(str(Path(dataset).expanduser().absolute()))
    else:
        raise DataError(f"`dataset` is {dataset!r}; {_RULE.format(', '.join(known()))}")
    name = re.sub(r"[^\w.-]", "_", images.name)[:60]
    return f"{name}@{images.sha256[:_DIGITS]}", images.facts()


def elsewhere(place: str, *, may_import: bool = False) -> ImageSet:
    """The `ImageSet` at `package.module:Name`. Raises `DataError` if there is none.

    may_import: a place that a stranger's record names must run no code, so the module must be there already.
    """
    module, _, name = place.partition(":")
    rule = "it must name an `ImageSet` as package.module:Name, in a module that can be imported"
    if not may_import and module not in sys.modules:
        raise DataError(f"the images are those of {place}, and what is read may not run it; import {module} first")
    try:
        found = getattr(importlib.import_module(module), name)
    # Whatever a module of the user's own raises.
    except Exception as problem:
        raise DataError(f"`dataset` is {place!r} ({type(problem).__name__}: {problem}); {rule}") from problem
    if not isinstance(found, ImageSet):
        raise DataError(f"`dataset` is {place!r}, a {type(found).__name__}; {rule}")
    content = [replace(found, sha256="", origin="").facts(), *(file.digest for file in found.files)]
    return replace(found, sha256=hashlib.sha256("\n".join(content).encode()).hexdigest(), origin=place)


_RULE = "it must be {}, the path of a .npz file or of a folder of images, or package.module:Name of an `ImageSet`"


@functools.lru_cache(maxsize=1000)
def _with_facts(dataset: str, facts: str) -> ImageSet:
    images = ImageSet.with_facts(dataset, facts)
    if not images.sha256.startswith(dataset.rpartition("@")[2]):
        raise DataError(f"`dataset` is {dataset}, but the facts are of {images.sha256[:12]!r}...; give its path")
    return images
