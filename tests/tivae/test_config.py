import dataclasses
import json
import math

import pytest

from tivae.config import FIELD_NAMES, ConfigError, TrialConfig
from tivae.fields import STAGES, stage_of
from tivae.registry import MODELS

# Uses every field of the categorical model and of a pretrained STN.
GIVEN = {
    **{"model": "categorical_vae", "stn": "pretrained", "train_dataset": "augmented", "temperature": 1.0},
    **{"consistency_weight": 0.5, "reconstruction_target": "base"},
}
FULL = TrialConfig(**GIVEN)


def other(name):
    """A legal value of the field `name` that is not the one in `FULL`; None where there is none."""
    item = next(item for item in dataclasses.fields(TrialConfig) if item.name == name)
    now = getattr(FULL, name)
    if name == "hidden_widths":
        return (32, 64)
    if name == "dataset":
        return "mnist"
    if name == "dataset_facts":
        return None  # of images in no catalogue only
    if name == "alignment_weight":
        return None  # of a joint STN only
    if name == "front":
        return None  # without an STN only
    if name.startswith("view_"):
        return 0.5
    if name == "probe_features":
        return MODELS[FULL.model].feature_names[-1]
    if "allowed" in item.metadata:
        legal = [value for value in item.metadata["allowed"] if value != "k_nearest"]
        if now is None:
            return legal[-1]
        return next((value for value in legal if value != now), None)
    if isinstance(now, bool):
        return not now
    if name in ("train_images", "test_images", "validation_images"):
        return 500
    if name == "pixel_std":
        return 0.3205
    if now is None:
        return 2
    return now + 1 if isinstance(now, int) else now / 2


def changed(name):
    return TrialConfig(**(GIVEN | {name: other(name)}))


BAD = [
    ("front", "moment", "`front` is 'moment'; did you mean `moments`"),
    ("orbit_warps", 1, "`orbit_warps` is 1; it must be a whole number at least 2 and at most 256"),
    ("residual_blocks", 9, "`residual_blocks` is 9; it must be a whole number at least 0 and at most 8"),
    ("view_brightness", 1.5, "`view_brightness` is 1.5; it must be a number at least 0 and at most 1"),
    ("view_noise", -1, "`view_noise` is -1; it must be a number at least 0"),
    ("view_erasing", "often", "`view_erasing` is 'often'; it must be a number"),
    ("train_dataset", "bse", "`train_dataset` is 'bse'; it must be base or augmented"),
    ("train_dataset", None, "`train_dataset` is None; it must be base or augmented"),
    ("model", "gan", "`model` is 'gan'; it must be vae or categorical_vae"),
    ("model", 1, "`model` is 1; it must be vae or categorical_vae"),
    ("stn", True, "`stn` is True; it must be none or pretrained"),
    ("dataset", "cifar", "`dataset` is 'cifar'; it must be .*fashion_mnist, .*, the path of a .npz file"),
    ("dataset_facts", 1, "`dataset_facts` is 1; leave it out, it follows from `dataset`"),
    ("interpolation", ["bilinear"], r"`interpolation` is \['bilinear'\]; it must be bilinear or nearest"),
    ("fill", "white", "`fill` is 'white'; it must be black or grey"),
    ("training_warps", "once", "`training_warps` is 'once'; it must be redrawn or fixed"),
    ("resampling", "twice", "`resampling` is 'twice'; it must be composed or successive"),
    (
        "stn_corners",
        "all",
        "`stn_corners` is 'all'; it must be edges or centres_in_grid_at_use or centres_in_grid or centres",
    ),
    ("output_activation", "relu", "`output_activation` is 'relu'; it must be tanh or linear"),
    ("learning_rate_schedule", "step", "`learning_rate_schedule` is 'step'; it must be constant or cosine"),
    ("probe_features", "code", "`probe_features` is code, which a vae does not have; it must be one of mean, sample$"),
    ("probe", "tree", "`probe` is 'tree'; it must be logistic_regression or linear_svm"),
    ("probe_stn", "off", "`probe_stn` is 'off'; it must be used or bypassed"),
    ("precision", "fp8", "`precision` is 'fp8'; it must be tf32 or float32 or bf16"),
    ("reconstruction_target", "own", "`reconstruction_target` is 'own'; it must be input or base"),
    ("consistency_form", "l1", "`consistency_form` is 'l1'; it must be distance or kl"),
    ("consistency_weight", -1, "`consistency_weight` is -1; it must be a number at least 0"),
    ("alignment_weight", -1, "`alignment_weight` is -1; it must be a number at least 0"),
    ("pixel_std", 0, "`pixel_std` is 0; it must be a number above 0 and at most 10"),
    ("validation_images", 0, "`validation_images` is 0; it must be a whole number at least 1"),
    ("probe_fit", "all", "`probe_fit` is 'all'; it must be matched or base or augmented or both or training"),
    ("seed", -1, "`seed` is -1; it must be a whole number at least 0 and at most 2147483647"),
    ("seed", 2**31, "`seed` is 2147483648; it must be a whole number at least 0 and at most 2147483647"),
    ("seed", 0.5, r"`seed` is 0\.5; it must be a whole number"),
    ("seed", True, "`seed` is True; it must be a whole number"),
    ("train_images", 99, "`train_images` is 99; it must be a whole number at least 100"),
    ("train_images", 60_001, "`train_images` is 60001; it must be at most 60000, the 60,000 of Fashion-MNIST"),
    ("test_images", 10_001, "`test_images` is 10001; it must be at most 10000, the 10,000 of Fashion-MNIST"),
    ("rotation_degrees", -1, "`rotation_degrees` is -1; it must be a number at least 0 and at most 180"),
    ("rotation_degrees", math.nan, "`rotation_degrees` is nan; it must be a number at least 0 and at most 180"),
    ("shift_pixels", 28.5, r"`shift_pixels` is 28\.5; it must be at most 28, the size of the images"),
    ("scale_range", 1.0, r"`scale_range` is 1\.0; it must be a number at least 0 and at most 0\.9"),
    ("warp_probability", 1.5, r"`warp_probability` is 1\.5; it must be a number at least 0 and at most 1"),
    ("whole_pixel_shifts", 1, "`whole_pixel_shifts` is 1; it must be true or false"),
    ("latent_dim", 0, "`latent_dim` is 0; it must be a whole number at least 1 and at most 10000"),
    ("latent_dim", None, "`latent_dim` is None; it must be a whole number"),
    ("categories", 1, "`categories` is 1; it must be a whole number at least 2 and at most 10000"),
    ("hidden_widths", [], r"`hidden_widths` is \[\]; it must be a list of 1 to 4 whole numbers from 1 to 4096"),
    ("hidden_widths", [8] * 5, "`hidden_widths` is .*; it must be a list of 1 to 4 whole numbers"),
    ("hidden_widths", [8, 0], r"`hidden_widths` is \[8, 0\]; it must be a list of 1 to 4 whole numbers"),
    ("hidden_widths", [8, True], "`hidden_widths` is .*; it must be a list of 1 to 4 whole numbers"),
    ("hidden_widths", [8, 16.0], "`hidden_widths` is .*; it must be a list of 1 to 4 whole numbers"),
    ("hidden_widths", "32-64", "`hidden_widths` is '32-64'; it must be a list of 1 to 4 whole numbers"),
    ("hidden_widths", 32, "`hidden_widths` is 32; it must be a list of 1 to 4 whole numbers"),
    ("temperature", 0, "`temperature` is 0; it must be a number above 0 and at most 100"),
    ("minimum_temperature", -0.1, r"`minimum_temperature` is -0\.1; it must be a number above 0"),
    ("annealing_rate", -1e-5, "`annealing_rate` is -1e-05; it must be a number at least 0"),
    ("reconstruction_weight", 0, "`reconstruction_weight` is 0; it must be a number above 0"),
    ("kl_weight", -0.1, r"`kl_weight` is -0\.1; it must be a number at least 0"),
    ("kl_weight", math.inf, "`kl_weight` is inf; it must be a number at least 0"),
    ("kl_weight", 10**400, r"`kl_weight` is 1000+\.\.\.; it must be a number at least 0"),
    ("epochs", 10**400, r"`epochs` is 1000+\.\.\.; it must be a whole number at least 1"),
    ("epochs", 0, "`epochs` is 0; it must be a whole number at least 1"),
    ("epochs", "20", "`epochs` is '20'; it must be a whole number"),
    ("batch_size", 1, "`batch_size` is 1; it must be a whole number at least 2"),
    ("learning_rate", 0, "`learning_rate` is 0; it must be a number above 0"),
    (
        "learning_rate",
        "1e-3",
        "`learning_rate` is '1e-3'; it must be a number; write it without quotes",
    ),
    ("front", "none", "`front` is 'none'; write null to leave it unset"),
    ("train_images", "all", "`train_images` is 'all'; it must be a whole number or null"),
    ("weight_decay", -1, "`weight_decay` is -1; it must be a number at least 0"),
    ("stn_epochs", 0, "`stn_epochs` is 0; it must be a whole number at least 1"),
    ("stn_learning_rate", 0.0, r"`stn_learning_rate` is 0\.0; it must be a number above 0"),
    ("probe_regularisation", 0, "`probe_regularisation` is 0; it must be a number above 0"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_bad_values_are_refused_with_value_and_rule(name, value, message):
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        TrialConfig(**{name: value})
    assert caught.value.field_name == name


def test_a_field_of_another_probe_is_checked_all_the_same():
    assert TrialConfig(neighbours=5) == TrialConfig()
    with pytest.raises(ConfigError, match="`neighbours` is 'many'; it must be a whole number"):
        TrialConfig(neighbours="many")


def test_every_field_refuses_something():
    assert {name for name, _, _ in BAD} == set(FIELD_NAMES)


def test_a_config_error_is_a_value_error():
    with pytest.raises(ValueError, match="epochs"):
        TrialConfig(epochs=-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", 0), ("seed", 2**31 - 1), ("train_images", 100), ("train_images", 60_000), ("test_images", 10_000)),
        *(("rotation_degrees", 0), ("rotation_degrees", 180), ("scale_range", 0.9), ("warp_probability", 1)),
        *(("latent_dim", 1), ("hidden_widths", (1,)), ("hidden_widths", (4096,) * 4), ("kl_weight", 0)),
        *(("batch_size", 2), ("weight_decay", 0), ("epochs", 1), ("learning_rate", 1e-30)),
    ],
)
def test_the_ends_of_a_range_are_legal(name, value):
    assert getattr(TrialConfig(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "categorical_vae", "probe_features": "mean"},
            "`probe_features` is mean, which a categorical_vae does not have; "
            "it must be one of logits, probabilities, one_hot, sample$",
        ),
        (
            {"model": "categorical_vae", "minimum_temperature": 0.6},
            r"`minimum_temperature` is 0\.6; it must be at most `temperature`, which is 0\.5$",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrialConfig(**changes)


def test_fields_are_keyword_only_and_frozen():
    with pytest.raises(TypeError, match="positional"):
        TrialConfig("base")
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialConfig().epochs = 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("latent_dims", "`latent_dims` is not a field of a trial; did you mean `latent_dim`\\?"),
        ("modell", "did you mean `model`\\?"),
        ("zzz", "`zzz` is not a field of a trial; see `python -m study.run --fields`"),
        (3, "`3` is not a field of a trial"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_name(name, message):
    with pytest.raises(ConfigError, match=message):
        TrialConfig.from_dict({"model": "vae", name: 1})


# A changed key here means that finished studies are computed again: raise RECIPE, or give new fields the default None.
@pytest.mark.parametrize(
    ("changes", "key", "stn_key"),
    [
        ({}, "c2c94ac667b7", None),
        ({"train_dataset": "augmented"}, "808b2379a27a", None),
        ({"model": "categorical_vae"}, "bb8cce169d56", None),
        ({"stn": "pretrained"}, "eaa38f164326", "d019a2759a3c"),
        (
            {"model": "categorical_vae", "train_dataset": "augmented", "stn": "pretrained"},
            "2dc689e30bd5",
            "d019a2759a3c",
        ),
        ({"seed": 7, "latent_dim": 100, "hidden_widths": [8, 16], "kl_weight": 0.1}, "a847bc827bd5", None),
    ],
)
def test_keys_are_those_of_finished_studies(changes, key, stn_key):
    config = TrialConfig(**changes)
    assert (config.key, config.stn_key) == (key, stn_key)


@pytest.mark.parametrize("name", [name for name in FIELD_NAMES if other(name) is not None])
def test_a_field_that_is_used_is_part_of_the_key(name):
    assert changed(name) != FULL
    assert changed(name).key != FULL.key


@pytest.mark.parametrize("name", [name for name in FIELD_NAMES if other(name) is not None and name != "stn"])
def test_an_stn_is_shared_by_trials_that_differ_in_what_does_not_reach_it(name):
    assert (changed(name).stn_key != FULL.stn_key) == (name in STN_FIELDS)


# What decides a pretrained STN, written out once more: here to be compared with what the fields declare.
STN_FIELDS = {
    *("dataset", "dataset_facts", "train_images", "validation_images", "pixel_std"),
    *("rotation_degrees", "shift_pixels", "scale_range", "warp_probability", "interpolation", "fill"),
    *("whole_pixel_shifts", "training_warps", "batch_size", "weight_decay", "precision"),
    *("stn_epochs", "stn_learning_rate", "stn_corners", "resampling", "seed"),
}
READOUT_FIELDS = {"epochs", "probe", "probe_features", "probe_stn", "orbit_warps", "probe_fit", "probe_regularisation"}


def fields_of(config, stage):
    return {item.name for item in dataclasses.fields(config) if STAGES[stage_of(item, config)] == stage}


def test_every_field_declares_the_first_stage_that_it_decides():
    assert fields_of(FULL, "stn") == STN_FIELDS
    assert fields_of(FULL, "evaluation") == {"test_images"}
    assert fields_of(FULL, "readout") == READOUT_FIELDS


@pytest.mark.parametrize("name", [name for name in FIELD_NAMES if other(name) is not None])
def test_a_training_is_shared_by_trials_that_differ_in_what_is_read_out_alone(name):
    one = changed(name)
    readout = name in READOUT_FIELDS
    assert (one.training_key != FULL.training_key) == (not readout and name != "test_images")
    assert (one.evaluation_key != FULL.evaluation_key) == (not readout)


WARPS = {"rotation_degrees": 20.0, "fill": "grey", "interpolation": "nearest", "whole_pixel_shifts": True}
WARPS |= {"resampling": "successive"}


@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize(
    ("changes", "trained_on"),
    [
        ({}, False),
        ({"train_dataset": "augmented"}, True),
        ({"consistency_weight": 1.0}, True),
        ({"stn": "joint"}, True),
        ({"stn": "inverse"}, True),
        ({"stn": "pretrained"}, True),
        ({"model": "spatial_vae"}, True),
    ],
)
def test_warps_of_test_images_alone_make_no_other_training(changes, trained_on, warp):
    one, two = TrialConfig(**changes), TrialConfig(**changes, **{warp: WARPS[warp]})
    assert (one.training_key != two.training_key) == trained_on
    assert one.evaluation_key != two.evaluation_key
    assert one.key != two.key


@pytest.mark.parametrize(("schedule", "shared"), [("constant", True), ("cosine", False)])
def test_trials_of_more_epochs_share_a_training_where_the_schedule_allows_it(schedule, shared):
    short, long = (TrialConfig(epochs=epochs, learning_rate_schedule=schedule) for epochs in (5, 20))
    assert (short.training_key == long.training_key) == shared
    assert short.key != long.key


@pytest.mark.parametrize("model", ["pixels", "pca", "untrained"])
def test_a_control_has_no_training(model):
    assert TrialConfig(model=model).training_key is None
    assert TrialConfig(model=model).evaluation_key is None


@pytest.mark.parametrize(
    ("changes", "unused"),
    [
        ({}, {"categories": 20}),
        ({}, {"temperature": 1.0}),
        ({}, {"temperature": 1.0, "minimum_temperature": 0.2, "annealing_rate": 0.1}),
        ({}, {"minimum_temperature": 0.2}),
        ({}, {"annealing_rate": 0.1}),
        ({}, {"training_warps": "fixed"}),
        ({"model": "categorical_vae"}, {"stn_epochs": 3}),
        ({"train_dataset": "augmented"}, {"stn_learning_rate": 0.1}),
    ],
)
def test_a_field_that_is_not_used_makes_no_other_trial(changes, unused):
    with_unused = TrialConfig(**changes, **unused)
    assert with_unused == TrialConfig(**changes)
    assert with_unused.key == TrialConfig(**changes).key
    assert all(getattr(with_unused, name) is None for name in unused)


@pytest.mark.parametrize(
    ("changes", "written_out"),
    [
        ({}, {"reconstruction_weight": 1.0, "probe_features": "mean"}),
        (
            {"model": "categorical_vae"},
            {
                "reconstruction_weight": 30,
                "probe_features": "logits",
                "categories": 10,
                "temperature": 0.5,
                "minimum_temperature": 0.5,
                "annealing_rate": 3e-5,
            },
        ),
        ({"model": "categorical_vae", "temperature": 2.0}, {"minimum_temperature": 2.0}),
        ({"stn": "pretrained"}, {"stn_epochs": 20, "stn_learning_rate": 1e-3, "training_warps": "redrawn"}),
        ({"train_dataset": "augmented"}, {"training_warps": "redrawn"}),
    ],
)
def test_a_default_written_out_is_the_same_trial(changes, written_out):
    assert TrialConfig(**changes, **written_out) == TrialConfig(**changes)
    assert TrialConfig(**changes, **written_out).key == TrialConfig(**changes).key


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"kl_weight": 1}, {"kl_weight": 1.0}),
        ({"kl_weight": 0.0010}, {"kl_weight": 1e-3}),
        ({"epochs": 20.0}, {"epochs": 20}),
        ({"rotation_degrees": 10}, {"rotation_degrees": 10.0}),
        ({"hidden_widths": [32, 64]}, {"hidden_widths": (32, 64)}),
        ({"kl_weight": -0.0}, {"kl_weight": 0.0}),
    ],
)
def test_one_value_written_in_two_ways_is_one_trial(one, same):
    assert TrialConfig(**one) == TrialConfig(**same)
    assert TrialConfig(**one).key == TrialConfig(**same).key
    assert TrialConfig(**one).to_dict() == TrialConfig(**same).to_dict()


@pytest.mark.parametrize("config", [TrialConfig(), FULL, TrialConfig(hidden_widths=(8,), kl_weight=1e-7)])
def test_a_config_goes_through_json_and_back(config):
    values = json.loads(json.dumps(config.to_dict(), allow_nan=False))
    assert set(values) == set(FIELD_NAMES)
    assert TrialConfig.from_dict(values) == config
    assert TrialConfig.from_dict(values).key == config.key


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrialConfig(latent_dim=7), 7),
        (TrialConfig(model="categorical_vae", latent_dim=5, categories=20), 100),
    ],
)
def test_the_encoding_dimension_counts_numbers_per_image(config, expected):
    assert config.encoding_dim == expected
