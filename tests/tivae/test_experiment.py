import dataclasses
import math

import numpy as np
import pytest
import torch

from tests.small import TIMES, small, untimed
from tests.tivae.conftest import CONFIGS
from tivae import experiment
from tivae.data.datasets import TrialData
from tivae.evaluation import probe
from tivae.training.loop import NonFiniteLoss

METRICS = {
    *("train_loss", "train_reconstruction", "train_kl", "base_loss", "base_reconstruction", "base_kl"),
    *("augmented_loss", "augmented_reconstruction", "augmented_kl", "base_accuracy", "augmented_accuracy"),
    *("base_accuracy_fit_base", "base_accuracy_fit_augmented"),
    *("augmented_accuracy_fit_base", "augmented_accuracy_fit_augmented", "probe_iterations", "probe_converged"),
}
COLUMNS = {
    *("epoch", "step", "temperature", "learning_rate", "train_loss", "train_reconstruction", "train_kl"),
    *("base_loss", "base_reconstruction", "base_kl", "augmented_loss", "augmented_reconstruction", "augmented_kl"),
    *("wall_seconds", "images_per_second"),
}
QUICK = small(train_images=100, hidden_widths=(4,), epochs=1)
each_trial = pytest.mark.parametrize("name", CONFIGS)


def run(config, host, **options):
    """A trial without the measures of invariance, which have tests of their own."""
    return experiment.run(config, host, measures="none", **options)


def metrics(result):
    """Everything in a result that must not depend on when and beside what it was computed."""
    tensors = [*result.encodings.values(), *result.predictions.values(), *result.model.state_dict().values()]
    return result.metrics, untimed(result.epochs), [tensor.tolist() for tensor in tensors]


@each_trial
def test_a_result_has_what_its_contract_names(result, name):
    config, trial = CONFIGS[name], result(name)
    assert trial.config == trial.model.config == config
    assert set(trial.metrics) >= METRICS
    assert [set(row) for row in trial.epochs] == [COLUMNS] * config.epochs
    assert (trial.stn is not None) == (config.stn == "pretrained")
    assert set(trial.predictions) == {"labels", "base", "augmented"}
    for classes in trial.predictions.values():
        assert classes.dtype == torch.int64
        assert classes.shape == (600,)
    assert set(trial.encodings) == {"base", "augmented"}
    for encodings in trial.encodings.values():
        assert encodings.dtype == torch.float32
        assert encodings.shape == (600, config.encoding_dim)
    assert not trial.model.training


@each_trial
def test_figures_are_finite_and_within_their_ranges(result, name):
    metrics = result(name).metrics
    for metric in METRICS:
        value = metrics[metric]
        if "accuracy" in metric:
            assert 0.2 < value < 0.95
        elif metric.endswith(("_loss", "_reconstruction", "_kl")):
            assert 0 < value < math.inf
    assert isinstance(metrics["probe_iterations"], int)
    assert 1 < metrics["probe_iterations"] < probe.MAX_ITERATIONS
    assert metrics["probe_converged"] is True


@each_trial
def test_final_losses_are_those_of_the_last_epoch(result, name):
    trial = result(name)
    for metric in METRICS & COLUMNS:
        assert trial.metrics[metric] == trial.epochs[-1][metric]
    assert [row["epoch"] for row in trial.epochs] == [1, 2]
    # 200 images in batches of 32.
    assert [row["step"] for row in trial.epochs] == [7, 14]
    assert trial.epochs[1]["train_loss"] < trial.epochs[0]["train_loss"]


@each_trial
def test_every_loss_is_the_weighted_sum_of_its_parts(result, name):
    config = CONFIGS[name]
    for row in result(name).epochs:
        for images in ("train", "base", "augmented"):
            parts = row[f"{images}_reconstruction"], row[f"{images}_kl"]
            expected = config.reconstruction_weight * parts[0] + config.kl_weight * parts[1]
            assert row[f"{images}_loss"] == pytest.approx(expected, rel=1e-6)


@each_trial
def test_the_temperature_is_that_of_a_categorical_vae_alone(result, name):
    expected = 0.5 if name == "categorical_vae" else None
    assert [row["temperature"] for row in result(name).epochs] == [expected, expected]


@each_trial
def test_accuracies_are_those_of_a_plain_computation(result, host, name):
    """Fit on the encodings of the base or the augmented training images, count right answers on each test set."""
    trial = result(name)
    data = TrialData(host, trial.config, "cpu")
    through = trial.stn or torch.nn.Identity()

    def encode(dataset):
        with torch.no_grad():
            parameters = trial.model.encode(through(dataset.batch(slice(0, len(dataset)))))
            return trial.model.features(parameters, trial.config.probe_features).numpy()

    tests = {"base": encode(data.base_test()), "augmented": encode(data.augmented_test())}
    for test_set, encodings in tests.items():
        np.testing.assert_allclose(trial.encodings[test_set].numpy(), encodings, rtol=1e-3, atol=1e-4)
    for fitted_on, images in {"base": data.base_train(), "augmented": data.augmented_train("probe warps")}.items():
        fitted = probe.fit(encode(images), host.train_labels[:200].astype(np.int64))
        for test_set, encodings in tests.items():
            accuracy = fitted.accuracy(encodings, host.test_labels[:600].astype(np.int64))
            # Batches of another size round differently, which may move an image across a boundary.
            assert trial.metrics[f"{test_set}_accuracy_fit_{fitted_on}"] == pytest.approx(accuracy, abs=2 / 600)


@each_trial
def test_headline_accuracies_are_those_of_the_stored_predictions(result, host, name):
    trial = result(name)
    assert trial.predictions["labels"].tolist() == host.test_labels[:600].tolist()
    for test_set in ("base", "augmented"):
        right = (trial.predictions[test_set] == trial.predictions["labels"]).sum().item()
        assert trial.metrics[f"{test_set}_accuracy"] == pytest.approx(right / 600)


@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
@pytest.mark.parametrize(
    ("probe_fit", "fitted_on"),
    [
        ("matched", {"base": "base", "augmented": "augmented"}),
        ("base", {"base": "base", "augmented": "base"}),
        ("augmented", {"base": "augmented", "augmented": "augmented"}),
        ("training", None),
    ],
)
def test_the_headline_accuracy_is_that_of_the_probe_that_was_asked_for(host, probe_fit, fitted_on, train_dataset):
    config = dataclasses.replace(QUICK, train_dataset=train_dataset, probe_fit=probe_fit, test_images=1000)
    trial = run(config, host)
    for test in ("base", "augmented"):
        fits = {fit: trial.metrics[f"{test}_accuracy_fit_{fit}"] for fit in ("base", "augmented")}
        assert fits["base"] != fits["augmented"], "the test below could not tell them apart"
        assert trial.metrics[f"{test}_accuracy"] == fits[fitted_on[test] if fitted_on else train_dataset]
        right = (trial.predictions[test] == trial.predictions["labels"]).double().mean().item()
        assert trial.metrics[f"{test}_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("features", ["logits", "probabilities", "one_hot"])
def test_the_probe_reads_the_features_that_were_asked_for(host, features):
    config = dataclasses.replace(CONFIGS["categorical_vae"], epochs=1, test_images=100, probe_features=features)
    trial = run(config, host)
    images = TrialData(host, config, "cpu").base_test()
    with torch.no_grad():
        expected = trial.model.features(trial.model.encode(images.batch(slice(0, 100))), features)
    torch.testing.assert_close(trial.encodings["base"], expected, rtol=1e-4, atol=1e-5)


def test_the_order_and_the_company_of_trials_make_no_difference(host):
    configs = [QUICK, dataclasses.replace(QUICK, train_dataset="augmented", seed=1)]
    forwards = [run(config, host) for config in configs]
    backwards = [run(config, host) for config in reversed(configs)]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert metrics(one) == metrics(other)
    assert metrics(forwards[0]) != metrics(forwards[1])


@pytest.mark.parametrize(
    "config", [QUICK, small(model="categorical_vae", stn="pretrained", stn_epochs=1, train_dataset="augmented")]
)
def test_the_global_generators_are_not_used(host, config):
    results = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            results.append(metrics(run(config, host)))
    assert results[0] == results[1]


def test_the_global_torch_generator_is_not_moved(host):
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        run(QUICK, host)
        assert torch.equal(torch.get_rng_state(), before)


def test_the_global_numpy_generator_is_not_moved(host):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    run(QUICK, host)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize(
    "changes",
    [
        *({"seed": 1}, {"kl_weight": 1.0}, {"learning_rate": 0.01}, {"batch_size": 50}, {"latent_dim": 5}),
        *({"output_activation": "linear"}, {"train_dataset": "augmented"}, {"weight_decay": 10.0}),
    ],
)
def test_what_is_configured_reaches_the_figures(host, changes):
    other = run(dataclasses.replace(QUICK, **changes), host)
    assert other.metrics["base_reconstruction"] != run(QUICK, host).metrics["base_reconstruction"]


def test_an_stn_given_equals_one_pretrained_on_the_way(host, result):
    config = CONFIGS["stn"]
    given = experiment.run(config, host, stn=experiment.pretrain(config, host).stn)
    assert metrics(given) == metrics(result("stn"))


def test_a_pretrained_stn_does_not_depend_on_the_model_behind_it(host):
    config = small(stn="pretrained", stn_epochs=1, train_images=100)
    other = small(
        **{"stn": "pretrained", "stn_epochs": 1, "train_images": 100},
        **{"model": "categorical_vae", "train_dataset": "augmented", "latent_dim": 3, "categories": 4},
        **{"hidden_widths": (4,), "epochs": 9, "learning_rate": 0.1, "kl_weight": 1.0, "test_images": 200},
        **{"learning_rate_schedule": "cosine", "output_activation": "linear", "probe_fit": "base"},
    )
    assert config.stn_key == other.stn_key
    one, same = (experiment.pretrain(each, host).stn.state_dict() for each in (config, other))
    assert all(torch.equal(one[name], same[name]) for name in one)
    different = experiment.pretrain(dataclasses.replace(config, seed=1), host).stn.state_dict()
    assert any(not torch.equal(one[name], different[name]) for name in one)


def test_a_pretraining_has_what_its_contract_names(host):
    config = small(stn="pretrained", stn_epochs=2, train_images=100)
    pretrained = experiment.pretrain(config, host)
    assert set(pretrained.metrics) == {"train_alignment_loss", "alignment_loss", "identity_loss"}
    assert [row["epoch"] for row in pretrained.epochs] == [1, 2]
    assert set(pretrained.epochs[0]) == {"epoch", "step", "learning_rate", *pretrained.metrics, *TIMES}
    assert pretrained.config == config


def test_every_epoch_is_reported_as_it_ends(host):
    rows = []
    trial = run(dataclasses.replace(QUICK, epochs=2), host, on_epoch=rows.append)
    assert rows == trial.epochs


def test_nothing_but_the_checkpoint_is_written(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(QUICK, host)
    assert list(tmp_path.iterdir()) == []
    run(QUICK, host, checkpoint=tmp_path / "checkpoint.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_trial_leaves_the_data_as_it_is(host):
    before = host.train_images[:100].copy(), host.test_images[:100].copy()
    run(dataclasses.replace(QUICK, train_dataset="augmented"), host)
    assert np.array_equal(host.train_images[:100], before[0])
    assert np.array_equal(host.test_images[:100], before[1])


def test_a_trial_that_diverges_raises(host):
    with pytest.raises(NonFiniteLoss, match="at step 1;"):
        run(dataclasses.replace(QUICK, learning_rate=1e30), host)


def test_encodings_that_are_not_finite_are_refused(host, monkeypatch):
    """Weights that broke in the very last step are found by the probe."""
    train = experiment.train_loop

    def train_and_break(training, *rest):
        train(training, *rest)
        with torch.no_grad():
            training.module.posterior.bias.fill_(math.nan)

    monkeypatch.setattr(experiment, "train_loop", train_and_break)
    with pytest.raises(ValueError, match=r"100\.0% of the encodings are not finite"):
        run(QUICK, host)


def test_the_provenance_is_that_of_this_run(result, host):
    origin = result("vae").provenance
    assert origin["device"] == "cpu"
    assert origin["resumed"] == 0
    assert origin["wall_seconds"] > sum(row["wall_seconds"] for row in result("vae").epochs)
    assert origin["data_source"] == host.source
