"""Tables of what holds: planted effects are in them, in points."""

import pandas as pd
import pytest

import analysis
from analysis import tables
from analysis.inference import plan_seeds
from analysis.tables.pilot import seed_plans
from tests.analysis.synthetic import grid, papers_metrics, study_of
from tivae.config import TrialConfig

SECONDS = 900.0  # of every made-up trial


def planted(config, draw):
    """The STN brings 3 points on augmented images; seeds differ by a standard deviation of half a point."""
    gain = 0.03 * (config.stn == "pretrained")
    return {"base_accuracy": 0.8 + draw.gauss(0, 0.005), "augmented_accuracy": 0.7 + gain + draw.gauss(0, 0.005)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("planted"), grid(seeds=6), planted)


def rows(made, heading):
    """The texts of one of the table's blocks, by their first column."""
    (frame,) = (frame for name, frame, _ in made.table.blocks if name.startswith(heading))
    return frame.set_index(frame.columns[0])


def test_the_effects_table_shows_a_planted_effect_and_no_other(study):
    made = tables.effects(study)
    shown = rows(made, "Augmented test set")
    assert float(shown.loc["STN: STN − no STN", "points"]) == pytest.approx(3, abs=0.5)
    assert shown.loc["STN: STN − no STN", "adjusted p"] == "< 0.001"
    others = made.frame[(made.frame["term"] != "stn") | (made.frame["test_set"] == "base")]
    assert (others["adjusted_p_value"] > 0.05).all()


def test_one_seed_without_predictions_is_said_to_have_no_intervals(tmp_path):
    study = study_of(tmp_path, grid(), planted)
    assert "One seed without predictions has no intervals; one seed" in tables.effects(study).table.notes[0]
    assert not [note for note in tables.verdicts(study).table.notes if note.startswith("One seed")]


def test_cells_that_share_no_seed_judge_nothing(tmp_path):
    configs = [config.with_seed(seed) for seed, config in enumerate(grid())]
    with pytest.raises(tables.NotSupported, match="no seed of the study has finished in all cells"):
        tables.verdicts(study_of(tmp_path, configs, planted))


def test_seeds_and_hours_follow_from_the_pilot(study):
    frame = seed_plans(study)
    row = frame[(frame["factor"] == "stn") & (frame["test_set"] == "augmented")].iloc[0]
    with_stn = study.where(stn="pretrained").trials.groupby("seed")["augmented_accuracy"].mean()
    without = study.where(stn="none").trials.groupby("seed")["augmented_accuracy"].mean()
    differences = 100 * (with_stn - without)
    plan = plan_seeds(differences, 0.5)
    assert row["contrast"] == "pretrained - none"
    assert (row["n"], row["sd"]) == (6, pytest.approx(differences.std()))
    assert (row["seeds_0.5"], row["seeds_cautious_0.5"]) == (plan.seeds, plan.seeds_cautious)
    assert row["hours_0.5"] == pytest.approx(plan.seeds * 8 * SECONDS / 3600)
    assert "STN: STN − no STN" in tables.seeds_needed(study).table.text()


def test_a_seed_that_lacks_a_cell_does_not_count_in_the_pilot(tmp_path):
    configs = [config for config in grid(seeds=4) if (config.seed, config.model) != (3, "vae")]
    frame = seed_plans(study_of(tmp_path, configs, planted))
    assert frame[frame["factor"] == "stn"]["n"].tolist() == [3, 3]
    assert frame[frame["factor"] == "model"]["n"].tolist() == [3, 3]


def test_one_seed_is_no_pilot(tmp_path):
    study = study_of(tmp_path, grid(), planted)
    with pytest.raises(tables.NotSupported, match="it needs two or more seeds"):
        tables.seeds_needed(study)


def test_a_slow_seed_does_not_make_all_seeds_dear(study):
    trials = study.trials.assign(wall_seconds=study.trials["wall_seconds"].where(study.trials["seed"] != 0, 1e6))
    slow = seed_plans(analysis.Study(trials, study.epochs, study.folders))
    assert slow["hours_0.5"].tolist() == pytest.approx(seed_plans(study)["hours_0.5"].tolist())


def test_a_quick_run_judges_nothing(tmp_path):
    quick = study_of(tmp_path / "grid-quick", grid(seeds=3), planted)
    with pytest.raises(tables.NotSupported, match="a quick run judges no claim"):
        tables.verdicts(quick)


def test_verdicts_say_what_they_rest_on(study):
    made = tables.verdicts(study)
    (_, shown, _), *_ = made.table.blocks
    assert {text.split(" of ")[1] for text in shown["agree"]} == {"6"}
    assert "Intervals are over seeds, corrected as p" in made.table.text().replace("\n", " ")
    assert len(shown) < len(made.frame)
    assert not shown["adjusted p"].isin(["0.000"]).any()
    stn = shown[shown["claim"].str.startswith("The pretrained STN")].iloc[0]
    assert (stn["paper"], stn["claimed"]) == ("-3.03, does not", "-2 to 2")
    assert "This study has no controls" in made.table.text()


def test_verdicts_stand_beside_the_controls_and_what_another_probe_says(tmp_path):
    pixels = TrialConfig(model="pixels")

    def metrics(config, draw):
        if config == pixels:
            return {"base_accuracy": 0.83, "augmented_accuracy": 0.69}
        gain = 0.1 * (config.stn == "pretrained")
        return planted(config, draw) | {"augmented_accuracy_fit_base": 0.5 + gain + draw.gauss(0, 0.001)}

    made = tables.verdicts(study_of(tmp_path, [*grid(seeds=3), pixels], metrics))
    stn = made.frame.set_index("claim").loc["stn_has_no_pronounced_effect"]
    assert stn["effect"] == pytest.approx(3, abs=1)
    assert stn["effect_base_probe"] == pytest.approx(10, abs=0.2)
    assert stn["low_base_probe"] < 10 < stn["high_base_probe"]
    (_, shown, _), (heading, controls, _) = made.table.blocks
    assert f"{stn['effect_base_probe']:+.2f}" in shown["base probe"].tolist()
    assert heading.startswith("Accuracy (%) of controls")
    assert controls["base test set", "ours"].tolist() == ["83.0 ± 0.7"]


def test_on_other_images_the_papers_numbers_are_no_part_of_a_verdict(tmp_path):
    made = tables.verdicts(study_of(tmp_path, grid(seeds=3, dataset="kmnist"), planted))
    assert "paper" not in made.table.blocks[0][1]
    assert made.frame["holds_in_paper"].isna().all()
    assert "The paper's own numbers" not in " ".join(made.frame["sentence"])


def test_table_1_has_intervals_and_controls(tmp_path):
    controls = [TrialConfig(model="pixels"), TrialConfig(model="pca"), TrialConfig(model="pca", latent_dim=100)]

    def metrics(config, draw):
        return (
            papers_metrics(config, draw)
            if config not in controls
            else {"base_accuracy": 0.55, "augmented_accuracy": 0.5}
        )

    made = tables.paper(study_of(tmp_path, [*grid(), *controls], metrics))
    shown = rows(made, "Accuracy (%) of controls")
    assert shown.index.tolist() == ["raw pixels", "PCA, 10 latents", "PCA, 100 latents"]
    assert shown["base test set", "ours"].tolist() == ["55.0 ± 1.0"] * 3
    assert len(made.frame) == 8
    accuracy, _, loss = (frame for _, frame, _ in made.table.blocks)
    assert accuracy["augmented test set", "ours"].str.contains(" ± ").all()
    assert not loss["augmented test set", "ours"].str.contains("±").any()  # one seed says nothing of a loss
    assert "not of this table" not in made.table.text()
    assert pd.notna(made.frame["over"]).all()
