"""A model, a probe and a measure outside the repository, each in one file, go the way of all others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from analysis.frames.labels import cell_label, model_name
from study.space import search_space
from tests.study.clusters import Command, cluster_of
from tests.study.space_files import read_text
from tests.tivae import outside
from tests.waiting import HANG_SECONDS
from tivae import registry
from tivae.config import ConfigError, TrialConfig

SPACE = """
question: what do models from elsewhere encode?
settings: {train_images: 200, test_images: 100, hidden_widths: [4, 8], epochs: 1, batch_size: 32, latent_dim: 3}
factors:
  model: [vae, "elsewhere.free_bits:FreeBitsVAE", "elsewhere.vq:VQVAE"]
  codebook_size: {values: [4, 8], where: {model: "elsewhere.vq:VQVAE"}}
  probe: [k_nearest, "elsewhere.centroids:Centroids"]
"""
FREE_BITS, VQ = "elsewhere.free_bits:FreeBitsVAE", "elsewhere.vq:VQVAE"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the package, on this process's path."""
    folder = outside.package(tmp_path_factory.mktemp("outside"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def study(folder, tmp_path_factory):
    """The study that the command leaves, given from a folder that is not the repository."""
    where = tmp_path_factory.mktemp("study")
    (where / "space.yaml").write_text(SPACE)
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-m", "study.run", "space.yaml", "--results-dir", "results", "--no-tensorboard"]
    command += ["--measures", "curves,elsewhere.participation:participation"]
    paths = os.pathsep.join([str(repository), str(folder)])
    done = subprocess.run(
        command, cwd=where, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with registry.importing():
        registry.MODELS[FREE_BITS], registry.MODELS[VQ], registry.PROBES["elsewhere.centroids:Centroids"]
    return analysis.load(where / "results" / "space"), done.stdout


def test_the_command_runs_them_and_tables_show_them(study):
    loaded, printed = study
    trials = loaded.trials
    assert len(trials) == 4 * 2
    assert set(trials["status"]) == {"finished"}
    assert set(trials["model"]) == {"vae", FREE_BITS, VQ}
    assert trials.loc[trials["model"] == VQ, "codebook_size"].isin([4, 8]).all()
    assert trials.loc[trials["model"] != VQ, "codebook_size"].isna().all()
    assert (trials["participation_ratio"] >= 1).all()
    assert (trials["rotation_accuracy_area"] > 0).all()
    assert trials.loc[trials["model"] == VQ, "base_commitment"].notna().all()
    assert trials.loc[trials["model"] == VQ, "dead_codes"].notna().all()
    page = loaded.folders["space"] / "report" / "report.html"
    assert f"Report: {page}" in printed
    assert "VQ-VAE" in page.read_text()
    report = page.with_suffix(".md").read_text()
    assert "free-bits VAE" in report
    assert "VQ-VAE" in report
    assert "codebook size 8" in report or "codebook_size" in report


def test_each_trial_is_its_record_again(study):
    loaded, _ = study
    for key in loaded.trials["key"]:
        trial = loaded.trial(key)
        assert trial.config.key == trial.key
        assert trial.config == TrialConfig.from_dict(trial.record["config"])
    vq = loaded.where(model=VQ, codebook_size=8, probe="k_nearest").trials.iloc[0]
    assert loaded.trial(vq["key"]).config.neighbours == 20
    assert loaded.trial(vq["key"]).model().encode(_images()).shape == (2, 12)
    assert "codebook_size" in loaded.factors()
    assert cell_label(vq, ["codebook_size"]).startswith("VQ-VAE, trained on base, no STN, codebook size 8")


def _images():
    import numpy as np

    return np.zeros((2, 28, 28), np.uint8)


def test_what_is_reported_is_what_was_trained(study):
    """The loss on a set of images is the model's own total: with the commitment, and without the free nats."""
    trials = study[0].trials
    vq = trials[trials["model"] == VQ]
    expected = vq["base_reconstruction"] + vq["base_codebook"] + 0.25 * vq["base_commitment"]
    assert vq["base_loss"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)
    free = trials[trials["model"] == FREE_BITS]
    expected = free["base_reconstruction"] + 1e-3 * free["base_penalised_kl"]
    assert free["base_loss"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)
    assert (free["base_penalised_kl"] > free["base_kl"]).all()


def test_a_field_of_ones_own_is_checked_and_is_part_of_the_key(folder, tmp_path):
    space = read_text(tmp_path, "settings: {model: 'elsewhere.vq:VQVAE'}\nfactors: {codebook_size: [4, 8]}\n")
    assert [trial.codebook_size for trial in space.trials] == [4, 8]
    assert len({trial.key for trial in space.trials}) == 2
    with pytest.raises(search_space.SpaceError, match="`codebook_size` is 1; it must be a whole number at least 2"):
        read_text(tmp_path, "settings: {model: 'elsewhere.vq:VQVAE', codebook_size: 1}\n")
    with pytest.raises(search_space.SpaceError, match="did you mean `codebook_size`"):
        read_text(tmp_path, "settings: {model: 'elsewhere.vq:VQVAE', codebook_sise: 8}\n")


def test_other_models_keep_their_keys(folder):
    before = TrialConfig().key
    with registry.importing():
        TrialConfig(model=VQ)
    assert TrialConfig(codebook_size=32).key == TrialConfig().key == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all:Model", r"can't be imported \(ModuleNotFoundError: No module named 'nowhere'\)"),
        ("elsewhere.vq:VQGAN", "elsewhere.vq has no such name; VQGAN must be a tivae.models.base.Model"),
        ("elsewhere.vq:WIDTH", "has something else of that name"),
        ("tivae.models.base:Trainable", "defines Trainable without label, feature_names; define them"),
        ("elsewhere.vq", r"it must be vae or .*, or `package\.module:Name`"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(folder, tmp_path, name, message):
    with pytest.raises(search_space.SpaceError, match=message):
        read_text(tmp_path, f"settings: {{model: '{name}'}}\n")


def test_a_record_imports_nothing(tmp_path, monkeypatch):
    """A stranger's record names a module; only the user's own word, or the variable, makes it be run."""
    (tmp_path / "trap.py").write_text("open(__file__ + '.sprung', 'w').close()\n" + outside.FREE_BITS)
    monkeypatch.syspath_prepend(tmp_path)
    values = TrialConfig().to_dict() | {"model": "trap:FreeBitsVAE"}
    folder = tmp_path / "study" / "trials" / "000000000000"
    folder.mkdir(parents=True)
    record = {"format": 1, "kind": "trial", "key": folder.name, "status": "finished", "error": None, "config": values}
    (folder / "record.json").write_text(json.dumps(record | {"metrics": {}, "epochs": [], "provenance": {}}))
    with pytest.raises(ConfigError, match="import trap first, or set TIVAE_TRUSTED=trap, if you trust it"):
        TrialConfig.from_dict(values)
    study = analysis.load(tmp_path / "study")
    with pytest.raises(ValueError, match="if you trust it"):
        _ = study.trial(folder.name).config
    assert model_name("trap:FreeBitsVAE") == "FreeBitsVAE"
    assert not (tmp_path / "trap.py.sprung").exists()
    monkeypatch.setenv(registry.TRUSTED_VARIABLE, "other, trap")
    assert TrialConfig.from_dict(values).free_nats == 0.1
    assert (tmp_path / "trap.py.sprung").exists()


def test_a_class_stands_for_its_name(folder):
    with registry.importing():
        entry = registry.MODELS[VQ]
    assert TrialConfig(model=entry).model == VQ
    assert TrialConfig(model=registry.MODELS["vae"]) == TrialConfig()


def test_a_node_of_a_cluster_is_sent_the_package(folder, monkeypatch):
    import ray

    from study.engine import cluster

    sent = {}
    monkeypatch.setattr(ray, "init", lambda **options: sent.update(options) or pytest.skip.Exception)
    with registry.importing():
        registry.MODELS[VQ]
    assert folder.resolve() / "elsewhere" in registry.outside()
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(AttributeError), cluster.session("127.0.0.1:1"):
        pass
    assert str(folder.resolve() / "elsewhere") in sent["runtime_env"]["py_modules"]


@pytest.mark.slow
def test_nodes_that_lack_the_package_run_its_models_and_measures(tmp_path, monkeypatch):
    package = outside.package(tmp_path / "packages")
    with cluster_of({"num_cpus": 1}, {"num_cpus": 1}) as (cluster, _):
        # Only now, as the nodes would have the path otherwise.
        monkeypatch.setenv("PYTHONPATH", str(package))
        changes = ("--set", f"model={VQ}", "--set", "stn=none", "--set", "probe=elsewhere.centroids:Centroids")
        measures = ("--measures", "elsewhere.participation:participation", "--seeds", "2")
        with Command(tmp_path, "--address", cluster.address, *changes, *measures) as command:
            command.end()
    trials = analysis.load(command.study).trials
    assert trials["status"].tolist() == ["finished"] * 2
    assert trials["participation_ratio"].ge(1).all()
