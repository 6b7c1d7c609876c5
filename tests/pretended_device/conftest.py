import pytest

from tests.pretended_device.trials import noted
from tivae.training import loop


@pytest.fixture(autouse=True)
def _steps_are_a_phase(monkeypatch):
    monkeypatch.setenv("TIVAE_KERNELS", "torch")
    monkeypatch.setattr(loop, "take_step", noted(loop.take_step, "step"))
