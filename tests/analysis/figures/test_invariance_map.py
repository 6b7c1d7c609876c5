"""The map of a study of invariance, and the table of what its arms give and cost."""

import pytest
from matplotlib.figure import Figure

import analysis
from analysis import tables
from analysis.figures import invariance_map
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.report import answer
from tests.analysis.synthetic import record, write_record
from tivae.config import TrialConfig

AUGMENTED = {"train_dataset": "augmented", "latent_dim": 100}
# Name: base and augmented accuracy, config, and what the diagnostics say.
ARMS = {
    "supervised": (0.93, 0.90, {"model": "supervised", **AUGMENTED}, {}),
    "vicreg": (0.88, 0.85, {"model": "vicreg", **AUGMENTED}, {"code_variance_share": 0.5, "train_variance": 0.1}),
    "collapsed": (0.9, 0.89, {"model": "vicreg", "variance_weight": 0.0, **AUGMENTED}, {"train_variance": 0.99}),
    "aavae": (0.86, 0.80, {"model": "vae", "kl_weight": 0.0, "reconstruction_target": "base", **AUGMENTED}, {}),
    "cr_vae": (
        *(0.85, 0.79, {"model": "vae", "consistency_weight": 0.01, "consistency_form": "kl", **AUGMENTED}),
        {},
    ),
    "hog": (0.84, 0.70, {"model": "hog", "latent_dim": 100}, {}),
    "hog_moments": (0.82, 0.76, {"model": "hog", "latent_dim": 100, "front": "moments"}, {}),
}


def study_of(folder, names=ARMS, seeds=2):
    for name in names:
        base, augmented, fields, diagnostics = ARMS[name]
        for seed in range(seeds):
            config = TrialConfig(seed=seed, epochs=2, **fields)
            accuracies = {"base_accuracy": base + 0.001 * seed, "augmented_accuracy": augmented + 0.001 * seed}
            fits = {"augmented_accuracy_fit_base": augmented - 0.1}
            read = {f"{part}_r_squared": 0.2 for part in ("rotation", "shift_x", "shift_y", "scale")}
            shift = {"latent_displacement": 0.3, "prediction_consistency": 0.9}
            write_record(folder, record(config, **accuracies, **fits, **read, **shift, **diagnostics))
    return analysis.load(folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("map") / "invariance")


def test_an_arm_has_its_accuracies_and_the_collapsed_one_is_left_out(study):
    frame = invariance_map.numbers(study)
    own = frame[~frame["is_paper"]]
    assert own["augmented_accuracy"].round(4).tolist() == [0.9005, 0.8505, 0.8005, 0.7905, 0.7605, 0.7005]
    assert own["number"].tolist() == [1, 2, 3, 4, 5, 6]
    assert own["is_ceiling"].tolist() == [True, *[False] * 5]
    assert (own["augmented_accuracy_low"] < own["augmented_accuracy"]).all()
    assert (own["n"] == 2).all()
    everything = invariance_map.arms(study)
    assert everything.loc[everything["is_collapsed"], "arm"].str.contains("VICReg").tolist() == [True]
    assert frame["is_paper"].sum() == 8


def test_arms_are_named_as_in_the_literature(study):
    names = [arm.partition(",")[0] for arm in invariance_map.arms(study)["arm"]]
    assert {"AAVAE", "CR-VAE", "VICReg", "HOG", "supervised encoder"} <= set(names)
    assert any("front moments" in arm for arm in invariance_map.arms(study)["arm"])


def test_it_draws_ceilings_as_lines_and_the_others_as_points(study):
    ax = invariance_map.draw(Figure().add_subplot(), invariance_map.numbers(study))
    flat = [line for line in ax.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2]
    assert [round(float(line.get_ydata()[0]), 2) for line in flat] == [90.05]
    assert sorted(text.get_text() for text in ax.texts) == ["2", "3", "4", "5", "6"]
    labels = ax.get_legend_handles_labels()[1]
    assert "the paper's cells" in labels
    assert any(label.startswith("ceiling: supervised encoder") for label in labels)


def test_the_caption_names_the_arms_and_says_what_was_left_out(study):
    (figure,) = invariance_map.drawn(Sources(study))
    assert "2: VICReg" in figure.caption
    assert "1 arm left out that collapsed" in figure.caption
    assert "VICReg" in figure.alt
    assert "supervised" not in figure.alt


def test_the_table_says_what_each_arm_gives_and_costs(study):
    made = tables.arms(study)
    frame = made.frame.set_index("arm")
    row = frame[frame.index.str.startswith("AAVAE")].iloc[0]
    assert row["gap"] == pytest.approx(6.0)
    assert row["base_fitted"] == pytest.approx(0.7)
    assert row["gap_base_fitted"] == pytest.approx(16.05)
    assert row["warp_read"] == pytest.approx(0.2)
    assert row["hours"] == pytest.approx(0.25)
    assert row["images_per_second"] == 1000
    assert frame["images_per_second"].isna().sum() == 2  # of what is not trained
    text = made.table.markdown()
    assert "Collapsed by its own diagnostics: VICReg" in text
    assert "| 0.8605 | 0.8005 | 0.7000 | 6.0 | 16.0 | 0.300 | 0.900 | 0.20 | 1000 | 0.25 |" in text


def test_without_a_ceiling_there_is_neither(tmp_path):
    without = study_of(tmp_path / "plain", ["aavae", "hog"])
    with pytest.raises(NotSupported, match="no ceiling has finished"):
        invariance_map.numbers(without)
    with pytest.raises(NotSupported, match="no ceiling has finished"):
        tables.arms(without)


def test_a_ceiling_is_neither_the_best_nor_on_the_front_and_stands_with_the_controls(study):
    found = dict(answer.answers(study, []))
    assert "supervised" not in found["Best on transformed images"]
    table = tables.controls(study).table.markdown()
    assert "supervised encoder" in table
    assert "HOG" in table
