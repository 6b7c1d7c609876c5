import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from study import space
from study.space import SpaceError
from tests.study.space_files import read_text
from tivae.config import FIELD_NAMES, TrialConfig

GRID = """question: >
  Which size
  is best?
settings:
  epochs: 3
factors:
  model: [vae, categorical_vae]
  categories:
    values: [5, 20]
    where: {model: categorical_vae}
seeds: 2
"""


def test_a_file_becomes_a_search_space(tmp_path: Path) -> None:
    read = read_text(tmp_path, GRID)
    assert read.name == "x"
    assert read.question == "Which size is best?"
    assert read.factors == ("model", "categories", "seed")
    assert read.source == tmp_path / "x.yaml"
    assert read.document["factors"]["categories"] == {"values": [5, 20], "where": {"model": "categorical_vae"}}
    assert read.trials == tuple(
        TrialConfig(epochs=3, seed=seed, **fields)
        for seed in (0, 1)
        for fields in (
            {"model": "vae"},
            {"model": "categorical_vae", "categories": 5},
            {"model": "categorical_vae", "categories": 20},
        )
    )


def test_every_field_can_be_a_setting_and_a_factor(tmp_path: Path) -> None:
    defaults = TrialConfig(model="categorical_vae", stn="pretrained").to_dict()
    for name in FIELD_NAMES:
        needs = {"model": "categorical_vae", "stn": "pretrained"} | {name: defaults[name]}
        setting = read_text(tmp_path, f"settings: {needs}".replace("None", "null"))
        factor = read_text(
            tmp_path,
            f"settings: { {k: v for k, v in needs.items() if k != name} }\nfactors: {{{name}: [{defaults[name]}]}}".replace("None", "null"),
        )
        assert setting.trials == factor.trials == (TrialConfig(**defaults),)


@pytest.mark.parametrize(
    ("seeds", "expected"), [("3", [0, 1, 2]), ("1", [0]), ("[0, 7]", [0, 7]), ("[7, 0]", [0, 7])]
)
def test_seeds_are_a_count_or_a_list(tmp_path: Path, seeds: str, expected: list[int]) -> None:
    assert [trial.seed for trial in read_text(tmp_path, f"seeds: {seeds}").trials] == expected


# --- no: banner
ERRORS: dict[str, tuple[str, str, int | None]] = {}
