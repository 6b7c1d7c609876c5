"""The data sets by name: what each says of itself, how its files are read, and one's own `ImageSet`."""

import gzip
import hashlib
import io
import re
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tivae.data import made_up
from tests.tivae.data.made_up import idx
from tivae.config import ConfigError, TrialConfig
from tivae.data import catalogue
from tivae.data.fetching import mirror
from tivae.data.image_set import Arrays, DataError, File, ImageSet
from tivae.data.loading import load

NAMES = ("emnist", "fashion_mnist", "kmnist", "mnist", "qmnist")
DIGITS = tuple("0123456789")


def small(name):
    """The data set `name` with a few images, and the content of its files; the images themselves as `Arrays`."""
    source = np.random.default_rng(0)
    known = catalogue.known()[name]
    arrays = Arrays(*(source.integers(0, 10, shape, np.uint8) for shape in ((6, 28, 28), 6, (4, 28, 28), 4)))
    files = [file.name for file in known.files]
    if name == "emnist":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            for part, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
                prefix = f"gzip/emnist-balanced-{part}"
                members.writestr(f"{prefix}-images-idx3-ubyte.gz", gzip.compress(idx(images.transpose(0, 2, 1))))
                members.writestr(f"{prefix}-labels-idx1-ubyte.gz", gzip.compress(idx(labels)))
        contents = {files[0]: archive.getvalue()}
    elif name == "qmnist":
        wide = [np.stack([labels, labels * 100, labels * 0], axis=1) for labels in (arrays[1], arrays[3])]
        parts = (idx(arrays[0]), idx(wide[0], 12), idx(arrays[2]), idx(wide[1], 12))
        contents = dict(zip(files, map(gzip.compress, parts), strict=True))
    else:
        parts = [
            gzip.compress(idx(array)) if file.endswith(".gz") else idx(array)
            for file, array in zip(files, arrays, strict=True)
        ]
        contents = dict(zip(files, parts, strict=True))
    digests = tuple(File(file, f"md5:{hashlib.md5(content).hexdigest()}") for file, content in contents.items())
    return replace(known, train_images=6, test_images=4, files=digests), contents, arrays


@pytest.fixture(autouse=True)
def no_other_source(tmp_path, monkeypatch):
    """The cache is empty, and no folder of the user's is looked into."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TIVAE_DATA", raising=False)


def test_these_are_known_and_fashion_mnist_is_the_default():
    assert tuple(sorted(catalogue.known())) == NAMES
    assert TrialConfig().images is catalogue.known()["fashion_mnist"]


@pytest.mark.parametrize(
    ("name", "of_torchvision"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_names_of_classes_and_files_are_torchvisions(name, of_torchvision):
    expected = getattr(pytest.importorskip("torchvision.datasets"), of_torchvision)
    known = catalogue.known()[name]
    own = [label.partition(" - ")[0] if name == "mnist" else label for label in expected.classes]
    assert known.classes == tuple(own)
    assert [file.name.removesuffix(".gz") for file in known.files] == [
        file.removesuffix(".gz") for file, _ in expected.resources
    ]
    if name == "kmnist":
        assert [file.digest for file in known.files] == [f"md5:{digest}" for _, digest in expected.resources]


def test_qmnist_and_emnist_are_torchvisions():
    datasets = pytest.importorskip("torchvision.datasets")
    resources = [*datasets.QMNIST.resources["train"], *datasets.QMNIST.resources["test"]]
    files = catalogue.known()["qmnist"].files
    assert [(file.name, file.digest) for file in files] == [
        (address.rpartition("/")[2], f"md5:{digest}") for address, digest in resources
    ]
    emnist = catalogue.known()["emnist"]
    assert emnist.classes == tuple(datasets.EMNIST.classes_split_dict["balanced"])
    assert emnist.files[0].digest == f"md5:{datasets.EMNIST.md5}"


@pytest.mark.parametrize("name", NAMES)
def test_files_are_fetched_verified_kept_and_read(served, capsys, name):
    folder, address = served
    images, contents, arrays = small(name)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    images = replace(images, sources=(mirror(address),))
    first = load(images)
    (folder / next(iter(contents))).unlink()
    second = load(images)
    assert (first.source, second.source, first.dataset) == ("mirror", "cache", name)
    assert f"Fetching {images.title} (" in capsys.readouterr().err
    for data in (first, second):
        for field in Arrays._fields:
            assert np.array_equal(getattr(data, field), getattr(arrays, field))


def test_a_file_that_was_altered_on_the_way_is_refused(served):
    folder, address = served
    images, contents, _ = small("kmnist")
    for file, content in contents.items():
        (folder / file).write_bytes(content + b"?")
    with pytest.raises(DataError, match=r"is not Kuzushiji-MNIST's file \(its .* bytes have MD5"):
        load(replace(images, sources=(mirror(address),)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"train_images": 7}, r"the training images and labels are uint8 \(6, 28, 28\) .*, not uint8 \(7, 28, 28\)"),
        ({"size": 32}, r"not uint8 \(6, 32, 32\)"),
        ({"classes": ("a", "b")}, r"a training label is \d; the 2 classes are 0 to 1"),
    ],
)
def test_images_are_what_the_data_set_says_of_itself(tmp_path, change, problem):
    images, contents, _ = small("mnist")
    for file, content in contents.items():
        (tmp_path / file).write_bytes(content)
    assert load(images, tmp_path).source == "folder"
    with pytest.raises(DataError, match=problem):
        load(replace(images, **change), tmp_path)


def test_digits_are_called_digits():
    assert TrialConfig(dataset="mnist").images.classes == DIGITS
    assert len({TrialConfig(dataset=name).key for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_standardised_by_the_data_sets_own_mean_and_std(name):
    config = TrialConfig(dataset=name)
    assert (config.standardisation.mean, config.standardisation.std) == (config.images.mean, config.images.std)
    assert TrialConfig(dataset=name, pixel_std=config.images.std) == config


# Named by a config as tests.tivae.data.test_catalogue:CELLS.
CELLS = ImageSet(
    name="cells",
    title="Cells",
    mean=0.2,
    std=0.3,
    size=40,
    classes=("round", "long"),
    train_images=300,
    test_images=150,
    files=(File("cells", "sha256:00"),),
)


class TestElsewhere:
    def test_a_config_names_an_image_set_of_ones_own(self):
        config = TrialConfig(dataset="tests.tivae.data.test_catalogue:CELLS")
        assert config.dataset == f"cells@{config.images.sha256[:8]}"
        assert (config.images.size, config.images.classes) == (40, ("round", "long"))
        assert TrialConfig.from_dict(config.to_dict()) == config

    def test_other_files_make_another_key(self, monkeypatch):
        config = TrialConfig(dataset="tests.tivae.data.test_catalogue:CELLS")
        changed = replace(CELLS, files=(File("cells", "sha256:01"),))
        monkeypatch.setattr("tests.tivae.data.test_catalogue.CELLS", changed)
        assert TrialConfig(dataset="tests.tivae.data.test_catalogue:CELLS").key != config.key
        with pytest.raises(DataError, match="is another data set now than when it was named cells@"):
            load(config.images)

    @pytest.mark.parametrize(
        ("place", "problem"),
        [
            ("no_such_module:CELLS", "No module named 'no_such_module'"),
            ("tests.tivae.data.test_catalogue:NOTHING", "has no attribute 'NOTHING'"),
            ("broken_cells:CELLS", "NameError: name 'nothing' is not defined"),
            ("tests.tivae.data.test_catalogue:DIGITS", "a tuple; it must name an `ImageSet`"),
        ],
    )
    def test_what_is_none_is_refused(self, place, problem, tmp_path, monkeypatch):
        (tmp_path / "broken_cells.py").write_text("CELLS = nothing")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=problem):
            TrialConfig(dataset=place)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 27}, "images of 27 x 27 pixels; they must have 28 to 64 on a side"),
        ({"size": 65}, "images of 65 x 65 pixels"),
        ({"classes": ("one",)}, "1 classes; it must have 2 to 256"),
        ({"classes": ("one", "one")}, "two classes of one name"),
        ({"std": 0.0}, "mean 0.2 and std 0; they must be of pixels from 0 to 1"),
        ({"test_images": 0}, "300 training and 0 test images"),
    ],
)
def test_an_impossible_image_set_is_refused(change, problem):
    with pytest.raises(DataError, match=f"the data set cells has {problem}"):
        replace(CELLS, **change)


def test_images_of_another_data_set_are_refused(tmp_path, host):
    from tivae.data.datasets import TrialData

    config = TrialConfig(dataset=str(made_up.npz(tmp_path / "cells.npz")))
    with pytest.raises(DataError, match=f"the images are those of fashion_mnist; they must be .* {config.dataset}"):
        TrialData(host, config, "cpu")


def test_the_readmes_recipe_adds_a_data_set_with_one_file(tmp_path, monkeypatch):
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    code = re.search(r"```python\n# cells\.py in tivae/data/catalogue\n(.*?)```", readme, re.S)[1]
    size, train, test = (
        int(re.search(rf"\b{name}=(\d+)", code)[1]) for name in ("size", "train_images", "test_images")
    )
    source = np.random.default_rng(0)
    shapes = ((train, size, size), train, (test, size, size), test)
    for name, shape in zip(re.findall(r'File\("([\w.]+)"', code), shapes, strict=True):
        content = gzip.compress(idx(source.integers(0, 2, shape, np.uint8)))
        (tmp_path / name).write_bytes(content)
        code = code.replace(f'"{name}", "sha256:..."', f'"{name}", "sha256:{hashlib.sha256(content).hexdigest()}"')
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "cells.py").write_text(code)
    monkeypatch.setattr(catalogue, "__path__", [*catalogue.__path__, str(tmp_path / "catalogue")])
    catalogue.known.cache_clear()
    try:
        config = TrialConfig(dataset="cells")
        assert (config.images.size, len(config.images.classes), config.dataset_facts) == (size, 2, None)
        assert load(config.images, tmp_path).train_images.shape == (train, size, size)
    finally:
        monkeypatch.undo()
        catalogue.known.cache_clear()
        sys.modules.pop("tivae.data.catalogue.cells", None)
