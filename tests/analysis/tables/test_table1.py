"""Table 1: which trials count, and how it is shown."""

import dataclasses
import re
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis.frames.recipe import Recipe, recipe_of
from analysis.inference import at_most
from analysis.paper import TABLE_1
from analysis.tables.table1 import paper_table, table1
from tests.analysis.synthetic import Metrics, grid, record, study_of, write_record, write_study
from tivae.config import TrialConfig
from tivae.data.catalogue.fashion_mnist import FASHION_MNIST

# As printed in the paper: experiment, base and augmented accuracy, base and augmented test loss.
PRINTED = """
1 base      vae             none       0.779  0.6463 0.2389 0.4427
1 base      vae             pretrained 0.7478 0.6093 0.1826 0.2244
2 augmented vae             none       0.7713 0.7133 0.2574 0.2808
2 augmented vae             pretrained 0.757  0.6384 0.1889 0.2045
3 base      categorical_vae none       0.8564 0.7452 7.107  13.0395
3 base      categorical_vae pretrained 0.8515 0.7492 5.2893 6.5253
4 augmented categorical_vae none       0.851  0.7635 7.6776 8.6028
4 augmented categorical_vae pretrained 0.851  0.7504 5.4501 5.9202
"""
METRICS = ("base_accuracy", "augmented_accuracy", "base_loss", "augmented_loss")


def constant(value: float) -> Metrics:
    return lambda *_: dict.fromkeys(METRICS, value)


def cell(table: pd.DataFrame, **factors: str) -> pd.Series:
    for name, value in factors.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_papers_table_is_what_the_paper_prints() -> None:
    frame = pd.DataFrame([dataclasses.asdict(cell) for cell in TABLE_1])
    rows = [line.split() for line in PRINTED.split("\n") if line]
    assert frame.astype(str).to_numpy().tolist() == rows
    # Losses of the two models differ by the reconstruction weight, 30, in every cell.
    ratios = frame["base_loss"].iloc[4:].to_numpy() / frame["base_loss"].iloc[:4].to_numpy()
    assert ((ratios > 28) & (ratios < 31)).all()


def test_a_cell_is_the_mean_over_its_seeds(tmp_path: Path) -> None:
    values = {0: 0.70, 1: 0.72, 2: 0.74}
    frame = table1(study_of(tmp_path, grid(seeds=3), lambda config, _: dict.fromkeys(METRICS, values[config.seed])))
    assert frame["experiment"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    row = cell(frame, train_dataset="base", model="vae", stn="none")
    assert row["seeds"] == 3
    assert row["base_accuracy"] == pytest.approx(0.72, abs=1e-12)
    assert row["base_accuracy_sd"] == pytest.approx(0.02, abs=1e-12)
    assert row["base_accuracy_difference"] == pytest.approx(0.72 - 0.779, abs=1e-12)
    # Without predictions images count as if all seeds got the same right.
    interval = at_most(list(values.values()), 10_000).interval()
    assert row["base_accuracy_high"] == pytest.approx(interval.high, abs=1e-12)
    # Of losses Student's t with 2 degrees of freedom: 4.3027 standard errors.
    assert row["base_loss_high"] - row["base_loss"] == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-6)
    assert row["over"] == "seeds and test images"


def test_one_seed_has_an_interval_over_test_images_of_accuracies_only(tmp_path: Path) -> None:
    row = table1(study_of(tmp_path, grid(), constant(0.7))).iloc[0]
    assert row["over"] == "test images"
    assert (row["base_accuracy_low"], row["base_accuracy_high"]) == pytest.approx((0.69095, 0.70890), abs=2e-5)
    assert row[["base_accuracy_sd", "base_loss_low", "base_loss_high"]].isna().all()


def test_the_interval_knows_how_many_images_were_tested(tmp_path: Path) -> None:
    row = table1(study_of(tmp_path, grid(test_images=100), constant(0.7))).iloc[0]
    assert row["base_accuracy_high"] - row["base_accuracy_low"] == pytest.approx(0.1766, abs=1e-3)


def test_unfinished_cells_are_missing_and_keep_the_papers_figures(tmp_path: Path) -> None:
    results = write_study(tmp_path, grid()[:3])
    write_record(results, record(grid()[3], status="failed", error="out of memory"))
    study = analysis.load(results)
    frame = table1(study)
    assert frame["seeds"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert frame["augmented_loss"].isna().tolist() == [False] * 3 + [True] * 5
    assert frame["augmented_loss_paper"].tolist() == [cell.augmented_loss for cell in TABLE_1]
    text = paper_table(study).text()
    assert re.search(r"augmented +categorical VAE +yes +- +- +85\.1 +- +75\.0", text)
    assert f"Failed trials: 1 ({grid()[3].key}: out of memory)." in text


@pytest.mark.parametrize(
    "other",
    [{"latent_dim": 20}, {"kl_weight": 0.0}, {"epochs": 21}, {"probe_regularisation": 0.5}, {"train_images": 5000}],
)
def test_other_settings_never_enter_a_cell(tmp_path: Path, other: dict[str, float]) -> None:
    results = write_study(tmp_path, grid(), constant(0.7))
    write_study(results, grid(**other), constant(0.2))
    frame = table1(analysis.load(results))
    assert frame["seeds"].tolist() == [1] * 8
    assert frame["base_accuracy"].tolist() == [0.7] * 8
    (name, value), *_ = other.items()
    assert (
        f"Finished trials that are not of this table: 8 ({name} {value})." in paper_table(analysis.load(results)).text()
    )


def test_own_fields_of_the_probe_are_named_of_what_is_left_out(tmp_path: Path) -> None:
    results = write_study(tmp_path, grid(probe="k_nearest"), constant(0.7))
    write_study(results, grid(probe="k_nearest", neighbours=5), constant(0.2))
    text = paper_table(analysis.load(results)).text()
    assert "Finished trials that are not of this table: 8 (neighbours 5)." in text


def test_settings_that_all_trials_share_count_and_are_named(tmp_path: Path) -> None:
    quick = {"train_images": 2000, "epochs": 2, "stn_epochs": 1, "categories": 5, "hidden_widths": (8, 16)}
    study = study_of(tmp_path, grid(**quick), constant(0.4))
    assert table1(study)["base_accuracy"].tolist() == [0.4] * 8
    text = paper_table(study).text()
    expected = (
        "These trials differ from the paper's recipe: train_images 2000 (paper: all), categories 5 (paper: 10), "
        "hidden_widths 8-16 (paper: 32-64-128), epochs 2 (paper: 20), stn_epochs 1 (paper: 20)."
    )
    assert expected.replace(" ", "") in "".join(text.split())


def test_a_study_of_the_papers_recipe_names_no_difference(tmp_path: Path) -> None:
    study = study_of(tmp_path, grid(seeds=2))
    assert recipe_of(study.trials, study.seedless).is_papers
    assert "differ" not in paper_table(study).text()


def test_a_setting_of_half_the_trials_is_a_factor_and_not_a_setting(tmp_path: Path) -> None:
    # Neither 5 nor 7 epochs is the paper's: no cell, rather than one of them or their mean.
    results = write_study(tmp_path, [*grid(epochs=5), *grid(epochs=7)], constant(0.4))
    frame = table1(analysis.load(results))
    assert frame["seeds"].tolist() == [0] * 8
    assert "16 (epochs 5, 7)" in paper_table(analysis.load(results)).text()


def test_a_setting_only_one_model_has_may_be_shared(tmp_path: Path) -> None:
    results = write_study(tmp_path, grid(temperature=1.0), constant(0.4))
    study = analysis.load(results)
    assert table1(study)["seeds"].tolist() == [1] * 8
    assert "temperature 1.0 (paper: 0.5)" in paper_table(study).text()


def test_all_images_is_a_value_and_not_a_missing_setting(tmp_path: Path) -> None:
    # Cells with 2,000 images and cells with all 60,000 (None) differ: only the latter are the paper's.
    half = grid()
    configs = [*half[:4], *(TrialConfig.from_dict(c.to_dict() | {"train_images": 2000}) for c in half[4:])]
    assert table1(study_of(tmp_path, configs, constant(0.4)))["seeds"].tolist() == [1] * 4 + [0] * 4


def test_models_of_a_later_version_do_no_harm(tmp_path: Path) -> None:
    results = write_study(tmp_path, grid(), constant(0.7))
    written = record(TrialConfig(seed=77), base_accuracy=0.1)
    written["config"]["model"] = "autoencoder"
    write_record(results, written)
    study = analysis.load(results)
    assert table1(study)["seeds"].tolist() == [1] * 8
    assert "1 (train_dataset base; model autoencoder; stn none)" in paper_table(study).text()


def test_a_seed_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    study = study_of(tmp_path, grid())
    twice = pd.concat([study.trials, study.trials], ignore_index=True)
    with pytest.raises(ValueError, match=r"seed 0 occurs twice in .*give each trial once"):
        table1(dataclasses.replace(study, trials=twice))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_text_fits_a_wide_terminal(tmp_path: Path, seeds: int) -> None:
    text = paper_table(study_of(tmp_path, grid(seeds=seeds))).text()
    assert max(len(line) for line in text.splitlines()) <= 110
    assert text.endswith("\n")


def test_all_formats_hold_the_same_figures_in_percent(tmp_path: Path) -> None:
    study = study_of(tmp_path, grid(), constant(0.71234))
    table = paper_table(study)
    for shown, plus_minus in ((table.text(), "±"), (table.markdown(), "±"), (table.latex(), r"$\pm$")):
        assert shown.count(f"71.2 {plus_minus} 0.9") == 16
        assert shown.count("0.712") == 16  # losses of one seed
        assert shown.count("13.04") == 1
        assert shown.count("categorical VAE") == 8
    assert table.label == "tab:paper"


def test_on_other_images_there_is_nothing_of_the_paper(tmp_path: Path) -> None:
    study = study_of(tmp_path, grid(dataset="kmnist"), constant(0.7))
    frame, table = table1(study), paper_table(study)
    assert frame["seeds"].tolist() == [1] * 8
    assert frame[[f"{name}_paper" for name in METRICS]].isna().all(axis=None)
    text = " ".join(table.text().split())
    assert text.startswith("The cells of the paper's Table 1 on Kuzushiji-MNIST;")
    assert "These trials differ from the paper's recipe: data set Kuzushiji-MNIST (paper: Fashion-MNIST)." in text
    assert not [name for _, block, _ in table.blocks for name in block if "paper" in name]


def test_a_data_set_of_ones_own_is_named_and_its_facts_are_not_shown() -> None:
    images = dataclasses.replace(FASHION_MNIST, name="mine@12345678", title="mine@12345678", sha256="12345678")
    recipe = Recipe({"dataset": images.name, "dataset_facts": images.facts(), "epochs": 5})
    expected = "data set mine@12345678 (paper: Fashion-MNIST), epochs 5 (paper: 20)"
    assert recipe.differences() == expected
