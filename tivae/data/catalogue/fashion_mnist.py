"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), the data set of the paper."""

from __future__ import annotations

from pathlib import Path

from tivae.data.fetching import debian_package, mirror
from tivae.data.image_set import File, ImageSet, Source

_DEBIAN_FOLDER = "usr/share/datasets/fashion-mnist"

# Digests of the unpacked files: Debian rewrites the headers of the .gz files, so that the official MD5s do not hold
# there. (With the official headers put back its files have the official MD5s: the content is the same.)
FASHION_MNIST = ImageSet(
    name="fashion_mnist",
    title="Fashion-MNIST",
    mean=0.2860,
    std=0.3530,
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    files=(
        File("train-images-idx3-ubyte", "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        File("train-labels-idx1-ubyte", "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        File("t10k-images-idx3-ubyte", "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        File("t10k-labels-idx1-ubyte", "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ),
    sources=(
        Source("debian", Path("/", _DEBIAN_FOLDER)),
        mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", suffix=".gz"),
        debian_package("dataset-fashion-mnist", _DEBIAN_FOLDER),
    ),
    folder_name="FashionMNIST",
    download_megabytes=31,
    licence="MIT",
)
