"""The command that runs a trial again asks for exactly that trial."""

import shlex

import pytest

from analysis.reproduce import command
from study.space import search_space
from tivae.config import TrialConfig

CONFIGS = [
    TrialConfig(),
    TrialConfig(model="categorical_vae", stn="pretrained", train_dataset="augmented", seed=3),
    TrialConfig(hidden_widths=(8, 16), epochs=2, train_images=6000, whole_pixel_shifts=True, kl_weight=1e-7),
    TrialConfig(stn="joint", train_dataset="augmented", alignment_weight=0.5),
    # The default of a weight of the alignment is that of the reconstruction.
    TrialConfig(stn="joint", reconstruction_weight=5, alignment_weight=1),
    TrialConfig(model="vicreg", train_dataset="augmented", variance_weight=0.0),
    TrialConfig(probe="k_nearest", neighbours=5),
    TrialConfig(model="pca", latent_dim=20),
    TrialConfig(model="pixels"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_it_is_one_trial_and_the_right_one(config):
    words = shlex.split(command(config))
    overrides = dict(search_space.parse_override(words[i + 1]) for i, word in enumerate(words) if word == "--set")
    (trial,) = search_space.read(search_space.find("paper_grid"), overrides=overrides).trials
    assert trial == config
    assert words[:6] == ["uv", "run", "python", "-m", "study.run", "paper_grid"]
