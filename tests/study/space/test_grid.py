import itertools
import json
import random
import time
from pathlib import Path

import pytest

from study.space.yaml_reader import SpaceError
from tests.study.space_files import read_text
from tivae.config import TrialConfig


def test_factors_are_crossed_the_last_fastest(tmp_path: Path) -> None:
    space = read_text(tmp_path, "factors:\n  latent_dim: [2, 5]\n  epochs: [1, 2, 3]\n")
    sizes = [(trial.latent_dim, trial.epochs) for trial in space.trials]
    assert sizes == list(itertools.product([2, 5], [1, 2, 3]))


def test_seeds_come_one_after_the_other_over_all_blocks(tmp_path: Path) -> None:
    text = "seeds: 2\nblocks:\n  - factors: {latent_dim: [2, 5]}\n  - settings: {epochs: 3}\n"
    trials = read_text(tmp_path, text).trials
    assert [(t.seed, t.latent_dim, t.epochs) for t in trials] == [
        *[(0, 2, 20), (0, 5, 20), (0, 10, 3)],
        *[(1, 2, 20), (1, 5, 20), (1, 10, 3)],
    ]


def test_a_condition_varies_its_factor_only_where_it_holds(tmp_path: Path) -> None:
    text = """
factors:
  categories: {values: [5, 20], where: {model: categorical_vae}}
  model: [vae, categorical_vae]
  latent_dim: {values: [2, 3], where: {model: vae}}
settings: {latent_dim: 7}
"""
    trials = read_text(tmp_path, text).trials
    assert {(t.model, t.categories, t.latent_dim) for t in trials} == {
        *{("vae", None, 2), ("vae", None, 3)},
        *{("categorical_vae", 5, 7), ("categorical_vae", 20, 7)},
    }


def test_a_shared_setting_holds_where_the_condition_of_a_block_does_not(tmp_path: Path) -> None:
    text = """
settings: {latent_dim: 7}
factors: {model: [vae, categorical_vae]}
blocks:
  - factors: {latent_dim: {values: [2, 3], where: {model: vae}}}
"""
    found = {(trial.model, trial.latent_dim) for trial in read_text(tmp_path, text).trials}
    assert found == {("vae", 2), ("vae", 3), ("categorical_vae", 7)}


def test_several_conditions_must_all_hold_and_each_may_name_several_values(tmp_path: Path) -> None:
    text = """
factors:
  stn: [none, pretrained]
  latent_dim: [2, 5, 9]
  epochs: {values: [1, 2], where: {stn: pretrained, latent_dim: [2, 9]}}
"""
    trials = read_text(tmp_path, text).trials
    where_it_holds = {("pretrained", 2), ("pretrained", 9)}
    expected = {
        (stn, size, epochs)
        for stn, size in itertools.product(("none", "pretrained"), (2, 5, 9))
        for epochs in ((1, 2) if (stn, size) in where_it_holds else (20,))
    }
    assert {(t.stn, t.latent_dim, t.epochs) for t in trials} == expected


def test_conditions_may_follow_one_another_and_fail_together(tmp_path: Path) -> None:
    text = """
factors:
  epochs: {values: [1, 2], where: {categories: 5}}
  categories: {values: [5, 6], where: {model: categorical_vae}}
  model: [vae, categorical_vae]
"""
    found = {(t.model, t.categories, t.epochs) for t in read_text(tmp_path, text).trials}
    assert found == {
        ("vae", None, 20),
        *{("categorical_vae", 5, 1), ("categorical_vae", 5, 2), ("categorical_vae", 6, 20)},
    }


def test_a_condition_on_hidden_widths_takes_a_list_as_one_value(tmp_path: Path) -> None:
    text = """
factors:
  hidden_widths: [[16], [16, 32]]
  epochs: {values: [1, 2], where: {hidden_widths: [16, 32]}}
"""
    found = {(t.hidden_widths, t.epochs) for t in read_text(tmp_path, text).trials}
    assert found == {((16,), 20), ((16, 32), 1), ((16, 32), 2)}


@pytest.mark.parametrize(
    "text",
    [
        "factors: {epochs: [3, 3, 3.0]}",
        "settings: {epochs: 3}\nfactors: {categories: [5, 10, 20]}",  # a VAE has no categories
        "factors: {epochs: [3], temperature: [0.5, 1]}\nseeds: [0, 0]",
        "blocks: [{settings: {epochs: 3}}, {settings: {epochs: 3.0}}, {factors: {epochs: [3]}}]",
        "factors: {latent_dim: {values: [10], linspace: [9.6, 10.4, 5]}}\nsettings: {epochs: 3}",
    ],
)
def test_equal_trials_collapse(tmp_path: Path, text: str) -> None:
    assert read_text(tmp_path, text).trials == (TrialConfig(epochs=3),)


def test_trials_that_differ_stay_apart(tmp_path: Path) -> None:
    trials = read_text(tmp_path, "factors: {kl_weight: [0.001, 0.0010000001], seed: [0, 1]}").trials
    assert len({trial.key for trial in trials}) == len(trials) == 4


def test_a_union_with_itself_changes_nothing(tmp_path: Path) -> None:
    block = "  - factors: {latent_dim: {range: [1, 4]}, model: [vae, categorical_vae]}\n    seeds: 2\n"
    assert read_text(tmp_path, f"blocks:\n{block}{block}").trials == read_text(tmp_path, f"blocks:\n{block}").trials


def test_the_order_of_the_file_changes_no_trial(tmp_path: Path) -> None:
    generator = random.Random(0)
    parts = {
        "settings": {"epochs": 3, "learning_rate": 0.01, "latent_dim": 4},
        "factors": {
            "model": ["vae", "categorical_vae"],
            "categories": {"values": [5, 6], "where": {"model": ["categorical_vae"]}},
            "latent_dim": {"values": [2, 3], "where": {"categories": 6}},
            "train_dataset": ["base", "augmented"],
        },
        "seeds": [3, 0],
    }

    def shuffled(value: object) -> object:
        if isinstance(value, dict):
            items = [(key, shuffled(part)) for key, part in value.items()]
            return dict(generator.sample(items, len(items)))
        return generator.sample(value, len(value)) if isinstance(value, list) else value

    keys = {trial.key for trial in read_text(tmp_path, json.dumps(parts)).trials}
    assert len(keys) == 16
    for _ in range(10):
        assert {trial.key for trial in read_text(tmp_path, json.dumps(shuffled(parts))).trials} == keys


def test_a_block_adds_to_what_is_shared_and_overrules_it(tmp_path: Path) -> None:
    text = """
settings: {epochs: 3, latent_dim: 4}
factors: {model: [vae, categorical_vae], batch_size: [32, 64]}
seeds: 2
blocks:
  - settings: {model: vae}                       # in place of a shared factor
    factors: {latent_dim: [5, 6]}                # in place of a shared setting
  - settings: {epochs: 1}                        # in place of a shared setting
    factors: {batch_size: [128]}                 # in place of a shared factor
    seeds: [9]
"""
    trials = read_text(tmp_path, text).trials
    first = itertools.product(["vae"], [3], [5, 6], [32, 64], [0, 1])
    second = itertools.product(["vae", "categorical_vae"], [1], [4], [128], [9])
    found = [(t.model, t.epochs, t.latent_dim, t.batch_size, t.seed) for t in trials]
    assert set(found) == {*first, *second}
    assert len(found) == 10


CONDITIONS = {
    "unknown field": ("{modle: vae}", "`modle` is not a field of a trial; did you mean `model`?"),
    "no factor": ("{stn: none}", "names `stn`, which has no values here; add them, or remove the condition"),
    "value never taken": ("{model: cvae}", "asks for `model` cvae, which it never takes; its values are vae"),
    "value never taken in a list": ("{model: [vae, cvae]}", "asks for `model` cvae, which it never takes"),
    "itself": ("{epochs: 1}", "the conditions of `epochs` wait for each other; remove one"),
    "empty": ("{}", "`where` of the factor `epochs` is {}; write for example"),
    "no mapping": ("vae", "`where` of the factor `epochs` is 'vae'"),
    "no value": ("{model: []}", "the factor `model` has no values"),
}


@pytest.mark.parametrize(("condition", "message"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_conditions_without_meaning_are_refused(tmp_path: Path, condition: str, message: str) -> None:
    text = f"factors:\n  model: [vae]\n  epochs: {{values: [1], where: {condition}}}\n"
    with pytest.raises(SpaceError, match=rf"{message}.*x\.yaml, line 3\)$"):
        read_text(tmp_path, text)


def test_a_condition_must_have_a_meaning_in_one_block_only(tmp_path: Path) -> None:
    text = """
factors:
  categories: {values: [5, 6], where: {model: categorical_vae}}
blocks:
  - settings: {model: vae}
  - settings: {model: %s}
"""
    trials = read_text(tmp_path, text % "categorical_vae").trials
    found = [(trial.model, trial.categories) for trial in trials]
    assert found == [("vae", None), ("categorical_vae", 5), ("categorical_vae", 6)]
    with pytest.raises(SpaceError, match=r"asks for `model` categorical_vae, which it never takes.*line 3\)$"):
        read_text(tmp_path, text % "vae")


@pytest.mark.parametrize(
    "text",
    [
        "factors:\n  seed: {range: [0, 999]}\n  latent_dim: {range: [1, 101]}\n",
        "factors: {latent_dim: {range: [1, 1000]}, batch_size: {range: [2, 1001]}, epochs: {range: [1, 1000]}}\n",
        "factors: {latent_dim: {range: [1, 60000]}}\nblocks: [{settings: {epochs: 1}}, {settings: {epochs: 2}}]\n",
        "factors: {latent_dim: {range: [1, 60000]}, epochs: {values: [1, 2], where: {stn: none}}, stn: [none]}\n",
    ],
)
def test_more_than_100_000_trials_are_refused_before_any_is_made(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    with pytest.raises(SpaceError, match=r"this asks for more than 100,000 trials \(.*,00. \w+.*x\.yaml\)$"):
        read_text(tmp_path, text)
    assert time.process_time() - began < 10


def test_conditions_that_thin_out_a_large_product_are_counted(tmp_path: Path) -> None:
    """Each of 8 sizes has 20 values of its own: 160 trials, although all factors together cross to 10^10."""
    fields = ["epochs", "batch_size", "learning_rate", "weight_decay", "rotation_degrees", "shift_pixels"]
    fields += ["kl_weight", "reconstruction_weight"]
    lines = [
        f"  {name}: {{range: [2, 21], where: {{latent_dim: {size}}}}}" for size, name in enumerate(fields, start=1)
    ]
    text = "factors:\n  latent_dim: {range: [1, 8]}\n" + "\n".join(lines)
    assert len(read_text(tmp_path, text).trials) == 160


def test_ten_thousand_trials_expand_fast(tmp_path: Path) -> None:
    """0.7 s on one core when measured, nearly all of it in TrialConfig's own checks; ten times that is a fault."""
    text = """
factors:
  model: [vae, categorical_vae]
  train_dataset: [base, augmented]
  latent_dim: {range: [1, 50]}
  kl_weight: {values: [0], logspace: [1e-5, 1, 9]}
seeds: 5
"""
    began = time.process_time()
    trials = read_text(tmp_path, text).trials
    assert time.process_time() - began < 7
    assert len({trial.key for trial in trials}) == 10_000
