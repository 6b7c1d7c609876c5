"""One's own images: a `.npz` file, or a folder of image files in folders by class.

    images.npz    train_images, test_images: uint8 (N, size, size); train_labels, test_labels: whole numbers from 0,
                  (N,) or (N, 1), as MedMNIST has them; class_names: texts, may be missing
    images/       train/CLASS/*.png and test/CLASS/*.png (or .jpg, .bmp, .tif), greyscale with 8 bits

All are square and of one size. An `.npz` keeps its order, which must not be that of the labels, since `train_images: N`
takes the first N; the files of a folder, which have no order, are put in one that is drawn once for all.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tivae.data.image_set import LEAST_IMAGES, MOST_CLASSES, SIZES, Arrays, DataError, Images, ImageSet
from tivae.io import files
from tivae.io.files import DamagedFile

SUFFIX = ".npz"
SPLITS = ("train", "test")
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
# Of all images together: as many as 1.9 million of 32 x 32 pixels.
MOST_BYTES = 2_000_000_000
_LAYOUT = f"it must hold train/CLASS/*.png and test/CLASS/*.png (or {', '.join(_ENDINGS[1:])})"


@functools.lru_cache(maxsize=100)
def described(path: str) -> ImageSet:
    """The data set of the images at `path`, read once in a process. Raises `DataError` if they can't be used."""
    arrays, classes = _read(Path(path))
    return _image_set(path, arrays, classes)


def load(images: ImageSet, folder: Path | None = None) -> Images:
    """The images that `described` gave as `images`, verified; from `folder` where they have been brought there.

    Raises `DataError` if they are gone, or are others now.
    """
    for path in _places(Path(images.origin), folder):
        arrays, classes = _read(path)
        found = _image_set(str(path), arrays, classes)
        if found.sha256 == images.sha256:
            return Images(*arrays, source="folder", dataset=images.name)
    raise DataError(
        f"{path} holds other images than those of {images.name} (digest {found.sha256[:12]}, not "
        f"{images.sha256[:12]}); give --data the folder that has these, or name the new ones as `dataset`"
    )


def _places(origin: Path, folder: Path | None) -> list[Path]:
    """Where the images of `origin` may be, at least one place."""
    if folder is None:
        return [origin]
    places = [path for path in (origin, folder / origin.name) if path.exists()]
    return places or [folder]


def _image_set(path: str, arrays: Arrays, classes: tuple[str, ...]) -> ImageSet:
    pixels = arrays.train_images
    if pixels.min() == pixels.max():
        raise DataError(f"{path} holds training images that are all of one grey; they must differ")
    counts = np.bincount(pixels.ravel(), minlength=256)
    # Whole numbers up to the last division: the same on every machine.
    total = sum(int(count) * value for value, count in enumerate(counts))
    squares = sum(int(count) * value * value for value, count in enumerate(counts))
    mean = total / pixels.size
    std = (squares / pixels.size - mean * mean) ** 0.5
    return ImageSet(
        name=Path(path).name.removesuffix(SUFFIX),
        title=Path(path).name,
        # Four digits, as data sets publish them; the standard deviation of a dark set is kept above 0.
        mean=round(mean / 255, 4),
        std=max(round(std / 255, 4), 0.0001),
        size=pixels.shape[1],
        classes=classes,
        train_images=len(pixels),
        test_images=len(arrays.test_images),
        sha256=_digest(arrays, classes),
        origin=path,
    )


def _digest(arrays: Arrays, classes: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(classes).encode())
    for array in arrays:
        digest.update(f"\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    try:
        arrays, classes = _of_folder(path) if path.is_dir() else _of_npz(path)
    except DamagedFile as problem:
        raise DataError(f"{problem}: a .npz file, or a folder of images") from None
    except OSError as problem:
        raise DataError(f"{problem.filename or path} cannot be read ({problem.strerror or problem})") from None
    low, high = SIZES
    for split, images, labels in zip(SPLITS, arrays[::2], arrays[1::2], strict=True):
        if images.ndim != 3 or images.shape[1] != images.shape[2] or not low <= images.shape[1] <= high:
            rule = f"they must be greyscale and square, {low} to {high} pixels on a side: (N, size, size)"
            raise DataError(f"the {split} images of {path} have shape {images.shape}; {rule}")
        if len(images) < LEAST_IMAGES or len(labels) != len(images):
            rule = f"it must have at least {LEAST_IMAGES}, and a label for each"
            raise DataError(f"{path} has {len(images)} {split} images and {len(labels)} labels; {rule}")
        if labels.max() >= len(classes):
            rule = f"labels count from 0, and there are {len(classes)} class names"
            raise DataError(f"{path} has the {split} label {labels.max()}; {rule}")
        if len(np.unique(labels)) > 1 and (np.diff(labels.astype(int)) >= 0).all():
            rule = "shuffle images and labels together, as settings such as `train_images` take the first of them"
            raise DataError(f"the {split} images of {path} are in the order of their labels; {rule}")
    if arrays.train_images.shape[1:] != arrays.test_images.shape[1:]:
        sizes = f"{arrays.train_images.shape[1]} and {arrays.test_images.shape[1]} pixels"
        raise DataError(f"{path} has training and test images of {sizes} on a side; all must be of one size")
    if len(np.unique(arrays.train_labels)) < 2:
        raise DataError(f"{path} has training images of one class; a classifier needs two or more")
    return arrays, classes


def _of_npz(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    needed = [f"{split}_{what}" for split in SPLITS for what in ("images", "labels")]
    with files.opened(path, MOST_BYTES, follow=True) as file:
        try:
            if sum(part.file_size for part in zipfile.ZipFile(file).infolist()) > MOST_BYTES:
                raise DataError(f"{path} unpacks to more than {MOST_BYTES:,} bytes; give fewer or smaller images")
            with np.load(file, allow_pickle=False) as content:
                missing = [name for name in needed if name not in content]
                if missing:
                    raise DataError(f"{path} holds no {' and no '.join(missing)}; it must hold {', '.join(needed)}")
                values = {name: content[name] for name in (*needed, "class_names") if name in content}
        except DataError:
            raise
        # numpy documents no errors; damaged files raised BadZipFile, ValueError, EOFError, zlib.error ...
        except Exception as problem:
            raise DataError(f"{path} is damaged or no .npz file ({' '.join(str(problem).split())})") from None
    arrays = Arrays(
        *(_pixels(values[n], n, path) if n.endswith("images") else _labels(values[n], n, path) for n in needed)
    )
    given = values.get("class_names")
    if given is None:
        return arrays, tuple(map(str, range(max(2, 1 + int(max(arrays.train_labels.max(), arrays.test_labels.max()))))))
    if given.ndim != 1 or given.dtype.kind != "U":
        raise DataError(f"`class_names` of {path} is {given.dtype} {given.shape}; it must be a list of texts")
    return arrays, tuple(map(str, given))


def _pixels(values: npt.NDArray[Any], name: str, path: Path) -> npt.NDArray[np.uint8]:
    if values.dtype != np.uint8:
        raise DataError(f"`{name}` of {path} is {values.dtype}; it must be uint8, 0 the background to 255")
    # A view of bytes: nobody can make it writable.
    return np.frombuffer(values.tobytes(), np.uint8).reshape(values.shape)


def _labels(values: npt.NDArray[Any], name: str, path: Path) -> npt.NDArray[np.uint8]:
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if (
        flat.ndim != 1
        or flat.dtype.kind not in "iu"
        or (len(flat) and not 0 <= flat.min() <= flat.max() < MOST_CLASSES)
    ):
        rule = f"it must be whole numbers from 0 to at most {MOST_CLASSES - 1}, one for each image"
        raise DataError(f"`{name}` of {path} is {values.dtype} {values.shape}; {rule}")
    return np.frombuffer(flat.astype(np.uint8).tobytes(), np.uint8)


def _of_folder(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    found = {split: _files(path / split) for split in SPLITS}
    classes = sorted({name for files in found.values() for name in files})
    if not all(found.values()) or len(classes) < 2 or len(classes) > MOST_CLASSES:
        counts = ", ".join(f"{len(files)} classes in {split}/" for split, files in found.items())
        raise DataError(f"the folder {path} has {counts}; {_LAYOUT}, of 2 to {MOST_CLASSES} classes")
    arrays = []
    for split in SPLITS:
        files = [(classes.index(name), file) for name, names in found[split].items() for file in names]
        # The files of a folder have no order: one for all, in which each class is among the first.
        order = np.random.RandomState(0).permutation(len(files))
        pixels: list[npt.NDArray[np.uint8]] = []
        for number in order:
            pixels.append(_picture(files[number][1], len(pixels[0]) if pixels else None))
        images = np.frombuffer(b"".join(array.tobytes() for array in pixels), np.uint8)
        images = images.reshape(len(pixels), *pixels[0].shape)
        labels = np.frombuffer(bytes(files[number][0] for number in order), np.uint8)
        arrays += [images, labels]
    return Arrays(*arrays), tuple(classes)


def _files(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class, in the order of their names."""
    if not folder.is_dir():
        return {}
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    files = {
        entry.name: sorted(file for file in entry.iterdir() if file.suffix.lower() in _ENDINGS) for entry in classes
    }
    return {name: found for name, found in files.items() if found}


def _picture(path: Path, size: int | None) -> npt.NDArray[np.uint8]:
    """The pixels of an image file, whose size is looked at before it is unpacked."""
    from PIL import Image, UnidentifiedImageError

    low, high = SIZES
    try:
        with files.opened(path, follow=True) as file, Image.open(file) as picture:
            width, height = picture.size
            if picture.mode != "L":
                rule = "it must be greyscale with 8 bits (mode L), as `image.convert('L')` of Pillow makes it"
                raise DataError(f"{path} is an image of mode {picture.mode}; {rule}")
            if width != height or not low <= width <= high or width != (size or width):
                rule = f"all must be square and of one size, {low} to {high} pixels on a side"
                raise DataError(f"{path} is of {width} x {height} pixels; {rule}")
            return np.asarray(picture)
    except (UnidentifiedImageError, SyntaxError, ValueError, OSError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{path} is damaged or no image ({' '.join(str(problem).split())})") from None
