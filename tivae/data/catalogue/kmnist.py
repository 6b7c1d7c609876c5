"""Kuzushiji-MNIST, cursive Japanese characters (Clanuwat et al. 2018); digests are torchvision's."""

from __future__ import annotations

from tivae.data.fetching import mirror
from tivae.data.image_set import File, ImageSet

KMNIST = ImageSet(
    name="kmnist",
    title="Kuzushiji-MNIST",
    mean=0.1918,
    std=0.3483,
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    files=(
        File("train-images-idx3-ubyte.gz", "md5:bdb82020997e1d708af4cf47b453dcf7"),
        File("train-labels-idx1-ubyte.gz", "md5:e144d726b3acfaa3e44228e80efcd344"),
        File("t10k-images-idx3-ubyte.gz", "md5:5c965bf0a639b31b8f53240b1b52f4d7"),
        File("t10k-labels-idx1-ubyte.gz", "md5:7320c461ea6c1c855c0b718fb2a4b134"),
    ),
    sources=(mirror("http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),),
    folder_name="KMNIST",
    download_megabytes=21,
    licence="CC BY-SA 4.0",
)
