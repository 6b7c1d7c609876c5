"""A training step asks for no value back: on a GPU each such question would wait for all the work that is queued."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.small import small
from tivae.data.datasets import TrialData
from tivae.models import stn
from tivae.training.autoencoder import ModelTraining
from tivae.training.stn_pretraining import StnTraining

# Operations whose result the host must have before it can go on.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "_unique2"}


class Asked(TorchDispatchMode):
    """Notes the operations above."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        name = operation.overloadpacket.__name__
        # By a mask, how many values there are is a question as well.
        masked = name == "index" and any(index is not None and index.dtype == torch.bool for index in arguments[1])
        if name in WAITING or masked:
            self.names.append(name)
        return operation(*arguments, **(options or {}))


CONFIGS = [
    *(small(model=model, train_dataset="augmented") for model in ("vae", "categorical_vae", "autoencoder")),
    *(small(stn=mode, train_dataset="augmented") for mode in ("pretrained", "joint", "inverse")),
    small(stn="joint"),
    small(consistency_weight=1.0),
    small(consistency_weight=1.0, consistency_form="kl", model="categorical_vae"),
    small(reconstruction_target="base", train_dataset="augmented"),
    small(interpolation="nearest", train_dataset="augmented"),
]


def _step(training):
    images = training.images()
    index = torch.arange(16)
    with Asked() as asked:
        loss, _ = training.loss(images, index, 3)
        loss.backward()
        training.optimiser.step()
    return asked.names


@pytest.fixture(autouse=True)
def _torchs_own_layers(monkeypatch):
    monkeypatch.setenv("TIVAE_KERNELS", "torch")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.model} {config.stn} {config.consistency_form}")
def test_a_step_of_any_model_asks_for_nothing(host, config):
    frozen = stn.freeze(stn.build(config)) if config.stn == "pretrained" else None
    assert _step(ModelTraining(config, TrialData(host, config, "cpu"), frozen)) == []


def test_a_step_of_an_stns_pretraining_asks_for_nothing(host):
    config = small(stn="pretrained")
    assert _step(StnTraining(config, TrialData(host, config, "cpu"))) == []


def test_a_question_would_be_noticed():
    with Asked() as asked:
        float(torch.ones(1).sum())
        torch.ones(3).nonzero()
        torch.ones(3)[torch.ones(3) > 0]
    assert asked.names == ["_local_scalar_dense", "nonzero", "index"]
