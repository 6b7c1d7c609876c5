"""All tables of a study, whatever state it is in, and their files."""

import shutil
import subprocess

import pandas as pd
import pytest

import analysis
from analysis import publish, tables
from tests.analysis.synthetic import grid, papers_metrics, record, study_of, write_record, write_study
from tivae.config import TrialConfig

# Its line has 345 points.
PAGE = r"\documentclass{article}\usepackage{booktabs,graphicx}"


def some(config, draw):
    return papers_metrics(config, draw) if config.model in ("vae", "categorical_vae") else {"base_accuracy": 0.7}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """All tables but those of a search and of other STNs: seeds, controls, sizes, weights, a reading, a failure."""
    configs = [*grid(seeds=3), TrialConfig(train_dataset="augmented", latent_dim=100), TrialConfig(kl_weight=0.1)]
    configs += [TrialConfig(model="pixels"), TrialConfig(model="pca"), TrialConfig(model="untrained")]
    configs += [TrialConfig(train_dataset=kind, batch_size=128) for kind in ("base", "augmented")]
    results = write_study(tmp_path_factory.mktemp("full"), configs, some)
    write_record(results, record(TrialConfig(seed=9), "failed", "NonFiniteLoss: 100 % of step_3 & <b>"))
    return analysis.load(results)


def test_a_full_study_has_every_table(full):
    made, skipped = tables.all_of(full)
    assert set(skipped) == {"arms", "ingredients", "search", "stn_mode"}
    assert [table.name for table in made] == [
        *(
            "verdicts",
            "table1",
            "every_cell",
            "effects",
            "seeds_needed",
            "latent_size",
            "kl_weight",
        ),
        *("pareto_front", "readings", "controls", "failures"),
    ]


def test_a_tables_files_hold_its_numbers_and_its_texts(full, tmp_path):
    made = tables.controls(full)
    paths = made.write(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["controls.csv", "controls.md", "controls.tex"]
    back = pd.read_csv(paths["csv"])
    assert back["base_accuracy"].tolist() == made.frame["base_accuracy"].tolist()
    assert paths["md"].read_text() == made.table.markdown()
    assert paths["tex"].read_text() == made.table.latex()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("study", ["every table", "paper_grid", "optuna_latent"])
def test_every_table_compiles_and_fits_an_article(full, study, tmp_path):
    made, _ = tables.all_of(full if study == "every table" else analysis.load(publish.FOLDER / study))
    body = "\n".join(table.table.latex() for table in made)
    (tmp_path / "tables.tex").write_text(rf"{PAGE}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout, done.stdout


def test_failures_are_named_with_their_reason(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "NonFiniteLoss: <b>nan</b>"))
    write_record(tmp_path, record(TrialConfig(seed=1), "pruned"))
    write_record(tmp_path, b"{", key="0123456789ab")
    table = tables.failures(analysis.load(tmp_path))
    assert sorted(table.frame["status"]) == ["damaged", "failed"]
    assert "NonFiniteLoss: <b>nan</b>" in table.table.text()


def test_what_a_study_does_not_support_is_left_out_with_a_reason(tmp_path):
    study = study_of(tmp_path, [TrialConfig(latent_dim=20)], some)
    made, skipped = tables.all_of(study)
    assert [table.name for table in made] == ["table1"]
    assert skipped.keys() == tables.ALL.keys() - {"paper"}
    assert all(reason and "\n" not in reason for reason in skipped.values())


def test_a_study_of_failures_only_has_just_their_table(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "odd"))
    made, _ = tables.all_of(analysis.load(tmp_path))
    assert [table.name for table in made] == ["failures"]
