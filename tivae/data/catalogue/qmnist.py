"""QMNIST, MNIST rebuilt with all 60,000 test digits (Yadav and Bottou 2019); digests are torchvision's."""

from __future__ import annotations

from tivae.data.catalogue.mnist import MNIST
from tivae.data.fetching import mirror
from tivae.data.image_set import File, ImageSet

# The training images are MNIST's but for a pixel here and there, and are standardised as those are.
QMNIST = ImageSet(
    name="qmnist",
    title="QMNIST",
    mean=MNIST.mean,
    std=MNIST.std,
    classes=MNIST.classes,
    test_images=60_000,
    files=(
        File("qmnist-train-images-idx3-ubyte.gz", "md5:ed72d4157d28c017586c42bc6afe6370"),
        File("qmnist-train-labels-idx2-int.gz", "md5:0058f8dd561b90ffdd0f734c6a30e5e4"),
        File("qmnist-test-images-idx3-ubyte.gz", "md5:1394631089c404de565df7b7aeaf9412"),
        File("qmnist-test-labels-idx2-int.gz", "md5:5b5b05890a5e13444e108efe57b788aa"),
    ),
    sources=(mirror("https://raw.githubusercontent.com/facebookresearch/qmnist/master/"),),
    folder_name="QMNIST",
    download_megabytes=20,
)
