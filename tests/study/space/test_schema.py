"""The schema that editors read says of a search space what the reader says."""

import json

import jsonschema
import pytest
import yaml

from study.run import main
from study.space import schema, search_space
from study.space.yaml_reader import parse
from tests.study.space.test_search import text as search
from tests.study.space_files import read_text
from tivae.config import FIELD_NAMES

VALIDATOR = jsonschema.Draft7Validator(json.loads(schema.PATH.read_text()))


def is_valid(text: str) -> bool:
    """By all ways in which editors read numbers: as here, as YAML 1.1 (1e-3 is a word), as YAML 1.2 (60_000 is)."""

    def words_with_underscores(value: object) -> object:
        if isinstance(value, dict):
            return {key: words_with_underscores(part) for key, part in value.items()}
        if isinstance(value, list):
            return [words_with_underscores(part) for part in value]
        return f"{value:_}" if isinstance(value, int) and value >= 1000 and value is not True else value

    read = parse(text.encode(), "x").plain
    found = {VALIDATOR.is_valid(each) for each in (read, yaml.safe_load(text), words_with_underscores(read))}
    assert len(found) == 1
    return found.pop()


def test_the_files_made_from_the_fields_are_current() -> None:
    """Where this fails: `uv run python -m study.space.schema`."""
    for path, content in schema.written().items():
        assert path.read_text() == content


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("path", search_space.available(), ids=lambda path: path.stem)
def test_each_space_names_the_schema_and_is_valid(path) -> None:
    first, rest = path.read_text().split("\n", 1)
    assert first == schema.MODELINE
    assert (path.parent / first.partition("$schema=")[2]).exists()
    assert is_valid(rest)


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_every_field_has_its_default_values_and_help(name: str) -> None:
    field = VALIDATOR.schema["definitions"][name]
    default = field.get("default")
    assert is_valid(json.dumps({"settings": {name: default}, "factors": {name: [default]}}))
    assert len(field["description"]) > len(name)
    assert any(line.startswith(f"{name} ") for line in schema.field_list().splitlines())


GOOD = [
    "factors: {hidden_widths: [[16], [16, 32]], kl_weight: {values: [0], logspace: [1e-4, 1e-2, 3]}}",
    "seeds: [0, 7]\nblocks: [{settings: {epochs: 60_000}}]",
    "factors: {model: [vae], stn: [none], epochs: {range: [1, 5, 2], where: {model: [vae], stn: none}}}",
    "factors: {hidden_widths: [[16, 32]], epochs: {values: [1], where: {hidden_widths: [16, 32]}}}",
    search(),
    search(parameters="{kl_weight: {log_uniform: [1e-5, 1e-1], where: {model: vae}}, model: [vae]}"),
    search(sampler="{name: nsga2, population: 7}", pruner="asha", start="[{model: vae}]"),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_is_valid(tmp_path, text: str) -> None:
    read_text(tmp_path, text)
    assert is_valid(text)


BAD = [
    "settings: {epoch: 3}",
    "settings: {epochs: 0}",
    "settings: {epochs: 2.5}",
    "settings: {epochs: [1, 2]}",
    "settings: {model: gan}",
    "settings: {model: 3}",
    "settings: {whole_pixel_shifts: 1}",
    "settings: {learning_rate: 0}",
    "settings: {learning_rate: fast}",
    "settings: {epochs: null}",
    "factors: {epochs: 3}",
    "factors: {epochs: []}",
    "factors: {epochs: {rang: [1, 2]}}",
    "factors: {epochs: {range: [1]}}",
    "factors: {epochs: {log_range: [1, 5]}}",
    "factors: {hidden_widths: [16, 32]}",
    "factors: {epochs: {values: [1], where: {modle: vae}}}",
    "seeds: 0",
    "seeds: many",
    "blocks: []",
    "blocks: [{factor: {}}]",
    "sedes: 3",
    "trials: 5",
    search(search="grid"),
    search(factors="{epochs: [1]}"),
    search(trials=""),
    search(objectives="{augmented_accuracy: maximise}"),
    search(objectives="{validation_base_loss: up}"),
    search(parameters="{seed: [1, 2]}"),
    search(parameters="{epochs: {range: [1, 2], log_range: [1, 2]}}"),
    search(sampler="{name: tpe, population: 3}"),
    search(sampler="{name: nsga2, population: 1}"),
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_is_invalid(tmp_path, text: str) -> None:
    with pytest.raises(search_space.SpaceError):
        read_text(tmp_path, text)
    assert not is_valid(text)


def test_the_command_lists_the_fields(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    assert main(["--fields"]) == 0
    printed = capsys.readouterr().out
    assert printed == schema.field_list(90)
    assert max(map(len, printed.splitlines())) <= 90
