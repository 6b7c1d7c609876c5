"""One's own images, from a .npz file or a folder: what a config makes of them, and what is refused."""

import os
import shutil
import zipfile

import numpy as np
import pytest

from tests.tivae.data import made_up
from tivae.config import ConfigError, TrialConfig
from tivae.data import own_images
from tivae.data.image_set import DataError
from tivae.data.loading import load


@pytest.fixture(autouse=True)
def _read_again(monkeypatch):
    own_images.described.cache_clear()
    monkeypatch.delenv("TIVAE_DATA", raising=False)


def config_of(path, **changes):
    return TrialConfig(dataset=str(path), **changes)


class TestFile:
    def test_a_config_takes_size_counts_classes_and_statistics_from_it(self, tmp_path):
        content = made_up.arrays(size=40)
        config = config_of(made_up.npz(tmp_path / "cells.npz", **content, class_names=["a", "b", "c"]))
        images = config.images
        assert config.dataset == f"cells@{images.sha256[:8]}"
        assert (images.size, images.train_images, images.test_images) == (40, 200, 120)
        assert images.classes == ("a", "b", "c")
        pixels = content["train_images"] / 255
        assert (images.mean, images.std) == pytest.approx((pixels.mean(), pixels.std()), abs=5e-5)

    def test_its_images_are_loaded_as_they_are_and_can_not_be_written_to(self, tmp_path):
        content = made_up.arrays()
        data = load(config_of(made_up.npz(tmp_path / "cells.npz", **content)).images)
        for name, expected in content.items():
            assert np.array_equal(getattr(data, name), expected)
            with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
                getattr(data, name).setflags(write=True)
        assert data.source == "folder"

    def test_the_folder_that_is_given_comes_before_a_file_that_has_changed(self, tmp_path):
        file = made_up.npz(tmp_path / "cells.npz")
        images = config_of(file).images
        (tmp_path / "kept").mkdir()
        file.rename(tmp_path / "kept" / "cells.npz")
        made_up.npz(file, train_labels=made_up.arrays()["train_labels"][::-1])
        assert len(load(images, tmp_path / "kept").train_images) == images.train_images
        with pytest.raises(DataError, match=f"holds other images than those of {images.name} .*; give --data the f"):
            load(images)

    def test_labels_of_medmnist_have_a_second_axis_and_classes_have_numbers(self, tmp_path):
        content = made_up.arrays()
        columns = {name: content[name][:, None] for name in ("train_labels", "test_labels")}
        config = config_of(made_up.npz(tmp_path / "cells.npz", **columns, val_images=content["test_images"]))
        assert config.images.classes == ("0", "1", "2")
        assert np.array_equal(load(config.images).train_labels, content["train_labels"])

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"test_labels": None}, "holds no test_labels; it must hold train_images, train_labels, test_images, test"),
            ({"train_images": np.zeros((200, 32, 30), np.uint8)}, r"train images of .* have shape \(200, 32, 30\)"),
            ({"train_images": np.zeros((200, 32, 32, 3), np.uint8)}, "must be greyscale and square, 28 to 64 pixels"),
            ({"train_images": np.zeros((200, 32, 32), np.uint8)}, "are all of one grey; they must differ"),
            ({"train_images": np.zeros((200, 32, 32))}, "`train_images` of .* is float64; it must be uint8"),
            (made_up.arrays(size=27), r"have shape \(200, 27, 27\)"),
            (made_up.arrays(size=65), r"have shape \(200, 65, 65\)"),
            (
                made_up.arrays(test=99),
                "has 99 test images and 99 labels; it must have at least 100",
            ),
            ({"test_labels": np.zeros(7, int)}, "has 120 test images and 7 labels"),
            ({"test_images": made_up.arrays(size=28)["test_images"]}, "training and test images of 32 and 28 pixels"),
            ({"train_labels": np.full(200, -1)}, "`train_labels` of .* is int64 .*; it must be whole numbers from 0"),
            ({"train_labels": np.full(200, 0.5)}, "`train_labels` of .* is float64"),
            ({"train_labels": np.full(200, 256)}, "it must be whole numbers from 0 to at most 255"),
            ({"train_labels": np.zeros(200, int)}, "has training images of one class; a classifier needs two"),
            (
                {"train_labels": np.sort(np.arange(200) % 3)},
                "are in the order of their labels; shuffle images",
            ),
            ({"class_names": ["a", "b"]}, "has the train label 2; labels count from 0, and there are 2 class names"),
            ({"class_names": ["a", "a", "b"]}, "has two classes of one name"),
            ({"class_names": np.arange(3)}, "`class_names` of .* it must be a list of texts"),
        ],
    )
    def test_what_can_not_be_used_is_refused_in_a_line(self, tmp_path, changes, problem):
        with pytest.raises(ConfigError, match=problem) as raised:
            config_of(made_up.npz(tmp_path / "cells.npz", **changes))
        assert "\n" not in str(raised.value)
        assert raised.value.field_name == "dataset"

    def test_a_pickle_in_it_is_not_run(self, tmp_path):
        np.savez(tmp_path / "cells.npz", **made_up.arrays() | {"train_labels": np.array([print] * 200, dtype=object)})
        with pytest.raises(ConfigError, match=r"is damaged or no \.npz file \(.*pickle"):
            config_of(tmp_path / "cells.npz")

    @pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut off"])
    def test_what_is_no_npz_file_is_named(self, tmp_path, content):
        (tmp_path / "cells.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=r"cells\.npz is damaged or no \.npz file"):
            config_of(tmp_path / "cells.npz")

    def test_what_would_not_fit_into_memory_is_refused_before_it_is_unpacked(self, tmp_path, monkeypatch):
        monkeypatch.setattr(own_images, "MOST_BYTES", 10_000)
        with zipfile.ZipFile(tmp_path / "cells.npz", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("train_images.npy", bytes(10_001))
        with pytest.raises(ConfigError, match="unpacks to more than 10,000 bytes"):
            config_of(tmp_path / "cells.npz")

    def test_a_pipe_blocks_nobody(self, tmp_path):
        os.mkfifo(tmp_path / "cells.npz")
        with pytest.raises(ConfigError, match=r"cells\.npz is not a regular file; it must be one: a \.npz file"):
            config_of(tmp_path / "cells.npz")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match=r"cells\.npz cannot be read \(No such file or directory\)"):
            config_of(tmp_path / "cells.npz")


class TestFolder:
    def test_it_holds_the_same_images_in_another_order_with_classes_by_their_folders(self, tmp_path):
        content = made_up.arrays()
        config = config_of(made_up.folder(tmp_path / "cells", content))
        assert config.images.classes == ("kind 0", "kind 1", "kind 2")
        data = load(config.images)
        for split in ("train", "test"):
            found = list(zip(getattr(data, f"{split}_images"), getattr(data, f"{split}_labels"), strict=True))
            expected = list(zip(content[f"{split}_images"], content[f"{split}_labels"], strict=True))
            assert {(image.tobytes(), int(label)) for image, label in found} == {
                (image.tobytes(), int(label)) for image, label in expected
            }

    def test_the_first_images_are_of_all_classes_and_the_order_is_the_same_each_time(self, tmp_path):
        config = config_of(made_up.folder(tmp_path / "cells"))
        assert set(load(config.images).train_labels[:20]) == {0, 1, 2}
        own_images.described.cache_clear()
        assert config_of(tmp_path / "cells") == config

    @pytest.mark.parametrize(
        ("made", "problem"),
        [
            (lambda image: image.convert("RGB"), "of mode RGB; it must be greyscale with 8 bits"),
            (
                lambda image: image.resize((32, 31)),
                "is of 32 x 31 pixels; all must be square and of one size",
            ),
            (lambda image: image.resize((40, 40)), "is of 40 x 40 pixels; all must be square and of one size"),
            (lambda image: image.resize((3000, 3000)), "is of 3000 x 3000 pixels"),
        ],
    )
    def test_another_image_is_named(self, tmp_path, made, problem):
        from PIL import Image

        folder = made_up.folder(tmp_path / "cells")
        path = sorted((folder / "test" / "kind 1").iterdir())[5]
        with Image.open(path) as image:
            made(image).save(path)
        with pytest.raises(ConfigError, match=f"{path.name} .*{problem}"):
            config_of(folder)

    def test_a_damaged_image_is_named(self, tmp_path):
        folder = made_up.folder(tmp_path / "cells")
        path = sorted((folder / "test" / "kind 1").iterdir())[5]
        os.truncate(path, 60)
        with pytest.raises(ConfigError, match=f"{path.name} is damaged or no image"):
            config_of(folder)

    def test_a_folder_without_the_layout_is_refused(self, tmp_path):
        folder = made_up.folder(tmp_path / "cells")
        shutil.rmtree(folder / "test")
        with pytest.raises(ConfigError, match=r"has 3 classes in train/, 0 classes in test/; it must hold train/"):
            config_of(folder)


class TestIdentity:
    def test_the_content_decides_the_key_and_not_the_path(self, tmp_path):
        first = config_of(made_up.npz(tmp_path / "cells.npz"))
        moved = config_of(made_up.npz(tmp_path / "others.npz"))
        changed = made_up.arrays()
        changed["test_images"][3, 5, 5] ^= 1
        other = config_of(made_up.npz(tmp_path / "changed.npz", **changed))
        named = config_of(made_up.npz(tmp_path / "named.npz", class_names=["a", "b", "c"]))
        assert first.key == moved.key
        assert len({config.key for config in (first, other, named, TrialConfig())}) == 4

    def test_a_record_needs_no_images(self, tmp_path):
        config = config_of(made_up.npz(tmp_path / "cells.npz"), stn="pretrained")
        (tmp_path / "cells.npz").unlink()
        again = TrialConfig.from_dict(config.to_dict())
        assert again == config
        assert (again.key, again.stn_key, again.images) == (config.key, config.stn_key, config.images)

    @pytest.mark.parametrize("dataset", ["cells.npz", "os:path", "."])
    def test_a_record_makes_nobody_read_files_or_run_modules(self, tmp_path, monkeypatch, dataset):
        made_up.npz(tmp_path / "cells.npz")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match="`dataset` is "):
            TrialConfig.from_dict({"dataset": dataset})

    @pytest.mark.parametrize(
        "change",
        [
            lambda facts: facts.replace('"size":32', '"size":3200'),
            lambda facts: facts.replace('"size":32', '"size":"32"'),
            lambda facts: facts.replace('"size":32', '"seize":32'),
            lambda facts: facts.replace('"std":', '"std":-'),
            lambda facts: facts.replace('["0","1","2"]', "[0,1,2]"),
            lambda facts: facts.replace('"sha256":"', '"sha256":"0'),
            lambda facts: facts[:-1],
            lambda facts: "[" * 100_000,
            lambda facts: "null",
        ],
    )
    def test_facts_of_a_damaged_record_are_refused(self, tmp_path, change):
        values = config_of(made_up.npz(tmp_path / "cells.npz")).to_dict()
        with pytest.raises(ConfigError):
            TrialConfig.from_dict(values | {"dataset_facts": change(values["dataset_facts"])})

    def test_images_that_were_moved_are_found_in_the_folder_given(self, tmp_path):
        config = config_of(made_up.npz(tmp_path / "cells.npz"))
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "cells.npz").rename(tmp_path / "elsewhere" / "cells.npz")
        assert load(config.images, tmp_path / "elsewhere").dataset == config.dataset
        with pytest.raises(DataError, match=r"cells\.npz cannot be read"):
            load(config.images)


def test_bounds_are_those_of_the_data_set(tmp_path):
    path = made_up.npz(tmp_path / "cells.npz")
    assert config_of(path, shift_pixels=32, model="pca", latent_dim=1024, train_images=200, batch_size=200).latent_dim
    for changes, problem in (
        ({"shift_pixels": 32.5}, "`shift_pixels` is 32.5; it must be at most 32"),
        ({"train_images": 201}, "`train_images` is 201; it must be at most 200, the 200 of cells@"),
        ({"test_images": 121}, "`test_images` is 121; it must be at most 120"),
        ({"batch_size": 201}, "`batch_size` is 201; it must be at most 200"),
        ({"validation_images": 101}, "`validation_images` is 101; it must be at most 100"),
        ({"model": "pca", "latent_dim": 1025}, "`latent_dim` is 1025; it must be at most 1024"),
    ):
        with pytest.raises(ConfigError, match=problem):
            config_of(path, **changes)
    assert config_of(path, model="pixels").encoding_dim == 1024
