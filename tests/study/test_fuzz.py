"""Any search space and any --set gives a plan or one clear line: no traceback, no hang, no memory eaten."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.run import EXIT_BAD_INPUT, main
from study.space import search_space
from study.space.search import KEYS, PRUNERS, SAMPLERS
from study.space.search_space import SearchSpace, SpaceError
from study.space.yaml_reader import MAX_MESSAGE
from tivae.config import FIELD_NAMES, ConfigError

FUZZ = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# What the slowest legal plan, of 100,000 trials, may take.
SECONDS = 30.0

words = st.sampled_from(
    [
        *FIELD_NAMES,
        *("question", "settings", "factors", "seeds", "blocks", "values", "range", "linspace", "logspace", "where"),
        *(*KEYS, *SAMPLERS, *PRUNERS, "log_range", "uniform", "log_uniform", "name", "population", "maximise"),
        *("vae", "categorical_vae", "base", "augmented", "none", "pretrained", "validation_base_loss", "optuna"),
    ]
)
scalars = st.one_of(
    words,
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 2**31, 2**64, 10**400, 1e308, -0.0, 1e-320, 60_000, 100_000]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1e999", ".nan", "~", "0x10", "1_000", "\u202e", "\x00", "a" * 5000, "!!python/name:os.system"]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(words | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)
spaces = st.sampled_from([path.read_text() for path in search_space.available()])


@FUZZ
@given(document=documents)
def test_any_structure_is_a_plan_or_one_line(tmp_path: Path, document: Any) -> None:
    _read(tmp_path, yaml.safe_dump(document, allow_unicode=True))


@FUZZ
@given(text=spaces, data=st.data())
def test_any_change_of_a_real_space_is_a_plan_or_one_line(tmp_path: Path, text: str, data: st.DataObject) -> None:
    document = yaml.safe_load(text)
    for _ in range(data.draw(st.integers(1, 3))):
        _replace_one_part(document, data)
    _read(tmp_path, yaml.safe_dump(document, allow_unicode=True))


@FUZZ
@given(text=spaces, data=st.data())
def test_any_damage_to_a_real_file_is_a_plan_or_one_line(tmp_path: Path, text: str, data: st.DataObject) -> None:
    lines = text.splitlines()
    at = data.draw(st.integers(0, len(lines)))
    lines[at : at + data.draw(st.integers(0, 3))] = data.draw(st.lists(st.text(max_size=30), max_size=3))
    _read(tmp_path, "\n".join(lines))


@FUZZ
@given(
    name=words | st.text(max_size=10),
    value=scalars.map(str) | documents.map(lambda document: yaml.safe_dump(document, default_flow_style=True)),
)
@pytest.mark.parametrize("space_name", ["paper_grid", "optuna_latent"])
def test_any_set_is_a_plan_or_one_line(space_name: str, name: str, value: str) -> None:
    began = time.process_time()
    try:
        override = dict([search_space.parse_override(f"{name}={value}")])
        read = search_space.read(search_space.find(space_name), overrides=override)
    except SpaceError as error:
        _check_line(str(error))
    else:
        _check_plan(read)
    assert time.process_time() - began < SECONDS


BOMBS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nfactors: {epochs: *c}\n",
    "deep": "factors: " + "[" * 5000,
    "deep mapping": "".join(f"{' ' * depth}a:\n" for depth in range(2000)),
    "wide grid": "factors:\n" + "".join(f"  {name}: {{range: [1, 60000]}}\n" for name in ("epochs", "seed")),
    "wide list": f"factors: {{epochs: [{'1,' * 300_000}]}}",
    "long number": f"factors: {{epochs: [{'9' * 400_000}]}}",
    "long word": f"factors: {{model: [{'v' * 900_000}]}}",
    "long search": "search: optuna\nparameters: {kl_weight: {uniform: [0, 1e308]}}\ntrials: 9999999999\n"
    "settings: {validation_images: 1}\nobjectives: {validation_base_loss: minimise}\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_ends_in_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    began, before = time.process_time(), _peak_bytes()
    assert main([str(path), "--results-dir", str(tmp_path / "results")]) == EXIT_BAD_INPUT
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert time.process_time() - began < SECONDS
    assert _peak_bytes() - before < 2**30
    assert not (tmp_path / "results").exists()


def _replace_one_part(document: Any, data: st.DataObject) -> None:
    parts = list(_parts(document))
    container, key = data.draw(st.sampled_from(parts))
    if data.draw(st.booleans()):
        container[key] = data.draw(documents)
    elif isinstance(container, dict):
        container[data.draw(words | st.text(max_size=8))] = container.pop(key)
    else:
        del container[key]


def _parts(document: Any) -> Any:
    """Each place of a document, as its container and key."""
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(entries):
        yield document, key
        if isinstance(value, dict | list):
            yield from _parts(value)


def _read(folder: Path, text: str) -> None:
    path = folder / "fuzzed.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    began = time.process_time()
    try:
        read = search_space.read(path)
    except SpaceError as error:
        _check_line(str(error))
    else:
        _check_plan(read)
    assert time.process_time() - began < SECONDS


def _check_line(message: str) -> None:
    assert message.isprintable()
    assert len(message) < MAX_MESSAGE + 200


def _check_plan(read: SearchSpace) -> None:
    assert bool(read.trials) != (read.search is not None)
    for config in read.trials[:20]:
        assert len(config.key) == 12
    if read.search is not None:
        try:
            assert len(read.search.drawn(5)) == 5
        except ConfigError:
            pytest.fail("a search drew a trial that can't be run")


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
