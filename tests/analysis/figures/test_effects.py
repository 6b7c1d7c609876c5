"""Effects: a planted one is found at its size, and drawn at its place."""

import pytest
from matplotlib.figure import Figure

from analysis.figures import effects
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import collapsed
from tests.analysis.synthetic import grid, study_of
from tivae.config import TrialConfig

TERMS = ["train_dataset", "model", "stn"]


def planted(config, draw):
    """Categorical is 6 points better on augmented images; augmented training another 2 for the categorical model."""
    is_categorical = config.model == "categorical_vae"
    both = is_categorical and config.train_dataset == "augmented"
    accuracy = 0.7 + 0.05 * is_categorical + 0.02 * both + draw.gauss(0, 1e-4)
    return {"augmented_accuracy": accuracy, "base_accuracy": 0.8 + draw.gauss(0, 1e-4)}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    study = study_of(folder, grid(seeds=4), planted)
    return effects.numbers(study)


def test_planted_effects_are_found_at_their_size(numbers):
    frame, _ = numbers
    found = frame[frame["test_set"] == "augmented"].set_index("term")["effect"]

    assert found["model"] == pytest.approx(6, abs=0.05)
    assert found["train_dataset"] == pytest.approx(1, abs=0.05)
    assert found["train_dataset x model"] == pytest.approx(2, abs=0.05)
    assert found["stn"] == pytest.approx(0, abs=0.05)


def test_the_other_test_set_has_no_effect(numbers):
    frame, _ = numbers
    base = frame[frame["test_set"] == "base"]

    assert base["effect"].abs().max() < 0.05
    assert (frame["adjusted_p_value"] >= frame["p_value"]).all()
    assert (frame["p_value"] > 0).all()
    assert set(frame["over"]) == {"seeds"}
    assert (frame["n"] == 4).all()
    assert (frame["trials"] == 32).all()


def test_each_effect_is_drawn_with_its_interval(numbers):
    frame, _ = numbers
    ax = effects.draw(Figure().subplots(), frame)
    labels = [text.get_text() for text in ax.get_yticklabels()]

    assert labels[:3] == [
        *("training data: augmented − base", "model: categorical VAE − VAE", "STN: STN − no STN"),
    ]
    assert labels[3] == "training data × model"
    assert len(labels) == 7
    points, _, bars = ax.containers[0]
    own = frame[frame["test_set"] == "base"]
    assert points.get_xdata().astype(float) == pytest.approx(own["effect"].to_numpy(dtype=float))
    ends = [segment[:, 0] for segment in bars[0].get_segments()]
    assert ends == pytest.approx(own[["low", "high"]].to_numpy(dtype=float))


@pytest.mark.parametrize(
    ("term", "contrast", "label"),
    [
        ("encoding_dim", "encoding_dim 50", "latent size: 50 − mean"),
        ("model x stn", "categorical_vae - vae, pretrained - none", "model × STN"),
        ("model x beta", "categorical_vae - vae, beta 0.39", "model × β 0.39"),
        ("beta", "beta 0.0", "β: 0 − mean"),
    ],
)
def test_effects_are_named_in_words(term, contrast, label):
    assert effects.effect_label(term, contrast) == label


def test_size_counts_as_the_numbers_that_the_probe_reads(tmp_path):
    configs = [
        TrialConfig(model=model, latent_dim=size if model == "vae" else size // 10, seed=seed)
        for model in ("vae", "categorical_vae")
        for size in (10, 50, 100)
        for seed in range(2)
    ]

    def metrics(config, draw):
        accuracy = {10: 0.70, 50: 0.75, 100: 0.80}[config.encoding_dim]
        return {name: accuracy + draw.gauss(0, 1e-4) for name in ("base_accuracy", "augmented_accuracy")}

    frame, _ = effects.numbers(study_of(tmp_path, configs, metrics))
    sizes = frame[(frame["test_set"] == "base") & (frame["term"] == "encoding_dim")].set_index("contrast")["effect"]

    assert sizes.to_dict() == pytest.approx(
        {"encoding_dim 10": -5, "encoding_dim 50": 0, "encoding_dim 100": 5}, abs=0.1
    )


def test_one_seed_is_compared_image_by_image(study):
    frame, note = effects.numbers(study)
    # Models that saw 200 images once may use none of their latents.
    accuracies = study.finished[~collapsed(study.finished)].set_index("stn")["base_accuracy"]
    stn = frame[(frame["test_set"] == "base") & (frame["term"] == "stn")].iloc[0]

    assert stn["over"] == "test images"
    assert stn["low"] < stn["high"]
    assert stn["effect"] == pytest.approx(100 * (accuracies["pretrained"] - accuracies["none"]))
    assert frame["p_value"].isna().all()  # one seed judges no recipe
    assert note == "2 collapsed trials left out, as the collapse diagnostics say"


def test_cells_that_hold_several_trials_of_a_seed_make_no_factorial(tmp_path):
    """Three shapes of one size are no factor, and their mean is none of the study's cells."""
    shapes = [
        *(TrialConfig(latent_dim=100, seed=seed) for seed in range(2)),
        *(
            TrialConfig(model="categorical_vae", latent_dim=variables, categories=100 // variables, seed=seed)
            for variables in (5, 10, 20)
            for seed in range(2)
        ),
    ]
    study = study_of(tmp_path, shapes, lambda *_: {})
    with pytest.raises(NotSupported, match="cells of model hold trials that differ in other fields"):
        effects.numbers(study)


def test_what_is_not_crossed_is_held_or_left_out_and_reported(tmp_path):
    """In an unbalanced study the factors' effects are those of a study that has the balanced part alone."""
    other = [
        TrialConfig(train_dataset="augmented", latent_dim=size, seed=seed) for size in (5, 50) for seed in range(3)
    ]
    whole = study_of(tmp_path / "whole", grid(3), planted)
    mixed = study_of(tmp_path / "mixed", [*grid(3), *other], planted)
    expected, note = effects.numbers(whole)
    frame, mixed_note = effects.numbers(mixed)
    assert note == ""
    assert frame["effect"].tolist() == pytest.approx(expected["effect"].tolist())
    assert mixed_note == "over 24 of 30 trials, which are balanced"


def test_a_factor_that_is_held_unset_is_reported_as_unset(tmp_path):
    other = [TrialConfig(stn="pretrained", probe_stn="bypassed", pixel_std=1.0, seed=seed) for seed in range(3)]
    study = study_of(tmp_path, [*grid(3), *other], planted)
    _, note = effects.numbers(study)
    assert note == "over 24 of 27 trials, which are balanced; held: pixel std unset, STN at the probe unset"


def test_a_trial_that_collapsed_is_left_out_and_reported(tmp_path):
    joint = [TrialConfig(stn="joint", seed=seed, alignment_weight=weight) for weight in (0.0, 1.0) for seed in range(3)]

    def metrics(config, draw):
        if config.alignment_weight == 0:
            return {"base_accuracy": 0.1, "augmented_accuracy": 0.1, "stn_target_variance_ratio": 0.0}
        found = {"base_accuracy": 0.8 + draw.gauss(0, 1e-3), "augmented_accuracy": 0.7 + draw.gauss(0, 1e-3)}
        return found | ({} if config.stn == "none" else {"stn_target_variance_ratio": 0.87})

    configs = [*(TrialConfig(stn=stn, seed=seed) for stn in ("none", "pretrained") for seed in range(3)), *joint]
    frame, note = effects.numbers(study_of(tmp_path, configs, metrics))
    assert note == "3 collapsed trials left out, as the collapse diagnostics say"
    assert frame["effect"].abs().max() < 1


def test_a_search_has_no_effects(tmp_path, monkeypatch):
    study = study_of(tmp_path, grid(2))
    monkeypatch.setattr(Sources, "optuna_search", lambda _: object())
    with pytest.raises(NotSupported, match="a search chooses its trials by their results"):
        effects.numbers(study)


def test_one_cell_has_no_effect(tmp_path):
    study = study_of(tmp_path, [TrialConfig(seed=seed) for seed in range(3)])

    with pytest.raises(NotSupported, match="no factor has two values"):
        effects.numbers(study)


def test_one_seed_without_its_predictions_has_no_interval(tmp_path):
    study = study_of(tmp_path, grid())
    frame, _ = effects.numbers(study)
    assert frame[["low", "high", "p_value"]].isna().all(axis=None)
    (drawn,) = effects.drawn(Sources(study))
    assert "One seed without predictions has no intervals." in drawn.caption
    assert "over ." not in drawn.caption
    assert "nan" not in drawn.alt


def test_of_many_effects_the_main_ones_come_first(numbers):
    frame, _ = numbers
    shown = effects.shown_effects(frame, most=4)

    assert list(dict.fromkeys(shown["term"])) == [*TERMS, "train_dataset x model"]


def test_a_study_gives_one_figure(study):
    drawn = effects.drawn(Sources(study))

    assert [figure.name for figure in drawn] == ["effects"]
    assert "over test images" in drawn[0].caption
