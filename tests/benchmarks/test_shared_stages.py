"""The benchmark of shared stages goes through its steps; its numbers are not meaningful."""

from tests.benchmarks import shared_stages
from tests.small import small
from tivae.stages import Wanted

CELL = small(train_images=100, hidden_widths=(2,), epochs=4)


def test_twelve_readouts_are_counted_beside_one(host, tmp_path, capsys):
    shared_stages._readouts([CELL], host, tmp_path, Wanted(measures="none"))
    assert "1 cells x 2 probes x 3 C x 2 fits (12 trials) over 1 trials" in capsys.readouterr().out
    assert len(list(tmp_path.glob("twelve/trainings/*"))) == 1


def test_a_training_that_goes_on_is_measured_beside_one_in_one_go(host, tmp_path, capsys):
    shared_stages._continuing([CELL], host, tmp_path)
    assert "1 trainings, equal bit for bit" in capsys.readouterr().out
