"""EMNIST's balanced split: digits and letters, look-alikes merged, 47 classes (Cohen et al. 2017)."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

from tivae.data.fetching import mirror
from tivae.data.formats import idx_arrays
from tivae.data.image_set import Arrays, File, ImageSet, UnavailableError

_MEMBERS = tuple(
    f"gzip/emnist-balanced-{part}-{what}-ubyte.gz"
    for part in ("train", "test")
    for what in ("images-idx3", "labels-idx1")
)


def _read(contents: Mapping[str, bytes]) -> Arrays:
    """The balanced split from the archive of all splits, whose images are transposed."""
    (archive,) = contents.values()
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            packed = {name: members.read(name) for name in _MEMBERS}
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError) as problem:
        raise UnavailableError(f"gzip.zip does not hold EMNIST's balanced split ({problem})") from None
    train, train_labels, test, test_labels = idx_arrays(packed)
    return Arrays(train.transpose(0, 2, 1), train_labels, test.transpose(0, 2, 1), test_labels)


EMNIST = ImageSet(
    name="emnist",
    title="EMNIST (balanced)",
    mean=0.1751,
    std=0.3332,
    classes=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
    train_images=112_800,
    test_images=18_800,
    # NIST publishes one archive; torchvision's digest is that of the whole.
    files=(File("gzip.zip", "md5:58c8d27c78d21e728a6bc7b3cc06412e", most_bytes=700_000_000),),
    sources=(mirror("https://biometrics.nist.gov/cs_links/EMNIST/", timeout_s=60),),
    read=_read,
    folder_name="EMNIST",
    download_megabytes=562,
)
