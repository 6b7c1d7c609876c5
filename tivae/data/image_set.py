"""A data set as one object: name, description of its images, and sources."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

# Height and width that the networks take: at 28 the STN's localisation network is left with 3 x 3 values, and beyond
# 64 neither the hidden layers nor the probe of raw pixels have been tried.
SIZES = (28, 64)
# As few as `train_images` and `test_images` can be.
LEAST_IMAGES = 100
MOST_CLASSES = 256


class DataError(ValueError):
    """The data are not available; the message is one line with what is wrong, the rule and the remedy."""


class UnavailableError(Exception):
    """A source does not have the files or can't deliver them; the message is the reason, in one line."""


class Arrays(NamedTuple):
    """Images uint8 (N, size, size), 0 the background, 255 the brightest; labels uint8 (N,)."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]


# The verified content of each file, by name, to arrays. Raises `UnavailableError` if they are not of its format.
Reader: TypeAlias = Callable[[Mapping[str, bytes]], Arrays]


class File(NamedTuple):
    """One file of a data set.

    digest: "sha256:..." or "md5:..." of its content; of a file whose name does not end so, `.gz` is read as well, and
    the digest is that of what is packed. most_bytes: what is larger is not read.
    """

    name: str
    digest: str
    most_bytes: int = 100_000_000


class Source(NamedTuple):
    """A place that may have a data set's files: a folder of this machine, or a download.

    A download is given the files and an empty folder to work in, and returns the folder in which they then lie. It
    raises `UnavailableError` where it cannot get them.
    """

    name: str
    place: Path | Callable[[Sequence[File], Path], Path]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A data set: greyscale images of classes, in a training and a test set.

    name: its name in a config. mean, std: of the training images' pixels, in units of the brightest pixel.
    size: height and width. classes: their names, by label. train_images, test_images: their numbers.
    files, sources, read: its files, where they are looked for, in this order, and how they are read.
    folder_name: the folder of torchvision that holds them. sha256: of images that are in no catalogue, a digest of the
    content, and origin: the path of the images, or the `package.module:Name` of this object. licence: "" if not known.
    """

    name: str
    title: str
    mean: float
    std: float
    size: int = 28
    classes: tuple[str, ...]
    train_images: int = 60_000
    test_images: int = 10_000
    files: tuple[File, ...] = ()
    sources: tuple[Source, ...] = ()
    read: Reader | None = None
    folder_name: str = ""
    download_megabytes: int = 0
    sha256: str = ""
    origin: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        low, high = SIZES
        problem = None
        if not low <= self.size <= high:
            problem = f"images of {self.size} x {self.size} pixels; they must have {low} to {high} on a side"
        elif not 2 <= len(self.classes) <= MOST_CLASSES:
            problem = f"{len(self.classes)} classes; it must have 2 to {MOST_CLASSES}"
        elif len(set(self.classes)) < len(self.classes):
            problem = "two classes of one name; each must have its own"
        elif min(self.train_images, self.test_images) < 1:
            problem = f"{self.train_images} training and {self.test_images} test images; it must have some of each"
        elif not (0 <= self.mean <= 1 and 0 < self.std <= 1):
            problem = f"mean {self.mean:g} and std {self.std:g}; they must be of pixels from 0 to 1, std above 0"
        if problem is not None:
            raise DataError(f"the data set {self.name} has {problem}")

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.size * self.size

    def facts(self) -> str:
        """The facts that a config keeps of a data set in no catalogue, as JSON; `with_facts` is the inverse."""
        values = {name: getattr(self, name) for name in _FACTS}
        return json.dumps(values | {"classes": list(self.classes)}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def with_facts(cls, name: str, text: str) -> ImageSet:
        """The data set of these facts, without files. Raises `DataError` if they are no data set's."""
        try:
            values: dict[str, Any] = json.loads(text)
            good = values.keys() == _FACTS.keys() and all(_fits(values[key], known) for key, known in _FACTS.items())
        except (ValueError, AttributeError, RecursionError):
            good = False
        if not good or not all(isinstance(label, str) for label in values["classes"]):
            raise DataError(f"the facts of {name} are {text[:60]!r}; they must be as `ImageSet.facts` gives them")
        return cls(name=name, title=name, **values | {"classes": tuple(values["classes"])})


_FACTS: dict[str, type] = {
    **{"mean": float, "std": float, "size": int, "classes": list},
    **{"train_images": int, "test_images": int, "sha256": str, "origin": str},
}


def _fits(value: Any, known: type) -> bool:
    return type(value) is known and not (isinstance(value, float) and not math.isfinite(value))


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a data set in memory, as `Arrays` has them; all arrays are read-only.

    `source` says where they come from: folder (the user's), cache, or the name of a source (debian, mirror, debian
    package). dataset: as a config names it; that of images made up for a test need not be given.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]
    source: str
    dataset: str = "fashion_mnist"


def checked(arrays: Arrays, images: ImageSet) -> Arrays:
    """`arrays`, made read-only.

    Raises `UnavailableError` if they are not the images and labels that `images` describes.
    """
    for part, pixels, labels, count in (
        ("training", arrays.train_images, arrays.train_labels, images.train_images),
        ("test", arrays.test_images, arrays.test_labels, images.test_images),
    ):
        wanted = (count, images.size, images.size)
        if pixels.dtype != np.uint8 or labels.dtype != np.uint8 or pixels.shape != wanted or labels.shape != (count,):
            found = f"{pixels.dtype} {pixels.shape} and {labels.dtype} {labels.shape}"
            raise UnavailableError(f"the {part} images and labels are {found}, not uint8 {wanted} and ({count},)")
        if labels.max() >= len(images.classes):
            rule = f"the {len(images.classes)} classes are 0 to {len(images.classes) - 1}"
            raise UnavailableError(f"a {part} label is {labels.max()}; {rule}")
    return Arrays(*(_read_only(array) for array in arrays))


def _read_only(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if not array.flags.writeable:
        return array
    # A view of bytes: nobody can make it writable again.
    return np.frombuffer(array.tobytes(), np.uint8).reshape(array.shape)
