"""The benchmark itself: its arithmetic, its comparisons, and one quick pass through every step."""

import json
import math
from itertools import islice

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from study.jobs import Job, plan
from tests.benchmarks import __main__ as command
from tests.benchmarks import hardware, makespan, measurements, researcher_script, ways
from tests.benchmarks.contestants import take_turns
from tests.small import small
from tivae import models, native
from tivae.config import TrialConfig
from tivae.data.loading import load
from tivae.models.networks import kernels_of
from tivae.native import library


def test_a_figure_is_a_median_with_its_extremes_and_an_aim():
    measurement = measurements.of("ratio", [3.0, 1.0, 2.5], "x", aim=2.0)
    assert (measurement.value, measurement.low, measurement.high, measurement.is_met) == (2.5, 1.0, 3.0, True)
    assert measurements.of("share", [0.2], "", aim=0.1, smaller_is_better=True).is_met is False
    assert measurements.of("reported", [0.2], "").is_met is None
    assert json.loads(json.dumps(measurement.as_json()))["is_met"] is True
    assert "aim: at least 2, met" in measurement.as_line()


def test_the_arithmetic_of_a_training_image_is_counted_from_its_layers():
    """By hand: multiplications of each layer's weights per output pixel, or input pixel where transposed."""
    convolutions = 9 * (32 * 14**2 + 32 * 64 * 7**2 + 64 * 128 * 4**2)
    transposed = 9 * (128 * 64 * 4**2 + 64 * 32 * 7**2 + 32 * 32 * 14**2) + 9 * 32 * 28**2
    linear = 2048 * 20 + 10 * 2048
    expected = 2 * 3 * (convolutions + transposed + linear)
    assert hardware.flops_per_training_image(models.build(TrialConfig())) == expected


def test_the_peak_is_that_of_a_processor():
    assert 0.1 < hardware.Peak().measure(1) < 1e5


class Fake:
    """A contestant that notes its turns."""

    def __init__(self, name, log):
        self.name, self._log = name, log

    def images_per_second(self, seconds):
        self._log.append((self.name, seconds))
        return float(len(self._log))


def test_contestants_take_turns_in_turning_order_after_a_warm_up():
    log = []
    rates = take_turns([Fake("a", log), Fake("b", log)], rounds=3, seconds=2.0)
    assert log[:2] == [("a", 1.0), ("b", 1.0)]
    assert [name for name, _ in log[2:]] == ["a", "b", "b", "a", "a", "b"]
    assert rates == {"a": [3.0, 6.0, 7.0], "b": [4.0, 5.0, 8.0]}


@pytest.mark.parametrize("cell", ["vae", "joint", "stn"])
def test_our_way_is_the_studys_own_training_step(cell):
    assert list(islice(ways.our_steps(cell), 1)) == [64]
    training = ways.training(cell, train_images=200, test_images=100)
    with ways.kernels("torch"):
        assert cell == "stn" or kernels_of(training.model) == "torch"
    assert cell == "stn" or kernels_of(training.model) == ("native" if library.find_compiler() else "torch")
    assert native.VARIABLE == "TIVAE_KERNELS"


def test_the_script_sees_images_of_the_same_kind_and_trains_a_model_of_the_same_size(monkeypatch):
    """Its transforms are those of the paper: as often, as far, and standardised alike."""
    host = load()
    transform = researcher_script.transform()
    image = v2.functional.to_pil_image(torch.from_numpy(np.array(host.train_images[0])))
    torch.manual_seed(0)
    seen = torch.stack([transform(image) for _ in range(400)])
    assert seen.shape[1:] == (1, 28, 28)
    base = (torch.from_numpy(np.array(host.train_images[0])).float() / 255 - 0.2860) / 0.3530
    unchanged = (seen[:, 0] - base).abs().amax((1, 2)) < 1e-5
    # Nothing is applied to an eighth of the images: 50 of 400, standard deviation 6.6.
    assert 25 < int(unchanged.sum()) < 80
    monkeypatch.setenv(native.VARIABLE, "torch")
    steps = researcher_script.steps("vae")
    assert list(islice(steps, 2)) == [64, 64]
    steps.close()


RATES = {"vae": 1000.0, "categorical_vae": 1000.0, "vae_behind_stn": 1000.0, "stn": 6000.0}


def jobs_of(tmp_path, *configs):
    jobs = plan(configs, tmp_path)
    return jobs, {job.key: makespan.duration(job, RATES) for job in jobs}


def test_durations_follow_from_rates():
    assert makespan.duration(Job("trial", TrialConfig()), RATES) == 1200
    assert makespan.duration(Job("stn", TrialConfig(stn="pretrained")), RATES) == 200
    slower = RATES | {"vae_behind_stn": 800.0}
    assert makespan.duration(Job("trial", TrialConfig(stn="pretrained")), slower) == 1500


@pytest.mark.parametrize(("slots", "hours"), [(1, 4), (2, 2), (3, 2), (4, 1), (9, 1)])
def test_equal_trials_fill_the_slots_in_waves(tmp_path, slots, hours):
    jobs, seconds = jobs_of(tmp_path, *(TrialConfig(seed=seed, epochs=60) for seed in range(4)))
    assert makespan.makespan(jobs, seconds, slots) == pytest.approx(3600 * hours)


def test_a_trial_waits_for_its_stn(tmp_path):
    jobs, seconds = jobs_of(tmp_path, TrialConfig(stn="pretrained"))
    assert makespan.makespan(jobs, seconds, 2) == pytest.approx(1400)


def test_every_step_can_be_gone_through(tmp_path, capsys):
    file = tmp_path / "measurements.json"
    assert command.main(["--quick", "--only", "one_core", "makespan", "starting", "gpu", "--out", str(file)]) == 0
    content = json.loads(file.read_text())
    printed = capsys.readouterr().out
    assert content["quick"] is True
    assert content["hardware"]["cores"] == hardware.usable_cores()
    names = [measurement["name"] for measurement in content["measurements"]]
    assert all(name in printed for name in names)
    assert "one core, vae: study / eager" in names
    assert "paper_grid, 1 seed: makespan / least" in names
    assert all(math.isfinite(measurement["value"]) for measurement in content["measurements"])


@pytest.mark.slow
def test_the_whole_benchmark_can_be_gone_through(tmp_path):
    file = tmp_path / "measurements.json"
    assert command.main(["--quick", "--out", str(file)]) == 0
    names = [measurement["name"] for measurement in json.loads(file.read_text())["measurements"]]
    assert "whole machine, vae: study / script" in names
    assert "one trial, vae: probe, evaluation and measures" in names


def test_the_small_trials_of_the_tests_stay_on_torchs_layers():
    """So that a test that is about something else compiles nothing."""
    assert kernels_of(models.build(small())) == "torch"
