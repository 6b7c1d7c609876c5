"""MNIST's digits (LeCun, Cortes and Burges 1998)."""

from __future__ import annotations

from tivae.data.fetching import mirror
from tivae.data.image_set import File, ImageSet

MNIST = ImageSet(
    name="mnist",
    title="MNIST",
    mean=0.1307,
    std=0.3081,
    classes=tuple("0123456789"),
    files=(
        File("train-images-idx3-ubyte", "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        File("train-labels-idx1-ubyte", "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        File("t10k-images-idx3-ubyte", "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        File("t10k-labels-idx1-ubyte", "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
    sources=(
        mirror("https://ossci-datasets.s3.amazonaws.com/mnist/", suffix=".gz"),
        mirror("https://storage.googleapis.com/cvdf-datasets/mnist/", suffix=".gz"),
    ),
    folder_name="MNIST",
    download_megabytes=12,
    licence="CC BY-SA 3.0",
)
