"""The first look after an epoch: an estimate that moves nothing."""

import dataclasses

import pytest

from tests.small import small
from tivae import experiment
from tivae.evaluation import intermediate

SPLIT = small(train_images=400, validation_images=100, epochs=2)


@pytest.mark.parametrize("figure", intermediate.METRICS)
def test_it_is_near_the_final_figure_and_moves_no_other(host, figure):
    seen, plain = [], []
    with_it = experiment.run(SPLIT, host, on_epoch=seen.append, measures="none", intermediate=figure)
    without = experiment.run(SPLIT, host, on_epoch=plain.append, measures="none")
    assert with_it.metrics == without.metrics
    assert [figure in row for row in seen + plain] == [True, True, False, False]
    assert figure not in with_it.epochs[-1]
    # The same images, the same model, for an augmented fit other warps: 100 images have a standard error of 5 points.
    assert seen[-1][figure] == pytest.approx(with_it.metrics[figure], abs=0.15)


def test_with_few_training_images_the_base_estimate_is_the_final_figure(host):
    seen = []
    final = experiment.run(SPLIT, host, on_epoch=seen.append, measures="none", intermediate="validation_base_accuracy")
    assert seen[-1]["validation_base_accuracy"] == final.metrics["validation_base_accuracy"]


def test_the_probe_sees_no_more_than_its_share(host, monkeypatch):
    monkeypatch.setattr(intermediate, "PROBE_IMAGES", 50)
    fitted = []
    fit = intermediate.probe.fit
    monkeypatch.setattr(intermediate.probe, "fit", lambda seen, *rest: fitted.append(len(seen)) or fit(seen, *rest))
    experiment.run(
        dataclasses.replace(SPLIT, stn="pretrained", stn_epochs=1),
        host,
        on_epoch=[].append,
        measures="none",
        intermediate="validation_augmented_accuracy",
    )
    assert fitted == [50, 50, 300, 300]
