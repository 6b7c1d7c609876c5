import contextlib
import logging
import math
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from tests.small import ANNEALED, small, untimed
from tivae import experiment
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.io import checkpoint
from tivae.models import build
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import NonFiniteLoss, Training, train


class Interrupted(Exception):
    pass


def stop_after(epoch):
    def on_epoch(row):
        if row["epoch"] == epoch:
            raise Interrupted

    return on_epoch


def equal(one, other):
    """Whether two state dictionaries hold the same bits."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


class Line(Training):
    """One weight; the figure of a batch is the mean of its images' numbers. Keeps a log of what the loop did."""

    def __init__(self, epochs=3, count=10, batch_size=4, broken=None):
        super().__init__()
        self.key, self.epochs, self.batch_size = "line", epochs, batch_size
        self.module = nn.Linear(1, 1)
        self.optimiser = torch.optim.SGD(self.module.parameters(), lr=1e-6)
        self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimiser, factor=1.0)
        self.generators = {"shuffle": generator(0, "shuffle")}
        self.numbers = Dataset(torch.arange(float(count)).view(count, 1, 1, 1))
        self.broken = broken or {}
        self.log = []

    def images(self):
        return self.numbers

    def loss(self, images, index, step):
        self.log.append((step, index.tolist(), self.module.training))
        number = images.batch(index).mean()
        loss = self.module(torch.ones(1, 1)).sum() * self.broken.get(step, 1.0)
        return loss, {"train_loss": loss, "train_number": number}

    def measure(self, step):
        return {"measured_at": step, "measured_in_training_mode": self.module.training}


# The loop


def test_every_image_is_used_once_an_epoch_in_a_new_order():
    training = Line()
    train(training)
    orders = [[number for _, index, _ in training.log[first : first + 3] for number in index] for first in (0, 3, 6)]
    assert len(training.log) == 9
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert all(one != other for one, other in pairwise(orders))
    # The last, smaller batch is used too.
    assert [len(index) for _, index, _ in training.log] == [4, 4, 2] * 3


def test_steps_count_through_all_epochs():
    training = Line()
    train(training)
    assert [step for step, _, _ in training.log] == list(range(9))
    assert [row["step"] for row in training.rows] == [row["measured_at"] for row in training.rows] == [3, 6, 9]
    assert [row["epoch"] for row in training.rows] == [1, 2, 3]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 64])
def test_figures_of_an_epoch_are_means_over_images_not_over_batches(batch_size):
    training = Line(epochs=1, batch_size=batch_size)
    train(training)
    assert training.rows[0]["train_number"] == pytest.approx(4.5)


def test_a_module_trains_in_training_mode_and_is_measured_in_evaluation_mode():
    training = Line()
    train(training)
    assert all(in_training_mode for _, _, in_training_mode in training.log)
    assert not any(row["measured_in_training_mode"] for row in training.rows)
    assert not training.module.training


def test_a_row_has_the_time_of_its_epoch():
    training = Line(epochs=1)
    started = time.perf_counter()
    train(training)
    row = training.rows[0]
    assert 0 < row["wall_seconds"] <= time.perf_counter() - started
    # The rate is that of the training alone, which is a part of the epoch.
    assert row["images_per_second"] >= 10 / row["wall_seconds"]


def test_each_row_is_given_out_after_its_checkpoint_is_written(tmp_path):
    saved, given = [], []

    def on_epoch(row):
        saved.append(checkpoint.load(tmp_path / "checkpoint.pt")["rows"][-1])
        given.append(row)

    training = Line()
    train(training, tmp_path / "checkpoint.pt", on_epoch)
    assert saved == given == training.rows


def test_a_finished_training_is_not_trained_again(tmp_path):
    train(Line(), tmp_path / "checkpoint.pt")
    again = Line()
    train(again, tmp_path / "checkpoint.pt")
    assert again.log == []
    assert len(again.rows) == 3
    assert not again.module.training


def test_fewer_epochs_leave_an_interrupted_longer_training_where_it_was(tmp_path):
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        train(Line(epochs=9), file, stop_after(7))
    train(Line(epochs=2), file, asked=[2])
    longer, done = Line(epochs=9), []
    train(longer, file, lambda row: done.append(row["epoch"]))
    assert done == [8, 9]
    assert len(longer.rows) == 9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("step", "good_epochs"), [(0, 0), (2, 0), (4, 1), (8, 2)])
def test_a_loss_that_is_not_finite_ends_the_training_and_names_the_step(tmp_path, step, good_epochs, value):
    training = Line(broken={step: value})
    with torch.no_grad():
        training.module.weight.fill_(1.0)
    message = rf"^the training loss is (nan|-?inf) at step {step}; a smaller `learning_rate` may help$"
    with pytest.raises(NonFiniteLoss, match=message):
        train(training, tmp_path / "checkpoint.pt")
    assert len(training.rows) == good_epochs
    if good_epochs:
        assert len(checkpoint.load(tmp_path / "checkpoint.pt")["rows"]) == good_epochs
    else:
        assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.01] * 4), ("cosine", [0.01 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)])],
)
def test_the_learning_rate_follows_its_schedule(host, schedule, expected):
    changes = {"learning_rate_schedule": schedule, "learning_rate": 0.01, "epochs": 4, "train_images": 100}
    config = small(batch_size=100, hidden_widths=(4,), **changes)
    training = ModelTraining(config, TrialData(host, config, "cpu"), None)
    train(training)
    assert [row["learning_rate"] for row in training.rows] == pytest.approx(expected)
    end = training.optimiser.param_groups[0]["lr"]
    assert end == pytest.approx(0.0 if schedule == "cosine" else 0.01, abs=1e-12)


def test_the_optimiser_is_the_configs(host):
    config = small(learning_rate=0.003, weight_decay=0.2)
    optimiser = ModelTraining(config, TrialData(host, config, "cpu"), None).optimiser
    assert isinstance(optimiser, torch.optim.AdamW)
    assert (optimiser.defaults["lr"], optimiser.defaults["weight_decay"]) == (0.003, 0.2)
    assert optimiser.defaults["betas"] == (0.9, 0.999)


def test_temperatures_are_those_after_the_epochs_last_step(host):
    config = small(**ANNEALED, batch_size=4, epochs=3)
    training = ModelTraining(config, TrialData(host, config, "cpu"), None)
    train(training)
    assert [row["step"] for row in training.rows] == [50, 100, 150]
    assert [row["temperature"] for row in training.rows] == pytest.approx([1.0, math.exp(-0.5), math.exp(-0.5)])


def test_measuring_leaves_every_weight_and_buffer_as_it_was(host):
    config = small()
    training = ModelTraining(config, TrialData(host, config, "cpu"), None)
    training.module.eval()
    before = {name: value.clone() for name, value in training.module.state_dict().items()}
    noise = training.generators["noise"].get_state()
    first = training.measure(step=0)
    assert training.measure(step=0) == first
    assert equal(training.module.state_dict(), before)
    assert torch.equal(training.generators["noise"].get_state(), noise)


# Interruption

INTERRUPTED = {
    "vae": small(train_dataset="augmented", epochs=3, learning_rate_schedule="cosine"),
    "categorical_vae": small(train_dataset="augmented", epochs=3, batch_size=4, **ANNEALED),
    "behind_stn": small(train_dataset="augmented", epochs=3, stn="pretrained", stn_epochs=1),
}


@pytest.fixture(scope="module")
def uninterrupted(host):
    known = {}

    def of(name):
        if name not in known:
            known[name] = experiment.run(INTERRUPTED[name], host, measures="none")
        return known[name]

    return of


@pytest.mark.parametrize("name", INTERRUPTED)
def test_resumed_equals_uninterrupted_bit_for_bit(host, uninterrupted, tmp_path, name):
    config, file = INTERRUPTED[name], tmp_path / "checkpoint.pt"
    for epoch in (1, 2):
        with pytest.raises(Interrupted):
            experiment.run(config, host, measures="none", checkpoint=file, on_epoch=stop_after(epoch))
    resumed, whole = experiment.run(config, host, measures="none", checkpoint=file), uninterrupted(name)
    assert resumed.provenance["resumed"] == 2
    assert resumed.metrics == whole.metrics
    assert untimed(resumed.epochs) == untimed(whole.epochs)
    assert equal(resumed.model.state_dict(), whole.model.state_dict())
    assert equal(resumed.predictions, whole.predictions)
    assert equal(resumed.encodings, whole.encodings)
    before = sum(row["wall_seconds"] for row in resumed.epochs[:2])
    assert resumed.provenance["wall_seconds"] > before


@pytest.mark.parametrize("training_warps", ["redrawn", "fixed"])
def test_a_resumed_stn_equals_an_uninterrupted_one_bit_for_bit(host, tmp_path, training_warps):
    config, file = small(stn="pretrained", stn_epochs=3, training_warps=training_warps), tmp_path / "checkpoint.pt"
    for epoch in (1, 2):
        with pytest.raises(Interrupted):
            experiment.pretrain(config, host, checkpoint=file, on_epoch=stop_after(epoch))
    resumed, whole = experiment.pretrain(config, host, checkpoint=file), experiment.pretrain(config, host)
    assert resumed.provenance["resumed"] == 2
    assert resumed.metrics == whole.metrics
    assert untimed(resumed.epochs) == untimed(whole.epochs)
    assert equal(resumed.stn.state_dict(), whole.stn.state_dict())


def test_training_that_ended_before_the_probe_is_only_probed(host, uninterrupted, tmp_path):
    config, file = INTERRUPTED["vae"], tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        experiment.run(config, host, measures="none", checkpoint=file, on_epoch=stop_after(3))
    trained = []
    resumed = experiment.run(config, host, measures="none", checkpoint=file, on_epoch=trained.append)
    assert trained == []
    assert resumed.metrics == uninterrupted("vae").metrics


def fresh_generator(name):
    def forget(state):
        state["generators"][name] = {
            "shuffle": generator(0, "shuffle"),
            "warps": generator(0, "training warps"),
            "noise": generator(0, "noise"),
        }[name].get_state()

    return forget


def fresh_optimiser(state):
    state["optimiser"]["state"] = {}


FORGOTTEN = {
    "shuffle": fresh_generator("shuffle"),
    "warps": fresh_generator("warps"),
    "noise": fresh_generator("noise"),
    "optimiser": fresh_optimiser,
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_checkpoint_without_one_of_its_parts_would_not_do(host, uninterrupted, tmp_path, name):
    """Negative control: the comparison above sees a state that was not restored."""
    config, file = INTERRUPTED["vae"], tmp_path / "checkpoint.pt"
    data = TrialData(host, config, "cpu")
    with pytest.raises(Interrupted):
        train(ModelTraining(config, data, None), file, stop_after(1))
    state = checkpoint.load(file)
    FORGOTTEN[name](state)
    checkpoint.save(file, state)
    training = ModelTraining(config, data, None)
    train(training, file)
    assert training.resumed == 1
    whole = uninterrupted("vae").epochs
    assert untimed(training.rows)[0] == untimed(whole)[0]
    assert training.rows[-1]["train_loss"] != whole[-1]["train_loss"]


# Checkpoints that are not used

SHORT = small(train_dataset="augmented", train_images=100, hidden_widths=(4,))


def changed(**parts):
    def change(file):
        checkpoint.save(file, checkpoint.load(file) | parts)

    return change


def without(part):
    def change(file):
        checkpoint.save(file, {name: value for name, value in checkpoint.load(file).items() if name != part})

    return change


def cut_generator(file):
    state = checkpoint.load(file)
    state["generators"]["noise"] = state["generators"]["noise"][:100]
    checkpoint.save(file, state)


def weights_of_another_shape(file):
    checkpoint.save(file, checkpoint.load(file) | {"module": build(small(latent_dim=3)).state_dict()})


UNUSABLE = {
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("no checkpoint"),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "list": lambda file: torch.save([1, 2], file),
    "other work": changed(key="0123456789ab"),
    "other weights": weights_of_another_shape,
    "no key": without("key"),
    "no module": without("module"),
    "no optimiser": without("optimiser"),
    "no schedule": without("schedule"),
    "no generators": without("generators"),
    "no rows": without("rows"),
    "strange optimiser": changed(optimiser={"state": {}, "param_groups": []}),
    "strange generators": changed(generators={"shuffle": None, "warps": None, "noise": None}),
    "strange rows": changed(rows=[{"epoch": 1}]),
    "rows of another type": changed(rows=[1.0, 2.0]),
    "cut generator": cut_generator,
}


@pytest.fixture(scope="module")
def unused(host):
    """A training of `SHORT` that had no checkpoint, and its data."""
    data = TrialData(host, SHORT, "cpu")
    training = ModelTraining(SHORT, data, None)
    train(training)
    return training, data


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_a_checkpoint_that_can_not_be_used_is_reported_and_the_training_starts_anew(unused, tmp_path, caplog, spoil):
    expected, data = unused
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        train(ModelTraining(SHORT, data, None), file, stop_after(1))
    spoil(file)
    training = ModelTraining(SHORT, data, None)
    with caplog.at_level(logging.WARNING, logger="tivae"):
        train(training, file)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{file} is not used (")
    assert message.endswith("); training starts again from its first epoch")
    assert (training.resumed, training.seconds_before) == (0, 0.0)
    assert untimed(training.rows) == untimed(expected.rows)
    assert equal(training.module.state_dict(), expected.module.state_dict())
    # The next checkpoint is good again.
    assert len(checkpoint.load(file)["rows"]) == SHORT.epochs


def test_a_damaged_checkpoint_costs_an_epoch_and_no_more(host, uninterrupted, tmp_path, caplog):
    config, file = INTERRUPTED["vae"], tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        experiment.run(config, host, measures="none", checkpoint=file, on_epoch=stop_after(2))
    file.write_bytes(file.read_bytes()[:-100])
    trained = []
    resumed = experiment.run(config, host, measures="none", checkpoint=file, on_epoch=trained.append)
    assert [row["epoch"] for row in trained] == [2, 3]
    assert caplog.text.count("is not used") == 1
    assert "training continues from the one before" in caplog.text
    assert resumed.metrics == uninterrupted("vae").metrics


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_while_a_checkpoint_is_written_leaves_a_good_one(tmp_path, monkeypatch, moment):
    """Renaming is atomic: the process may die before the first, between both, or after."""
    file = tmp_path / "checkpoint.pt"
    checkpoint.advance(file, {"epoch": 1})
    replace, done = checkpoint.os.replace, []

    def dying(source, target):
        if len(done) == {"before": 1, "between": 2, "after": 3}[moment]:
            raise Interrupted
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", dying)
        with contextlib.suppress(Interrupted):
            checkpoint.advance(file, {"epoch": 2})
    good = file if file.exists() else checkpoint.previous(file)
    assert checkpoint.load(good) == {"epoch": 2 if moment == "after" else 1}
    checkpoint.advance(file, {"epoch": 3})
    assert checkpoint.load(file) == {"epoch": 3}
    checkpoint.remove(file)
    assert not list(tmp_path.glob("checkpoint*"))


def test_a_checkpoint_of_another_trial_is_named(unused, tmp_path, caplog):
    _, data = unused
    other = ModelTraining(small(train_images=100, hidden_widths=(4,), seed=1), data, None)
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        train(other, file, stop_after(1))
    train(ModelTraining(SHORT, data, None), file)
    assert f"it belongs to {other.key}, not {SHORT.training_key}" in caplog.text


def test_a_good_checkpoint_is_used_without_a_word(unused, tmp_path, caplog):
    expected, data = unused
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        train(ModelTraining(SHORT, data, None), file, stop_after(1))
    given = []
    training = ModelTraining(SHORT, data, None)
    train(training, file, given.append)
    assert caplog.records == []
    assert [row["epoch"] for row in given] == [2]
    assert training.resumed == 1
    assert equal(training.module.state_dict(), expected.module.state_dict())
