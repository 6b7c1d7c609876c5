"""The frozen augmented test set as a data set of its own: Parquet, with Croissant metadata."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.publishing.citation import ROOT
from tivae.config import TrialConfig
from tivae.data import catalogue
from tivae.data.datasets import TEST_SET_SEED, TrialData, test_warps
from tivae.data.image_set import Images
from tivae.io.files import replacing

FOLDER = "augmented_test_set"
TABLE, METADATA, README = "test.parquet", "croissant.json", "README.md"
# Name, type in Croissant, and meaning of each column.
COLUMNS = (
    ("image", "sc:ImageObject", "The warped image, PNG, greyscale."),
    ("label", "sc:Integer", "Its class, from 0."),
    ("class_name", "sc:Text", "Its class by name."),
    ("base_image", "sc:Integer", "The position of the unwarped image in the test set that it is of."),
    ("rotation_degrees", "sc:Float", "Rotation about the centre, clockwise on the screen."),
    ("shift_x_pixels", "sc:Float", "Shift to the right, after rotation and scale."),
    ("shift_y_pixels", "sc:Float", "Shift downwards, after rotation and scale."),
    ("scale", "sc:Float", "Scale about the centre."),
)
# Licences that allow it, with their addresses.
_LICENCES = {"MIT": "https://spdx.org/licenses/MIT"}


def write(config: TrialConfig, images: Images, folder: Path) -> None:
    """Writes the augmented test images that every trial with the config's warps is tested on, and what they are.

    Raises `ValueError` where the licence of the data set is not known to allow it.
    """
    if config.images.licence not in _LICENCES:
        allowed = (name for name, known in catalogue.known().items() if known.licence in _LICENCES)
        raise ValueError(
            f"the augmented test set of {config.dataset} can't be published: only of {', '.join(allowed)} is the "
            "licence known to allow it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    frame(config, images).to_parquet(content, index=False, compression="zstd")
    metadata = json.dumps(croissant(config, content.getvalue()), indent=1) + "\n"
    for name, data in ((TABLE, content.getvalue()), (METADATA, metadata.encode()), (README, readme(config).encode())):
        with replacing(folder / name) as file:
            file.write(data)


def frame(config: TrialConfig, images: Images) -> pd.DataFrame:
    """A row per test image, with the columns `COLUMNS`; pixels are rounded to whole grey values."""
    data = TrialData(images, config, "cpu")
    parts = [config.standardisation.pixels(batch).numpy() for batch in data.augmented_test().batches(1000)]
    pixels = np.rint(np.concatenate(parts) * 255).clip(0, 255).astype(np.uint8)
    pixels = pixels.reshape(len(pixels), config.images.size, config.images.size)
    warps = test_warps(images, config)
    return pd.DataFrame(
        {
            "image": [_png(image) for image in pixels],
            "label": data.test_labels,
            "class_name": [config.images.classes[label] for label in data.test_labels],
            "base_image": np.arange(len(pixels)),
            **{
                name: getattr(warps, name).numpy()[: len(pixels)]
                for name in ("rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale")
            },
        }
    )


def croissant(config: TrialConfig, table: bytes) -> dict[str, Any]:
    """The metadata (Croissant 1.0) of a table with these bytes."""
    source = {"fileObject": {"@id": TABLE}}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"images/{name}",
            "name": name,
            "description": meaning,
            "dataType": data_type,
            "source": source | {"extract": {"column": name}},
        }
        for name, data_type, meaning in COLUMNS
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{config.dataset}_augmented_test_set",
        "description": _description(config),
        "license": _LICENCES[config.images.licence],
        "version": "1.0.0",
        "datePublished": "2026-11-27",
        "creator": {"@type": "sc:Organization", "name": "The tivae authors"},
        "citeAs": (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": TABLE,
                "name": TABLE,
                "contentUrl": TABLE,
                "encodingFormat": "application/x-parquet",
                "contentSize": f"{len(table)} B",
                "sha256": hashlib.sha256(table).hexdigest(),
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "images", "name": "images", "field": fields}],
    }


def readme(config: TrialConfig) -> str:
    """A description of the data set for people."""
    columns = "\n".join(f"| `{name}` | {meaning} |" for name, _, meaning in COLUMNS)
    return (
        f"# {config.images.title}, augmented test set\n\n{_description(config)}\n\n"
        f'    pandas.read_parquet("{TABLE}")\n\n| column | content |\n| --- | --- |\n{columns}\n\n'
        f"`{METADATA}` describes it for programs (Croissant 1.0). Its licence is that of {config.images.title}.\n"
    )


def _description(config: TrialConfig) -> str:
    return (
        f"The test images of {config.images.title}, each rotated by up to {config.rotation_degrees:g} degrees, shifted "
        f"by up to {config.shift_pixels:g} pixels along x and y, and scaled by up to {100 * config.scale_range:g} %, "
        f"each of these with probability {config.warp_probability:g}: one frozen draw (seed {TEST_SET_SEED}), on which "
        "every trial with these settings is tested, whatever its seed. "
        f"{config.interpolation.capitalize()} interpolation, {config.fill} outside the frame. Pixels are rounded to "
        "whole grey values here; those that trials see are not."
    )


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return file.getvalue()


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
