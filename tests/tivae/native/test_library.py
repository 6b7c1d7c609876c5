import logging
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.tivae.native.test_stacks import inputs, pair
from tivae.data.randomness import generator
from tivae.models.networks import Encoder
from tivae.native import library, stacks
from tivae.native.kernels import Activation

PLAN = stacks.plan((32,), (28, 14))


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    """A cache folder with nothing in it; gives its path. What is compiled is not optimised, which is quick."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library, "FLAGS", ("-O0", "-std=c++17", "-fPIC", "-shared"))
    library._loaded.cache_clear()
    return tmp_path / "tivae" / "kernels"


@pytest.mark.parametrize("slope", [0.01, 0.5])
def test_values_on_both_sides_of_the_bend_have_their_own_slope(slope):
    kernels = library.kernels(*PLAN)
    values = torch.randn(3, 14, 14, 32, generator=generator(0, "values")).requires_grad_()
    norm = nn.BatchNorm2d(32)
    nn.init.uniform_(norm.bias, -1, 1, generator=generator(0, "shift"))
    statistics = kernels.statistics(values.detach(), norm)
    padded = kernels.activate(values.detach(), Activation(statistics[2], statistics[3], slope))
    normed = functional.batch_norm(values.permute(0, 3, 1, 2), None, None, norm.weight, norm.bias, training=True)
    expected = functional.leaky_relu(normed, slope).permute(0, 2, 3, 1)
    torch.testing.assert_close(padded[:, 1:-1, 1:-1], expected.detach(), rtol=1e-5, atol=1e-5)
    assert padded.sum() == pytest.approx(padded[:, 1:-1, 1:-1].sum().item(), rel=1e-5), "the frame is not zero"
    upper = torch.randn(expected.shape, generator=generator(0, "gradient"))
    expected.backward(upper)
    gradient, scale, shift = kernels.activation_gradient(upper, values.detach(), statistics, slope)
    torch.testing.assert_close(gradient[:, 1:-1, 1:-1], values.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scale, norm.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shift, norm.bias.grad, rtol=1e-4, atol=1e-4)


def test_statistics_are_good_to_single_precision_where_the_mean_is_far_larger_than_the_deviation():
    values = 1000 + torch.randn(5, 14, 14, 32, generator=generator(0, "values"))
    mean, inverse = library.kernels(*PLAN).statistics(values, nn.BatchNorm2d(32))[:2]
    exact = values.double().flatten(0, 2)
    torch.testing.assert_close(mean.double(), exact.mean(0), rtol=5e-7, atol=0)
    torch.testing.assert_close(inverse.double(), (exact.var(0, correction=0) + 1e-5).rsqrt(), rtol=1e-4, atol=0)


def test_bits_do_not_depend_on_the_width_of_vectors(monkeypatch, tmp_path):
    """One machine's results are another's: compiled for 512 and for 256 bits."""
    if "avx512f" not in library._processor().split():
        pytest.skip("hardware: this processor has vectors of one width only")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    results = []
    for flags in (library.FLAGS, (*library.FLAGS, "-mno-avx512f")):
        library._loaded.cache_clear()
        monkeypatch.setattr(library, "FLAGS", flags)
        found = []
        for kind in ("encoder", "decoder"):
            network, _ = pair(kind, (32,))
            images = inputs(kind).requires_grad_()
            output = network(images)
            output.square().sum().backward()
            found += [output, images.grad, *(parameter.grad for parameter in network.parameters())]
        results.append(found)
    assert len(list((tmp_path / "tivae" / "kernels").glob("*.so"))) == 2
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_kernels_are_compiled_once(monkeypatch, empty_cache):
    assert library.kernels(*PLAN) is not None
    (file,) = empty_cache.glob("*.so")
    library._loaded.cache_clear()
    # Whatever is asked from now on but the compiler's version.
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run([command[0], "--version"], **options))
    assert library.kernels(*PLAN) is not None
    assert list(empty_cache.glob("*.so")) == [file]


def test_workers_that_compile_at_the_same_time_do_not_disturb_each_other(empty_cache):
    source = library._source(*PLAN)
    with ThreadPoolExecutor(2) as workers:
        files = list(workers.map(lambda _: library.compiled(source), range(2)))
    assert len(set(files)) == 1
    assert list(empty_cache.glob("*.so")) == files[:1]
    assert library.kernels(*PLAN) is not None


def _flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


# Each but the first of these would end the process that loads it, or change what it computes.
DAMAGE = {
    "no library": lambda content: b"no library",
    "cut": lambda content: content[: len(content) // 2],
    "flipped": _flipped,
    "holes": lambda content: content[:4096] + bytes(len(content) - 4096),
}


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_library_is_named_and_compiled_again(caplog, damage):
    file = library.compiled(library._source(*PLAN))
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert library.kernels(*PLAN) is not None
    assert file.read_bytes() == whole
    assert f"{file} is damaged; it is compiled again" in caplog.text


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("planted", ["link", "without a digest"])
def test_a_library_that_was_not_compiled_here_is_not_loaded(tmp_path, planted):
    file = library.compiled(library._source(*PLAN))
    whole = file.read_bytes()
    (tmp_path / "planted.so").write_bytes(b"planted")
    file.unlink()
    if planted == "link":
        file.symlink_to(tmp_path / "planted.so")
    else:
        file.write_bytes(b"planted")
        file.with_suffix(".sha256").unlink()
    assert library.kernels(*PLAN) is not None
    assert file.read_bytes() == whole
    assert (tmp_path / "planted.so").read_bytes() == b"planted"


@pytest.mark.parametrize("place", ["tivae/kernels", "tivae", "."])
def test_a_cache_that_others_may_write_is_not_used(empty_cache, tmp_path, caplog, place):
    empty_cache.mkdir(parents=True)
    (tmp_path / place).chmod(0o777)
    assert library.cache_folder() != empty_cache
    assert library.cache_folder().stat().st_mode & 0o077 == 0
    assert f"compiled layers are not kept, since {(tmp_path / place).resolve()} is another user's or" in caplog.text
    (tmp_path / place).chmod(0o755)
    assert library.cache_folder() == empty_cache


@pytest.mark.skipif(os.geteuid() != 0, reason="system: only root may give a folder away")
@pytest.mark.parametrize("place", ["tivae/kernels", "tivae", "."])
def test_a_cache_of_another_user_is_not_used(empty_cache, tmp_path, place):
    empty_cache.mkdir(parents=True)
    os.chown(tmp_path / place, 1234, 1234)
    assert library.cache_folder() != empty_cache


def test_a_compiler_that_fails_is_reported_with_its_first_line(monkeypatch, caplog, empty_cache):
    monkeypatch.setattr(library, "FLAGS", ("--no-such-option",))
    with caplog.at_level(logging.WARNING, logger="tivae"):
        assert library.kernels(*PLAN) is None
        assert library.kernels(*PLAN) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("training uses torch's own layers, at about two thirds of the speed (")
    assert "no-such-option" in line
    assert "\n" not in line
    assert list(empty_cache.iterdir()) == []


def test_another_choice_of_kernels_is_refused(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "fast")
    with pytest.raises(ValueError, match=r"^TIVAE_KERNELS is 'fast'; it must be native, torch or compiled$"):
        Encoder(28, (16,))(inputs("encoder"))


@pytest.mark.parametrize("down", [True, False])
def test_activating_on_the_way_gives_the_same_bits(down):
    kernels = library.kernels(*PLAN)
    level = stacks.Level(28, 32, 14, 32, 2) if not down else stacks.Level(28, 1, 14, 32, 2)
    shape = (3, 30, 30, 1) if down else (3, 16, 16, 32)
    padded = torch.randn(shape, generator=generator(0, "images"))
    weight = torch.randn(32, level.big_channels, 3, 3, generator=generator(0, "weight"))
    packed = kernels.packed(level, weight, down=down)
    bias, scale, shift = torch.randn(3, 32, generator=generator(0, "numbers"))
    activation = Activation(scale, shift, 0.01)
    apart = kernels.activate(kernels.convolve(level, padded, packed, bias, down=down), activation)
    together = kernels.convolve_and_activate(level, padded, packed, bias, activation, down=down)
    assert torch.equal(together, apart)
