import math

import pytest
import torch
from torch import nn

from tests.small import small
from tivae.data.randomness import generator, initialise
from tivae.models import build
from tivae.models.stn import LearntTransformer


def draws(seed, purpose, count=1000):
    return torch.rand(count, generator=generator(seed, purpose))


def test_a_generator_depends_on_seed_and_purpose():
    assert torch.equal(draws(0, "warps"), draws(0, "warps"))
    # Two independent uniform samples of 1,000 have a correlation of standard deviation 1 / sqrt(1000).
    for first, second in [((0, "warps"), (1, "warps")), ((0, "warps"), (0, "noise")), ((1, "1"), (11, ""))]:
        correlation = torch.corrcoef(torch.stack([draws(*first), draws(*second)]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(1000)


def test_a_generator_depends_on_nothing_else():
    before = draws(3, "noise")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        draws(3, "noise")
        assert torch.equal(draws(3, "noise"), before)


def test_a_generator_is_the_same_on_every_machine():
    assert generator(0, "weights").initial_seed() == 4194789700723333633


def test_making_and_using_a_generator_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    initialise(nn.utils.skip_init(nn.Linear, 5, 5), generator(0, "weights"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 8, kernel_size=3),
        lambda: nn.ConvTranspose2d(8, 3, kernel_size=3),
        lambda: nn.ConvTranspose2d(8, 3, kernel_size=3, bias=False),
        lambda: nn.Linear(20, 30),
        lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Sequential(nn.Linear(5, 6))),
    ],
)
def test_weights_are_drawn_as_torchs_own_constructors_draw_them(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = make().state_dict()
        torch.manual_seed(6)
        module = make()
    initialise(module, torch.Generator().manual_seed(5))
    for name, value in module.state_dict().items():
        assert torch.equal(value, expected[name])


def test_weights_are_uniform_in_plus_minus_one_over_the_root_of_the_fan_in():
    layer = nn.utils.skip_init(nn.Conv2d, 16, 64, kernel_size=3)
    initialise(layer, generator(0, "weights"))
    bound = 1 / math.sqrt(16 * 9)
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= bound
        assert values.abs().max() > 0.9 * bound
    # The variance of U(-b, b) is b^2 / 3, that of its estimate from n values 4 b^4 / (45 n).
    tolerance = 5 * bound**2 * math.sqrt(4 / 45 / layer.weight.numel())
    assert layer.weight.var().item() == pytest.approx(bound**2 / 3, abs=tolerance)


@pytest.mark.parametrize(
    "make", [lambda seed: build(small(seed=seed)), lambda seed: LearntTransformer(small(seed=seed))]
)
def test_the_weights_of_a_trial_depend_on_its_seed_alone(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = make(0).state_dict()
        torch.manual_seed(2)
        same, other = make(0).state_dict(), make(1).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
