"""What a caption says of the trials behind a figure."""

import pandas as pd

import analysis
from analysis.figures.drawing import captions
from tests.analysis import synthetic
from tivae.config import TrialConfig


def trials_of(tmp_path, configs, name="study"):
    return synthetic.study_of(tmp_path / name, configs, lambda *_: {}).trials


def test_a_caption_says_seeds_images_and_epochs(tmp_path):
    trials = trials_of(tmp_path, [TrialConfig(seed=seed) for seed in range(3)])

    assert captions.described(trials) == "3 seeds; 60,000 training images, 10,000 test images, 20 epochs."


def test_a_caption_says_ranges(tmp_path):
    trials = trials_of(tmp_path, [TrialConfig(epochs=5, train_images=1000), TrialConfig(epochs=7)])

    assert captions.described(trials) == ("1 seed; 1,000 to 60,000 training images, 10,000 test images, 5 to 7 epochs.")


def test_a_quick_run_is_said_to_be_one(tmp_path):
    trials = trials_of(tmp_path, [TrialConfig(epochs=2)], "paper_grid-quick")

    assert captions.is_quick(trials)
    assert captions.described(trials).endswith(
        "Quick run: it shows that everything works, its numbers are not meaningful."
    )
    assert not captions.is_quick(trials_of(tmp_path, [TrialConfig(epochs=2)], "quickly"))


def test_unfinished_trials_are_counted(tmp_path):
    synthetic.write_study(tmp_path, [TrialConfig()], lambda *_: {})
    synthetic.write_record(tmp_path, synthetic.record(TrialConfig(seed=1), "failed", "no memory"))

    assert "1 of 2 trials have finished (1 failed)." in captions.described(analysis.load(tmp_path).trials)


def test_a_caption_of_a_damaged_record_says_what_is_known(tmp_path):
    synthetic.write_record(tmp_path, b"{", "0" * 12)

    assert "an unknown number of epochs" in captions.described(analysis.load(tmp_path).trials)
    assert isinstance(captions.is_quick(pd.DataFrame({"study": ["a"]})), bool)
