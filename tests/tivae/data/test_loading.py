"""The chain of places, the cache and its lock, and the data set itself."""

import gzip
import hashlib
import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.damage import contents
from tests.tivae.data.made_up import idx
from tests.waiting import HANG_SECONDS
from tivae.data.catalogue.fashion_mnist import FASHION_MNIST
from tivae.data.image_set import DataError, File, Source, UnavailableError
from tivae.data.loading import cache_folder, load

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in FASHION_MNIST.files)
GENERATOR = np.random.default_rng(0)
SMALL = {
    TRAIN_IMAGES: GENERATOR.integers(0, 256, (6, 28, 28), np.uint8),
    TRAIN_LABELS: np.arange(6, dtype=np.uint8),
    TEST_IMAGES: GENERATOR.integers(0, 256, (2, 28, 28), np.uint8),
    TEST_LABELS: np.arange(2, dtype=np.uint8),
}
CONTENTS = {name: idx(values) for name, values in SMALL.items()}
DIGESTS = {name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in CONTENTS.items()}
FILES = tuple(File(name, digest, 10_000) for name, digest in DIGESTS.items())
SMALL_SET = replace(FASHION_MNIST, train_images=6, test_images=2, files=FILES)


def write(folder, *, packed=False, contents=CONTENTS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


class Download:
    """A download that gives the small data set and counts its calls."""

    def __init__(self, contents=CONTENTS):
        self.calls = 0
        self.contents = contents

    def __call__(self, files, work):
        assert files == FILES
        self.calls += 1
        return write(work, packed=True, contents=self.contents)


def nothing(_files, work):
    (work / "half.gz").write_bytes(b"half")
    raise UnavailableError("the mirror does not answer")


def load_small(folder=None, *, sources=()):
    return load(replace(SMALL_SET, sources=tuple(sources)), folder)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The folder of the cache, which is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TIVAE_DATA", raising=False)
    return tmp_path / "cache" / "tivae" / "fashion-mnist"


class TestRealData:
    def test_shapes_and_types(self, host):
        arrays = (host.train_images, host.train_labels, host.test_images, host.test_labels)
        assert [array.shape for array in arrays] == [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
        assert {array.dtype for array in arrays} == {np.dtype(np.uint8)}

    def test_statistics_are_the_published_ones(self, host):
        pixels = host.train_images
        assert pixels.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
        assert pixels.std() / 255 == pytest.approx(0.3530, abs=5e-5)
        assert np.bincount(host.train_labels).tolist() == [6000] * 10
        assert np.bincount(host.test_labels).tolist() == [1000] * 10

    @pytest.mark.parametrize("train", [True, False])
    def test_torchvision_reads_the_same(self, host, tmp_path, train):
        torchvision = pytest.importorskip("torchvision.datasets")
        arrays = {
            TRAIN_IMAGES: host.train_images,
            TRAIN_LABELS: host.train_labels,
            TEST_IMAGES: host.test_images,
            TEST_LABELS: host.test_labels,
        }
        contents = {name: idx(values) for name, values in arrays.items()}
        write(tmp_path / "FashionMNIST" / "raw", contents=contents)
        oracle = torchvision.FashionMNIST(tmp_path, train=train)
        images, labels = list(arrays.values())[:2] if train else list(arrays.values())[2:]
        assert np.array_equal(oracle.data.numpy(), images)
        assert np.array_equal(oracle.targets.numpy(), labels)
        assert tuple(oracle.classes) == FASHION_MNIST.classes


class TestFolder:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("below", [".", "raw", "FashionMNIST/raw"])
    def test_plain_and_packed_files_and_torchvisions_layout(self, tmp_path, empty_cache, below, packed):
        write(tmp_path / "data" / below, packed=packed)
        data = load_small(tmp_path / "data")
        assert np.array_equal(data.train_images, SMALL[TRAIN_IMAGES])
        assert np.array_equal(data.train_labels, SMALL[TRAIN_LABELS])
        assert np.array_equal(data.test_images, SMALL[TEST_IMAGES])
        assert np.array_equal(data.test_labels, SMALL[TEST_LABELS])
        assert data.source == "folder"
        assert not empty_cache.exists()

    def test_arrays_stay_read_only(self, tmp_path):
        data = load_small(write(tmp_path))
        for array in (data.train_images, data.train_labels, data.test_images, data.test_labels):
            with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
                array.setflags(write=True)

    def test_the_argument_comes_before_the_environment(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TIVAE_DATA", str(tmp_path / "nowhere"))
        assert load_small(write(tmp_path / "data")).source == "folder"

    @pytest.mark.usefixtures("empty_cache")
    def test_the_environment_comes_before_cache_and_sources(self, tmp_path, monkeypatch):
        download = Download()
        load_small(sources=[Source("fake", download)])
        monkeypatch.setenv("TIVAE_DATA", str(write(tmp_path / "data")))
        assert load_small(sources=[Source("fake", download)]).source == "folder"
        assert download.calls == 1

    @pytest.mark.usefixtures("empty_cache")
    def test_an_empty_environment_variable_names_no_folder(self, monkeypatch):
        monkeypatch.setenv("TIVAE_DATA", "")
        assert load_small(sources=[Source("fake", Download())]).source == "fake"

    @pytest.mark.usefixtures("empty_cache")
    @pytest.mark.parametrize("from_environment", [False, True])
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize(
        ("damage", "plain_problem", "packed_problem"),
        [
            (lambda path: path.unlink(), f"data holds no {TEST_IMAGES}", f"data holds no {TEST_IMAGES}"),
            (
                lambda path: os.truncate(path, path.stat().st_size - 9),
                rf"{TEST_IMAGES} is not Fashion-MNIST's file \(its 1,575 bytes have SHA-256",
                rf"{TEST_IMAGES}.gz is damaged or no gzip file \(",
            ),
            (
                lambda path: path.write_bytes(b"text"),
                rf"{TEST_IMAGES} is not Fashion-MNIST's file \(its 4 bytes have SHA-256",
                rf"{TEST_IMAGES}.gz is damaged or no gzip file \(",
            ),
            (
                lambda path: (path.unlink(), path.mkdir()),
                rf"{TEST_IMAGES} is not a regular file",
                rf"{TEST_IMAGES}.gz is not a regular file",
            ),
        ],
        ids=["missing", "truncated", "other content", "a folder"],
    )
    def test_wrong_files_are_named_and_left_alone(
        self, tmp_path, monkeypatch, from_environment, packed, damage, plain_problem, packed_problem
    ):
        folder = write(tmp_path / "data", packed=packed)
        damage(folder / (f"{TEST_IMAGES}.gz" if packed else TEST_IMAGES))
        before = contents(tmp_path)
        if from_environment:
            monkeypatch.setenv("TIVAE_DATA", str(folder))
        remedy = "or leave TIVAE_DATA unset" if from_environment else "or name no folder"
        problem = packed_problem if packed else plain_problem
        with pytest.raises(DataError, match=rf"{problem}.*; put .*{TEST_LABELS}.* there, {remedy}") as raised:
            load_small(None if from_environment else folder, sources=[Source("fake", Download())])
        assert "\n" not in str(raised.value)
        assert contents(tmp_path) == before

    def test_one_flipped_bit_is_found(self, tmp_path):
        content = bytearray(CONTENTS[TRAIN_LABELS])
        content[-1] ^= 1
        write(tmp_path, contents=CONTENTS | {TRAIN_LABELS: bytes(content)})
        with pytest.raises(DataError, match=f"{TRAIN_LABELS} is not Fashion-MNIST's file"):
            load_small(tmp_path)

    @pytest.mark.parametrize("name", ["nowhere", "file", "~nobody-of-this-name/data"])
    def test_what_is_no_folder_is_named(self, tmp_path, name):
        (tmp_path / "file").touch()
        path = name if name.startswith("~") else tmp_path / name
        with pytest.raises(DataError, match=f"there is no folder {path}; put"):
            load_small(path)


class TestCache:
    def test_the_second_load_needs_no_source(self, empty_cache, capsys):
        download = Download()
        sources = [Source("fake", download)]
        first, second = (load_small(sources=sources) for _ in range(2))
        assert (first.source, second.source, download.calls) == ("fake", "cache", 1)
        assert np.array_equal(first.train_images, second.train_images)
        assert {path.name for path in empty_cache.iterdir()} == {*CONTENTS, ".lock"}
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", "Fetching Fashion-MNIST (31 MB) ...\n")

    @pytest.mark.usefixtures("empty_cache")
    def test_nothing_is_announced_where_nothing_is_downloaded(self, tmp_path, capsys):
        load_small(sources=[Source("here", write(tmp_path / "here", packed=True))])
        load_small()
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.unlink(),
            lambda path: os.truncate(path, 100),
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        ],
        ids=["missing", "truncated", "altered"],
    )
    def test_a_damaged_file_is_replaced(self, empty_cache, damage):
        download = Download()
        load_small(sources=[Source("fake", download)])
        damage(empty_cache / TRAIN_IMAGES)
        repaired = load_small(sources=[Source("fake", download)])
        assert (repaired.source, download.calls) == ("fake", 2)
        assert np.array_equal(repaired.train_images, SMALL[TRAIN_IMAGES])
        assert (empty_cache / TRAIN_IMAGES).read_bytes() == CONTENTS[TRAIN_IMAGES]
        assert load_small().source == "cache"

    def test_a_damaged_file_is_never_used(self, empty_cache):
        load_small(sources=[Source("fake", Download())])
        os.truncate(empty_cache / TRAIN_IMAGES, 100)
        with pytest.raises(DataError, match=rf"\(cache: {empty_cache}/{TRAIN_IMAGES} is not Fashion-MNIST's file"):
            load_small()

    @pytest.mark.usefixtures("empty_cache")
    def test_without_downloads_local_sources_are_asked_alone(self, tmp_path):
        asked = Download()
        with pytest.raises(DataError, match="is not here and cannot be fetched"):
            load(replace(SMALL_SET, sources=(Source("fake", asked),)), download=False)
        here = Source("here", write(tmp_path / "here"))
        assert load(replace(SMALL_SET, sources=(Source("fake", asked), here)), download=False).source == "here"
        assert asked.calls == 0

    @pytest.mark.usefixtures("empty_cache")
    def test_sources_are_asked_in_order_and_bad_ones_passed_over(self, tmp_path, capsys):
        unused = Download()
        sources = [
            Source("absent", tmp_path / "absent"),
            Source("damaged", write(tmp_path / "damaged", contents=CONTENTS | {TEST_LABELS: b""})),
            Source("silent", nothing),
            Source("altered", Download(CONTENTS | {TEST_LABELS: b"altered"})),
            Source("good", Download()),
            Source("unused", unused),
        ]
        assert load_small(sources=sources).source == "good"
        assert unused.calls == 0
        assert capsys.readouterr().err.count("\n") == 1

    def test_no_source_names_everything_tried_and_the_remedy(self, empty_cache, tmp_path):
        def full_disk(_files, _work):
            raise OSError(28, "No space left on device")

        sources = [
            Source("absent", tmp_path / "absent"),
            Source("silent", nothing),
            Source("altered", Download(CONTENTS | {TRAIN_IMAGES: b"altered"})),
            Source("full", full_disk),
        ]
        with pytest.raises(DataError) as raised:
            load_small(sources=sources)
        message = str(raised.value)
        for words in (
            f"cache: there is no folder {empty_cache}; ",
            f"absent: there is no folder {tmp_path}/absent; ",
            "silent: the mirror does not answer; ",
            f"{TRAIN_IMAGES}.gz is not Fashion-MNIST's file (its 7 bytes",
            "full: No space left on device)",
            f"put Fashion-MNIST's {TRAIN_IMAGES}, {TRAIN_LABELS}, {TEST_IMAGES}, {TEST_LABELS} (or the same as .gz)",
            "into a folder and set TIVAE_DATA to it",
        ):
            assert words in message
        assert "\n" not in message
        assert [path.name for path in empty_cache.iterdir()] == [".lock"]

    # Both hold for every user, root too: a path below a file, and a folder in the place of the lock.
    @pytest.mark.parametrize(
        ("obstacle", "reason"),
        [
            (lambda cache: cache.parent.touch(), "Not a directory"),
            (lambda cache: (cache / ".lock").mkdir(parents=True), "Is a directory"),
        ],
    )
    def test_an_unwritable_cache_leaves_the_local_sources(self, tmp_path, empty_cache, obstacle, reason):
        empty_cache.parent.parent.mkdir()
        obstacle(empty_cache)
        download = Download()
        here = write(tmp_path / "here", packed=True)
        sources = [Source("fake", download), Source("here", here)]
        assert load_small(sources=sources).source == "here"
        with pytest.raises(DataError, match=rf"nothing can be written there \({reason}\), so nothing is down"):
            load_small(sources=sources[:1])
        assert download.calls == 0

    def test_what_cannot_be_kept_is_used_all_the_same(self, empty_cache):
        (empty_cache / TRAIN_IMAGES).mkdir(parents=True)
        data = load_small(sources=[Source("fake", Download())])
        assert np.array_equal(data.train_images, SMALL[TRAIN_IMAGES])

    @pytest.mark.parametrize("given", [None, "", "relative"])
    def test_its_place_without_a_usable_xdg_cache_home(self, tmp_path, monkeypatch, given):
        monkeypatch.setenv("HOME", str(tmp_path))
        if given is None:
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder(FASHION_MNIST) == tmp_path / ".cache" / "tivae" / "fashion-mnist"

    def test_a_user_without_a_home_is_reported(self, monkeypatch):
        def homeless():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", homeless)
        with pytest.raises(DataError, match=r"no home folder .*; set XDG_CACHE_HOME"):
            cache_folder(FASHION_MNIST)


def _load_beside_another(cache_home, start, meeting, results):
    def download(_files, work):
        # Two processes that are both in here meet at once; a single one waits in vain and continues.
        try:
            meeting.wait(timeout=1)
            met = True
        except threading.BrokenBarrierError:
            met = False
        results.put(("downloaded, met another" if met else "downloaded", os.getpid()))
        return write(work)

    os.environ["XDG_CACHE_HOME"] = cache_home
    os.environ.pop("TIVAE_DATA", None)
    start.wait()
    data = load_small(sources=[Source("fake", download)])
    results.put((data.source, os.getpid()))


def _download_for_ever(cache_home, downloading):
    def download(_files, work):
        (work / "half").write_bytes(b"half")
        downloading.set()
        signal.pause()

    os.environ["XDG_CACHE_HOME"] = cache_home
    os.environ.pop("TIVAE_DATA", None)
    load_small(sources=[Source("fake", download)])


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class TestProcesses:
    def test_one_of_two_fetches_and_the_other_waits(self, processes, tmp_path):
        start, meeting, results = processes.Barrier(2), processes.Barrier(2), processes.Queue()
        arguments = (str(tmp_path), start, meeting, results)
        pair = [processes.Process(target=_load_beside_another, args=arguments) for _ in range(2)]
        for process in pair:
            process.start()
        sources = sorted(results.get(timeout=HANG_SECONDS)[0] for _ in range(3))
        for process in pair:
            process.join()
        assert sources == ["cache", "downloaded", "fake"]
        assert [process.exitcode for process in pair] == [0, 0]
        assert results.empty()

    def test_a_killed_fetcher_leaves_neither_lock_nor_rubbish(self, processes, empty_cache):
        downloading = processes.Event()
        arguments = (os.environ["XDG_CACHE_HOME"], downloading)
        fetcher = processes.Process(target=_download_for_ever, args=arguments)
        fetcher.start()
        assert downloading.wait(timeout=HANG_SECONDS)
        fetcher.kill()
        fetcher.join()
        assert len(list(empty_cache.glob("fetching-*"))) == 1
        assert load_small(sources=[Source("fake", Download())]).source == "fake"
        assert {path.name for path in empty_cache.iterdir()} == {*CONTENTS, ".lock"}
