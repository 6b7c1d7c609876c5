"""`python -m tests.devices` goes through all that it tries, and finds what is wrong."""

from tests import devices
from tests.pretended_device.trials import on
from tests.tivae.test_device_support import _nothing_known  # noqa: F401 (a fixture)
from tivae import experiment


def _printed(capsys, *arguments):
    code = devices.main(["--only", "vae", "--seconds", "0", *arguments])
    return code, capsys.readouterr().out


def test_a_sound_device_passes(capsys):
    with on("cuda"):
        code, printed = _printed(capsys, "--device", "cuda:0")
    assert code == 0
    assert "| vae | yes |" in printed
    assert "goes on on the CPU and back from its last epoch: yes" in printed
    assert "all paths run" in printed


def test_what_it_lacks_is_in_the_table(capsys):
    with on("mps", lacking=frozenset({"exp"})):
        code, printed = _printed(capsys, "--device", "mps:0")
    assert code == 1
    assert "aten::exp" in printed


def test_other_losses_and_other_bits_are_failures(capsys, monkeypatch):
    run, count = experiment.run, iter(range(100))

    def odd(*given, **named):
        result = run(*given, **named)
        result.metrics["base_loss"] *= 1 + 0.2 * next(count)
        return result

    monkeypatch.setattr(experiment, "run", odd)
    code, printed = _printed(capsys, "--device", "cpu")
    assert code == 1
    assert "| no |" in printed


def test_without_a_device_it_says_so(capsys, monkeypatch):
    monkeypatch.setattr(devices, "_found", lambda: None)
    assert devices.main([]) == 2
    assert "neither CUDA nor MPS" in capsys.readouterr().err
