"""Images of one's own, made up: as arrays, as a .npz file and as a folder; and idx files."""

import struct

import numpy as np


def arrays(size=32, train=200, test=120, classes=3, seed=0):
    """Images with a bright square whose place says the class, on noise; labels in no order."""
    source = np.random.default_rng(seed)
    parts = {}
    for split, count in (("train", train), ("test", test)):
        labels = source.permutation(np.arange(count) % classes)
        images = source.integers(0, 60, (count, size, size)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 : 4 + size // 3, 2 + 5 * label : 8 + 5 * label] = 220
        parts |= {f"{split}_images": images, f"{split}_labels": labels}
    return parts


def npz(path, **changes):
    """A .npz file of `arrays`, with `changes`; what is None is left out."""
    content = {name: value for name, value in (arrays() | changes).items() if value is not None}
    np.savez(path, **content)
    return path


def folder(path, content=None, ending="png"):
    """A folder of image files in folders by class."""
    from PIL import Image

    content = content or arrays()
    for split in ("train", "test"):
        for number, (image, label) in enumerate(
            zip(content[f"{split}_images"], content[f"{split}_labels"], strict=True)
        ):
            place = path / split / f"kind {label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:04}.{ending}")
    return path


def idx(values, kind=8):
    """An idx file with these values, uint8 (kind 8) or int32 (12)."""
    content = values.astype(">i4").tobytes() if kind == 12 else values.tobytes()
    return bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + content
