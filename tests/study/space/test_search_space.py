import json
from pathlib import Path
from typing import Any

import pytest

from study.space import search_space, yaml_reader
from study.space.search_space import SpaceError
from tests.study.space_files import read_text
from tivae.config import FIELD_NAMES, TrialConfig

GRID = """
question: >
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
    cells: list[dict[str, Any]] = [
        {"model": "vae"},
        {"model": "categorical_vae", "categories": 5},
        {"model": "categorical_vae", "categories": 20},
    ]
    assert read.trials == tuple(TrialConfig(epochs=3, seed=seed, **cell) for seed in (0, 1) for cell in cells)
    assert read.name == "x"
    assert read.question == "Which size is best?"


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_every_field_can_be_a_setting_a_factor_and_overridden(tmp_path: Path, name: str) -> None:
    config = TrialConfig(model="categorical_vae", stn="pretrained", epochs=3)
    values = config.to_dict()
    value = values.pop(name)
    for document in (
        {"settings": {**values, name: value}},
        {"settings": values, "factors": {name: [value]}},
        {"settings": values, "factors": {name: {"values": [value]}}},
    ):
        assert read_text(tmp_path, json.dumps(document)).trials == (config,)
    key, parsed = search_space.parse_override(f"{name}={json.dumps(value)}")
    trials = read_text(tmp_path, json.dumps({"settings": values}), overrides={key: parsed}).trials
    assert trials == (config,)


@pytest.mark.parametrize(("seeds", "expected"), [("3", [0, 1, 2]), ("1", [0]), ("[0, 7]", [0, 7]), ("[7, 0]", [0, 7])])
def test_seeds_are_a_count_or_a_list(tmp_path: Path, seeds: str, expected: list[int]) -> None:
    assert [trial.seed for trial in read_text(tmp_path, f"seeds: {seeds}").trials] == expected


ERRORS: dict[str, tuple[str, str, int]] = {
    "unknown key": ("factors: {epochs: [1]}\nsedes: 3", "`sedes` is unknown .*; did you mean `seeds`", 2),
    "unknown key, nothing near": ("seeds: 1\nxyz: 3", "`xyz` .*it may hold question, search, settings", 2),
    "a field at the top": ("seeds: 1\nepochs: 3", "`epochs` is unknown .*; put it under `settings`", 2),
    "unknown key in a block": ("blocks:\n- factors: {}\n  factor: {}", "`factor` .* in a block; did you mean", 3),
    "unknown key in a factor": ("factors:\n  epochs:\n    valeus: [1]", "`valeus` .*mean `values`", 3),
    "unknown setting": ("settings:\n  epoch: 1", "`epoch` is not a field of a trial; did you mean `epochs`", 2),
    "unknown factor": ("factors:\n  modle: [vae]", "`modle` is not a field .*did you mean `model`", 2),
    "unknown field, nothing near": ("settings:\n  zzz: 1", "`zzz` is not .*see `python -m study.run --fields`", 2),
    "no values": ("factors:\n  model:\n", "the factor `model` has no values; list them", 2),
    "empty list of values": ("factors:\n  model: []\n", "the factor `model` has no values", 2),
    "empty values": ("factors:\n  model:\n    values: []", "the factor `model` has no values", 3),
    "only a condition": ("factors:\n  model: {where: {stn: none}}\n  stn: [none]", "`model` has no values", 2),
    "one value": ("factors:\n  model: vae", r"`model` is vae, which is no list; write \[vae\] or move it", 2),
    "one list for lists": ("factors:\n  hidden_widths: [16, 32]", "`hidden_widths` is .*a list of lists", 2),
    "range upside down": ("factors:\n  epochs: {range: [5, 1]}", "`epochs` runs from 5 down to 1", 2),
    "too long a range": ("factors:\n  epochs: {range: [1, 1000000]}", "asks for 1,000,000 values", 2),
    "list as a setting": (
        "settings:\n  epochs: [1, 2]",
        r"the setting `epochs` is \[1, 2\], which is no single value; move it to `f",
        2,
    ),
    "mapping as a setting": ("settings:\n  epochs: {a: 1}", "the setting `epochs` is {'a': 1}, which is no s", 2),
    "mapping as a value": ("factors:\n  epochs:\n  - 1\n  - {a: 1}", "`epochs` holds a mapping", 4),
    "setting and factor": ("settings: {epochs: 3}\nfactors:\n  epochs: [1]", "`epochs` is a setting and a f", 3),
    "seeds and setting": ("settings: {seed: 3}\nseeds: 2", "both `seeds` and `seed` are given; keep one", 2),
    "seeds and factor": ("factors: {seed: [3]}\nseeds: 2", "both `seeds` and `seed` are given", 2),
    "no settings": ("settings:\nseeds: 1", "`settings` is None; it must hold lines of `name: value`", 1),
    "settings as a list": ("settings: [epochs]", "`settings` is .*'epochs'.*; it must hold lines", 1),
    "factors as text": ("factors: all", "`factors` is 'all'; it must hold lines", 1),
    "zero seeds": ("seeds: 0", "`seeds` is 0; it must be a count of at least 1, or a list", 1),
    "negative seeds": ("seeds: -2", "`seeds` is -2; it must be a count", 1),
    "seeds as text": ("seeds: many", "`seeds` is 'many'", 1),
    "half a seed": ("seeds: 1.5", "`seeds` is 1.5", 1),
    "true seeds": ("seeds: true", "`seeds` is True", 1),
    "no seeds": ("seeds: []", r"`seeds` is \[\]", 1),
    "too many seeds": ("seeds: 10_000_000", "`seeds` asks for 10,000,000 values; at most 100,000", 1),
    "negative seed": ("seeds:\n- 1\n- -1", "`seed` is -1; it must be a whole number at least 0", 3),
    "text as a seed": ("seeds: [one]", "`seed` is 'one'; it must be a whole number", 1),
    "no blocks": ("blocks:\n", "`blocks` holds no blocks", 1),
    "empty blocks": ("blocks: []\n", "`blocks` holds no blocks", 1),
    "blocks as a mapping": ("blocks: {a: 1}\n", "`blocks` holds no blocks; it must be a list", 1),
    "empty block": ("blocks:\n- factors: {}\n-\n", "a block of `blocks` is None; it must hold", 3),
    "block as text": ("blocks:\n- vae\n", "a block of `blocks` is 'vae'; it must hold", 2),
    "a list at the top": ("\n- epochs\n", "the file is a list; it must hold `settings` and `factors`", 2),
    "text at the top": ("hello", "the file is a single value; it must hold", 1),
    "only a question": ("question: why?", "the file asks for no trials; give it `factors`", 1),
    "question as a list": ("seeds: 1\nquestion: [why]", "`question` is .*; it must be a sentence", 2),
    "no question": ("question:\nseeds: 1", "`question` is None; it must be a sentence", 1),
    "malformed": ("factors:\n  model: [vae\nseeds: 1", "malformed YAML", 3),
    "given twice": ("factors:\n  model: [vae]\n  model: [vae]", "`model` is given twice, first on line 2", 3),
    "negative epochs": ("settings:\n  epochs: -1", "`epochs` is -1; it must be a whole number at least 1", 2),
    "unknown model": ("factors:\n  model:\n  - vae\n  - gan", "`model` is 'gan'; it must be vae or categor", 4),
    "text for a number": ("settings: {epochs: 3}\nfactors:\n  epochs: {linspace: [a, 2, 3]}", "`linspace` of", 3),
    "fraction of an epoch": ("factors:\n  epochs: [1, 2.5]", "`epochs` is 2.5; it must be a whole number", 2),
    "endless number": ("settings:\n  kl_weight: 1e999", "`kl_weight` is inf; it must be a number", 2),
    "two fields at odds": (
        "settings:\n  probe_features: logits\nfactors:\n  model: [categorical_vae, vae]",
        "`probe_features` is logits, which a vae does not have",
        2,
    ),
    "in a block": ("seeds: 1\nblocks:\n- settings:\n    epochs: 0", "`epochs` is 0; it must be", 4),
}


@pytest.mark.parametrize(("text", "message", "line"), ERRORS.values(), ids=ERRORS.keys())
def test_mistakes_are_reported_with_value_remedy_and_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(SpaceError, match=rf"^.*{message}.* \(.*x\.yaml, line {line}\)$"):
        read_text(tmp_path, text)


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "---\n", "{}", "null"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpaceError, match=r"the file is empty; copy search_spaces/example.yaml"):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [b"\x80\n", b"\0", b"a: \t\xc2\x85", b"settings: {model: &a [*a]}", b"factors: {? {} : 1}", b"%", b"- ? -"],
)
def test_any_bytes_are_reported_in_one_line(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(SpaceError, match=r"^[^\n]*x\.yaml(, line \d+)?\)$"):
        read_text(tmp_path, text)


def test_messages_stay_one_printable_line_whatever_the_file_says(tmp_path: Path) -> None:
    long_key = json.dumps({"settings": {"epochs\n\x1b[31m" + "x" * 900: 1}})
    with pytest.raises(SpaceError, match=r"; see `python -m study\.run --fields` \(.*x\.yaml, line 1\)$") as caught:
        read_text(tmp_path, long_key)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2 * yaml_reader.MAX_MESSAGE


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"epochs": 5}, {("vae", None, 5), ("categorical_vae", 5, 5), ("categorical_vae", 20, 5)}),
        ({"model": "vae"}, {("vae", None, 3)}),
        ({"model": ["vae", "vae"]}, {("vae", None, 3)}),
        ({"model": "categorical_vae"}, {("categorical_vae", 5, 3), ("categorical_vae", 20, 3)}),
        ({"categories": 7}, {("vae", None, 3), ("categorical_vae", 7, 3)}),
        ({"categories": [7, 8]}, {("vae", None, 3), ("categorical_vae", 7, 3), ("categorical_vae", 8, 3)}),
        ({"epochs": [1, 2], "model": "vae"}, {("vae", None, 1), ("vae", None, 2)}),
        ({"epochs": {"range": [1, 3, 2]}, "model": "vae"}, {("vae", None, 1), ("vae", None, 3)}),
    ],
)
def test_an_override_replaces_a_setting_or_factor(
    tmp_path: Path, overrides: dict[str, Any], expected: set[Any]
) -> None:
    read = read_text(tmp_path, GRID, overrides=overrides)
    assert {(trial.model, trial.categories, trial.epochs) for trial in read.trials} == expected


def test_an_override_reaches_into_blocks_and_past_conditions(tmp_path: Path) -> None:
    text = """
settings: {epochs: 3, latent_dim: 50}
factors:
  model: [vae, categorical_vae]
blocks:
  - settings: {epochs: 1}
    factors: {latent_dim: {values: [2, 5], where: {model: vae}}}
  - factors: {epochs: [2, 4], latent_dim: [7]}
  - seeds: [9]
"""
    trials = read_text(tmp_path, text, overrides={"latent_dim": 8, "epochs": 6, "batch_size": 16}).trials
    assert {(t.latent_dim, t.epochs, t.batch_size) for t in trials} == {(8, 6, 16)}
    assert {(t.model, t.seed) for t in trials} == {
        ("vae", 0),
        ("categorical_vae", 0),
        ("vae", 9),
        ("categorical_vae", 9),
    }
    trials = read_text(tmp_path, text, overrides={"latent_dim": [8, 9]}, seeds=[4]).trials
    assert {(t.latent_dim, t.epochs, t.seed) for t in trials} == {(n, e, 4) for n in (8, 9) for e in (1, 2, 3, 4)}


def test_an_overridden_value_equals_the_same_value_in_the_file(tmp_path: Path) -> None:
    key, value = search_space.parse_override("kl_weight=1e-2")
    changed = read_text(tmp_path, GRID, overrides={key: value})
    written = read_text(tmp_path, GRID.replace("settings:\n", "settings:\n  kl_weight: 0.01\n"))
    assert changed.trials == written.trials


@pytest.mark.parametrize("seeds", [2, [0, 1]])
def test_given_seeds_replace_those_of_the_file(tmp_path: Path, seeds: int | list[int]) -> None:
    text = "seeds: 5\nblocks: [{settings: {epochs: 1}}, {settings: {epochs: 2}, seeds: [9]}]\n"
    trials = read_text(tmp_path, text, seeds=seeds).trials
    assert [(trial.seed, trial.epochs) for trial in trials] == [(0, 1), (0, 2), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": {"epoch": 1}}, r"`epoch` is not a field .* did you mean `epochs`\? \(--set epoch\)$"),
        ({"overrides": {"epochs": -1}}, r"`epochs` is -1; it must be .* \(--set epochs\)$"),
        ({"overrides": {"model": "gan"}}, r"`model` is 'gan'; it must be .* \(--set model\)$"),
        ({"overrides": {"model": []}}, r"the factor `model` has no values.* \(--set model\)$"),
        ({"overrides": {"model": None}}, r"`model` is None; it must be .* \(--set model\)$"),
        ({"overrides": {"epochs": {"range": [3, 1]}}}, r"runs from 3 down to 1.* \(--set epochs\)$"),
        ({"overrides": {"epochs": {"where": {}}}}, r"`epochs` is set with `where`.* \(--set epochs\)$"),
        ({"overrides": {"hidden_widths": []}}, r"`hidden_widths` is .*a list of 1 to 4 .* \(--set hidden_widths\)$"),
        ({"seeds": 0}, r"`seeds` is 0; it must be a count of at least 1.* \(--seeds\)$"),
        ({"seeds": []}, r"`seeds` is \[\].* \(--seeds\)$"),
        ({"seeds": [-1]}, r"`seed` is -1; it must be .* \(--seeds\)$"),
        ({"seeds": 2, "overrides": {"seed": 3}}, r"both --seeds and --set seed are given; keep one"),
    ],
)
def test_mistakes_in_overrides_are_reported(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        read_text(tmp_path, GRID, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=5", ("epochs", 5)),
        (" kl_weight = 1e-3 ", ("kl_weight", 0.001)),
        ("stn=none", ("stn", "none")),
        ("train_images=", ("train_images", None)),
        ("latent_dim=[2, 5]", ("latent_dim", [2, 5])),
        ("latent_dim={range: [2, 8, 2]}", ("latent_dim", {"range": [2, 8, 2]})),
        ("model=a=b", ("model", "a=b")),
    ],
)
def test_an_override_is_read_as_in_a_file(text: str, expected: tuple[str, Any]) -> None:
    assert search_space.parse_override(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", r"`epochs` is not of the form name=value, such as epochs=5 \(--set\)$"),
        ("", r"`` is not of the form name=value"),
        ("=5", r"`=5` is not of the form name=value"),
        ("epochs=[1", r"malformed YAML.* \(--set epochs, line 1\)$"),
        ("epochs=*x", r"alias `\*x` is not read here"),
        ("epochs=\udcff", r"not UTF-8 text"),
        ("epochs=\0", r"character 0x00 is not allowed"),
    ],
)
def test_overrides_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        search_space.parse_override(text)


def test_a_search_space_is_found_by_name_and_by_path_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("seeds: 1")
    (tmp_path / "paper_grid").mkdir()
    grid = search_space.find("paper_grid")
    assert grid in search_space.available()
    assert grid == Path(search_space.__file__).parents[2] / "search_spaces" / "paper_grid.yaml"
    assert search_space.find("search_spaces/paper_grid.yaml") == grid
    assert search_space.find("paper_grid.yaml") == grid
    assert search_space.find(str(grid)) == grid
    assert search_space.find("own.yaml") == Path("own.yaml")
    assert search_space.read(search_space.find("./own.yaml")).trials == (TrialConfig(),)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("paper_gird", r"there is no search space `paper_gird`; did you mean `paper_grid`\? give one of .*example"),
        ("zzz", "there is no search space `zzz`; give one of .*example, .*, or the path of a .yaml file"),
        ("no/such/paper_grid.yml", "there is no search space `no/such/paper_grid.yml`; did you mean"),
        ("", "there is no search space ``"),
        (".", "there is no search space `.`"),
        ("x" * 5000, "there is no search space `xxx"),
        ("a\0b", "there is no search space `a b`"),
    ],
)
def test_an_unknown_search_space_is_reported_with_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        search_space.find(name)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b", "x" * 5000])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpaceError, match="there is no such file; give the path"):
        search_space.read(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    (tmp_path / "x.yaml").touch()
    with pytest.raises(SpaceError, match=r"cannot be read \(Permission denied\); make it readable .*x\.yaml"):
        search_space.read(tmp_path / "x.yaml")


def test_a_file_of_the_repository_is_named_by_its_path_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search_space, "FOLDER", tmp_path / "search_spaces")
    search_space.FOLDER.mkdir()
    (search_space.FOLDER / "bad.yaml").write_text("seeds: 0")
    with pytest.raises(SpaceError, match=r" \(search_spaces/bad\.yaml, line 1\)$"):
        search_space.read(search_space.find("bad"))
