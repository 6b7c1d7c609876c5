"""Small trials that several test files look at; none of them changes what is here."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small import small
from tivae import experiment, records, stages
from tivae.config import TrialConfig

CONFIGS = {
    "vae": small(train_dataset="augmented", test_images=600),
    "categorical_vae": small(model="categorical_vae", latent_dim=4, categories=5, test_images=600),
    "stn": small(stn="pretrained", stn_epochs=2, train_dataset="augmented", test_images=600),
}


@dataclass(frozen=True)
class Recorded:
    """A finished trial on storage."""

    config: TrialConfig
    study: Path
    folder: Path
    record: dict


@pytest.fixture(scope="session")
def result(host):
    """Gives the `TrialResult` of the config of a name in `CONFIGS`, computed once and without storage."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = experiment.run(CONFIGS[name], host)
        return known[name]

    return of


@pytest.fixture(scope="session")
def recorded(host, tmp_path_factory):
    """Gives the finished trial, on storage, of a name in `CONFIGS`; computed once."""
    study = tmp_path_factory.mktemp("study")
    known = {}

    def of(name):
        if name not in known:
            config = CONFIGS[name]
            record = stages.run_trial(config, host, "cpu", study)
            known[name] = Recorded(config, study, records.trial_folder(study, config.key), record)
        return known[name]

    return of
