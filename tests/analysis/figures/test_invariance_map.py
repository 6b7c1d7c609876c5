"""The map of a study of invariance, and the table of what its arms give and cost."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

import analysis
from analysis import tables
from analysis.figures import invariance_map, title_of
from analysis.figures.drawing import arms
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
    "hog": (0.84, 0.70, {"model": "hog", **AUGMENTED}, {}),
    "hog_moments": (0.82, 0.76, {"model": "hog", "front": "moments", **AUGMENTED}, {}),
}


def study_of(folder, names=ARMS, seeds=2, **settings):
    for name in names:
        base, augmented, fields, diagnostics = ARMS[name]
        for seed in range(seeds):
            config = TrialConfig(seed=seed, epochs=2, **fields, **settings)
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
    assert own["number"].dropna().tolist() == [1, 2, 3, 4, 5]  # the ceiling has none
    assert own["number"].isna().tolist() == own["is_ceiling"].tolist()
    assert own["is_ceiling"].tolist() == [True, *[False] * 5]
    assert (own["augmented_accuracy_low"] < own["augmented_accuracy"]).all()
    assert (own["n"] == 2).all()
    everything = invariance_map.arms(study)
    assert everything.loc[everything["is_collapsed"], "arm"].str.contains("VICReg").tolist() == [True]
    assert frame["is_paper"].sum() == 8


def test_the_papers_cells_have_no_seeds_and_are_on_its_images_alone(study, tmp_path):
    (drawn,) = invariance_map.drawn(Sources(study))
    assert title_of(drawn, study).endswith(" (n = 2 seeds)")
    others = invariance_map.drawn(Sources(study_of(tmp_path / "mnist", dataset="mnist")))[0]
    assert not others.data["is_paper"].any()
    words = [text.get_text() for text in others.figure.legends[0].texts]
    assert "trained with labels" in words
    assert "the paper's cells" not in words


def test_arms_are_named_as_in_the_literature(study):
    names = [arm.partition(",")[0] for arm in invariance_map.arms(study)["arm"]]
    assert {"AAVAE", "CR-VAE", "VICReg", "HOG", "supervised encoder"} <= set(names)
    assert any("front moments" in arm for arm in invariance_map.arms(study)["arm"])


def test_it_draws_a_point_per_arm_by_front_and_model_and_the_best_ceiling_as_lines(study):
    frame = invariance_map.marked(invariance_map.numbers(study))
    ax = invariance_map.draw(Figure().add_subplot(), frame)
    flat = [line for line in ax.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2]
    assert [round(float(line.get_ydata()[0]), 2) for line in flat] == [90.05]
    labels = ax.get_legend_handles_labels()[1]
    assert {"the paper's cells", "trained with labels", "no gap"} <= set(labels)
    own = frame[frame["number"].notna()]
    assert own.groupby("front")["colour"].nunique().to_dict() == {"moments": 1, "nothing in front": 1}
    assert own["colour"].nunique() == 2
    assert own.groupby("model")["marker"].nunique().to_dict() == {"hog": 1, "vae": 1, "vicreg": 1}
    assert own["marker"].nunique() == 3
    drawn = {(round(float(x), 2), round(float(y), 2)) for line in ax.lines for x, y in line.get_xydata()}
    assert {(88.05, 85.05), (84.05, 70.05), (82.05, 76.05)} <= drawn
    hollow = {line.get_marker() for line in ax.lines if line.get_markerfacecolor() == "white"}
    assert hollow == set(own.loc[own["model"] == "hog", "marker"])


def test_the_best_arms_are_enlarged_with_their_numbers_and_the_ceiling(study, monkeypatch):
    monkeypatch.setattr(invariance_map, "ENLARGED", 3)
    frame = invariance_map.marked(invariance_map.numbers(study))
    ax = invariance_map.draw_enlarged(Figure().add_subplot(), frame)
    assert sorted(text.get_text() for text in ax.texts) == ["1", "2", "3"]
    assert ax.get_ylim()[0] == pytest.approx(79.05 - 0.5)
    assert ax.get_ylim()[1] == pytest.approx(90.05 + 0.5)


def test_arms_are_ranked_by_validation_images_where_all_have_them(tmp_path):
    for name, validation in (("supervised", 0.9), ("vicreg", 0.80), ("aavae", 0.84)):
        base, augmented, fields, diagnostics = ARMS[name]
        config = TrialConfig(validation_images=10_000, epochs=2, **fields)
        accuracies = {"base_accuracy": base, "augmented_accuracy": augmented, "augmented_accuracy_fit_base": 0.5}
        record_of = record(config, **accuracies, validation_augmented_accuracy=validation, **diagnostics)
        write_record(tmp_path / "invariance", record_of)
    found = analysis.load(tmp_path / "invariance")
    ranked = invariance_map.arms(found)
    assert ranked["model"].tolist() == ["supervised", "vae", "vicreg"]
    assert "in the order of augmented validation images: 1: AAVAE" in invariance_map.drawn(Sources(found))[0].caption
    text = tables.arms(found).table.markdown()
    assert "| 1 | AAVAE" in text
    assert "rank by the accuracy on augmented validation images" in text


def test_the_caption_names_the_arms_and_says_what_was_left_out(study):
    (figure,) = invariance_map.drawn(Sources(study))
    assert "1: VICReg" in figure.caption
    assert "in the order of augmented test images" in figure.caption
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
    assert "| - | 0.8605 | 0.8005 | 0.7000 | 6.0 | 16.0 | 0.300 | 0.900 | 0.20 | 1000 | 0.25 |" in text


def test_the_table_of_ingredients_compares_arms_that_differ_by_one(study):
    frame = tables.ingredients(study).frame
    # The collapsed VICReg is left out, and AAVAE and CR-VAE have no arm between them and nothing else in common.
    assert frame[["ingredient", "arm"]].to_numpy().tolist() == [["front moments", "HOG"]]
    assert frame[["base", "augmented", "gap"]].iloc[0].tolist() == pytest.approx([-2.0, 6.0, -8.0])
    assert frame["hours_ratio"].iloc[0] == pytest.approx(1.0)
    assert "| front moments | 1 | -2.0 | +6.0 | -8.0 | 1.0 |" in tables.ingredients(study).table.markdown()


def test_no_ingredient_is_given_to_arms_between_which_there_is_another(tmp_path):
    vae = {"model": "vae", **AUGMENTED}
    both = {"reconstruction_target": "base", "kl_weight": 0.0}
    arms = {"plain": {}, "base": {"reconstruction_target": "base"}, "aavae": both}
    accuracy = {"plain": 0.7, "base": 0.76, "aavae": 0.78}
    for name, fields in arms.items():
        values = {"base_accuracy": 0.85, "augmented_accuracy": accuracy[name], "augmented_accuracy_fit_base": 0.5}
        write_record(tmp_path / "invariance", record(TrialConfig(epochs=2, **vae, **fields), **values))
    ceiling = {"base_accuracy": 0.9, "augmented_accuracy": 0.9, "augmented_accuracy_fit_base": 0.5}
    write_record(tmp_path / "invariance", record(TrialConfig(epochs=2, model="supervised", **AUGMENTED), **ceiling))
    found = analysis.load(tmp_path / "invariance")
    frame = tables.ingredients(found).frame.set_index("ingredient")
    assert frame["augmented"].round(6).to_dict() == {"reconstruction target base": 6.0, "KL weight 0": 2.0}
    alone = found.where(model=["vae", "supervised"], kl_weight=[0.0, None], reconstruction_target=["base", None])
    with pytest.raises(NotSupported, match="no two arms of one model"):
        tables.ingredients(alone)


def test_an_arm_is_named_by_what_sets_it_apart_from_most():
    common = {"train_dataset": "augmented", "latent_dim": 100, "epochs": 2}
    configs = [
        TrialConfig(model="vae", **common),
        TrialConfig(model="vae", stn="pretrained", **common),
        TrialConfig(model="vicreg", view_noise=0.1, view_erasing=0.3, **common),
        TrialConfig(model="vicreg", reconstruction_weight=10.0, hidden_widths=(16, 32), **common),
        TrialConfig(model="supervised", **common | {"latent_dim": 10, "train_dataset": "base"}),
        TrialConfig(model="pixels", front="moments"),
    ]
    factors = ["train_dataset", "stn", "front", "latent_dim", "hidden_widths", "reconstruction_weight"]
    factors += ["output_activation", "view_noise", "view_erasing"]
    choices = arms.chosen(configs, factors)
    assert [arms.arm_label(*pair) for pair in zip(configs, choices, strict=True)] == [
        "VAE",
        "VAE, STN",
        "VICReg, view noise 0.1, erasing 0.3",
        "VICReg, hidden widths 16-32, reconstruction weight 10",
        "supervised encoder, trained on base, 10 latents",
        "raw pixels, front moments",
    ]


def test_what_stands_in_front_is_named_also_where_most_arms_have_it():
    configs = [TrialConfig(stn="pretrained", latent_dim=size, epochs=2) for size in (5, 10, 10)]
    names = [arms.arm_label(c, x) for c, x in zip(configs, arms.chosen(configs, ["stn", "latent_dim"]), strict=True)]
    assert names == ["VAE, STN, 5 latents", "VAE, STN", "VAE, STN"]


def test_without_a_ceiling_there_is_neither(tmp_path):
    without = study_of(tmp_path / "plain", ["aavae", "hog"])
    with pytest.raises(NotSupported, match="no ceiling has finished"):
        tables.ingredients(without)
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


def test_factors_span_their_range_in_the_cell_that_is_named_the_best(tmp_path):
    for model, accuracies in (("supervised", (0.88, 0.90)), ("vicreg", (0.81, 0.85))):
        for size, accuracy in zip((10, 100), accuracies, strict=True):
            config = TrialConfig(model=model, epochs=2, **AUGMENTED | {"latent_dim": size})
            write_record(tmp_path / "invariance", record(config, base_accuracy=0.9, augmented_accuracy=accuracy))
    found = dict(answer.answers(analysis.load(tmp_path / "invariance"), []))
    assert "VICReg" in found["Best on transformed images"]
    assert "from 81.0 % with 10 latents to 85.0 % with 100 latents" in found["Latents"]


def test_numbers_lie_on_no_point_and_no_other_number():
    crowd = np.array([[100.0, 100.0], [101.0, 101.0], [103.0, 99.0], [100.0, 100.0], [108.0, 100.0]])
    labels = crowd + np.array(invariance_map._label_offsets(crowd))
    places = [*crowd, *labels]
    for number, label in enumerate(labels):
        others = [place for position, place in enumerate(places) if position != len(crowd) + number]
        assert min(math.dist(label, other) for other in others) >= invariance_map.LABEL_ROOM
        assert math.dist(label, crowd[number]) <= 30.1
