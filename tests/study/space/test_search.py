"""A search is read as its file says, and what cannot be run is refused with value, remedy and line."""

import random
from pathlib import Path

import pytest

from study.space import search_space
from study.space.domains import Choices, Interval
from study.space.search import VALIDATION_METRICS, Search
from study.space.search_space import SpaceError
from study.space.yaml_reader import Node
from tests.study.space_files import read_text
from tivae.config import FIELD_NAMES


def choices(*values: object) -> Choices:
    return Choices(tuple(map(Node, values)))


PARTS = {
    "search": "optuna",
    "settings": "{validation_images: 100, epochs: 3}",
    "parameters": "{model: [vae, categorical_vae]}",
    "objectives": "{validation_augmented_accuracy: maximise}",
    "trials": "5",
}


def text(**parts: str) -> str:
    return "\n".join(f"{name}: {value}" for name, value in (PARTS | parts).items() if value)


def read(folder: Path, **parts: str) -> Search:
    found = read_text(folder, text(**parts)).search
    assert found is not None
    return found


def test_a_search_in_which_nothing_varies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="all trials of the search are the same; none of them uses categories"):
        read(tmp_path, parameters="{categories: {range: [2, 20]}}")


def test_more_starts_than_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="`trials` is 1, fewer than the 2 points in `start`"):
        read(tmp_path, trials="1", start="[{model: vae}, {model: categorical_vae}]")


def test_every_part_is_read(tmp_path: Path) -> None:
    search = read(
        tmp_path,
        parameters="""
  model: [vae, categorical_vae]
  latent_dim: {log_range: [2, 100]}
  categories: {range: [2, 9, 3], where: {model: categorical_vae}}
  kl_weight: {log_uniform: [1e-4, 1]}
  scale_range: {uniform: [0, 0.5]}
  hidden_widths: [[8], [8, 16]]""",
        objectives="{validation_base_loss: minimize, encoding_dim: minimise}",
        sampler="{name: nsga2, population: 7}",
        sampler_seed="3",
        start="[{model: vae, hidden_widths: [8, 16]}]",
    )
    domains = {item.name: item.domain for item in search.parameters}
    assert domains == {
        "model": choices("vae", "categorical_vae"),
        "latent_dim": Interval(2, 100, whole=True, log=True),
        "categories": Interval(2, 8, whole=True, step=3),
        "kl_weight": Interval(1e-4, 1.0, whole=False, log=True),
        "scale_range": Interval(0.0, 0.5, whole=False),
        "hidden_widths": choices((8,), (8, 16)),
    }
    assert search.objectives == {"validation_base_loss": "minimize", "encoding_dim": "minimize"}
    assert (search.sampler.name, search.sampler.options) == ("nsga2", {"population": 7})
    assert (search.trials, search.sampler_seed) == (5, 3)
    assert search.start == ({"model": "vae", "hidden_widths": "[8, 16]"},)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (choices((8,), (8, 16)), {(8,), (8, 16)}),
        (Interval(2, 8, whole=True, step=3), {2, 5, 8}),
        (Interval(1, 3, whole=True, log=True), {1, 2, 3}),
    ],
)
def test_draws_are_all_of_the_values(domain: Choices | Interval, expected: set[object]) -> None:
    source = random.Random(0)
    assert {domain.draw(source) for _ in range(200)} == expected


@pytest.mark.parametrize("log", [True, False])
def test_draws_of_an_interval_cover_it_on_its_scale(log: bool) -> None:
    source = random.Random(0)
    drawn = [Interval(1e-4, 1.0, whole=False, log=log).draw(source) for _ in range(2000)]
    assert 1e-4 <= min(drawn) <= max(drawn) <= 1
    middle = sum(number < 1e-2 for number in drawn) / len(drawn)
    assert middle == pytest.approx(0.5 if log else 0.01, abs=0.04)


def test_a_parameter_exists_where_its_condition_holds_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    search = read(
        tmp_path,
        parameters="{categories: {values: [3], where: {model: categorical_vae}}, model: [vae, categorical_vae]}",
    )
    seen = {(config.model, config.categories) for config in search.drawn(50)}
    assert seen == {("vae", None), ("categorical_vae", 3)}


def test_an_override_takes_starting_points_and_conditions_with_it() -> None:
    search = search_space.read(search_space.find("optuna_latent"), overrides={"model": "vae"}).search
    assert search is not None
    assert [set(point) for point in search.start] == [
        {"latent_dim", "kl_weight"},
        {"latent_dim", "categories", "kl_weight"},
    ]
    assert {config.categories for config in search.drawn(20)} == {None}


def test_overrides_fix_a_parameter_or_make_one(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text())
    search = search_space.read(
        path, overrides={"model": "vae", "epochs": [1, 2], "latent_dim": {"range": [2, 4]}}
    ).search
    assert search is not None
    assert [item.name for item in search.parameters] == ["epochs", "latent_dim"]
    assert {config.model for config in search.drawn(5)} == {"vae"}


ERRORS: dict[str, tuple[dict[str, str], str]] = {
    "another kind": ({"search": "grid"}, "`search` is 'grid'; it must be optuna"),
    "unknown part": ({"factors": "{}"}, "`factors` is unknown in a search; it may hold"),
    "nothing searched": ({"parameters": ""}, "nothing is searched; give `parameters`"),
    "a value": ({"parameters": "{model: vae}"}, r"which is no list; write \[vae\]"),
    "unknown field": ({"parameters": "{latent: [1, 2]}"}, "`latent` is not a field of a trial"),
    "the seed": ({"parameters": "{seed: [1, 2]}"}, "would choose a lucky seed"),
    "wrong value": ({"parameters": "{model: [vae, gan]}"}, "`model` is 'gan'; it must be"),
    "two ranges": ({"parameters": "{epochs: {range: [1, 2], log_range: [1, 2]}}"}, "has range and log_range"),
    "unknown range": ({"parameters": "{epochs: {rang: [1, 2]}}"}, "did you mean `range`"),
    "upside down": ({"parameters": "{epochs: {range: [5, 1]}}"}, "runs from 5 down to 1"),
    "real for whole": ({"parameters": "{epochs: {uniform: [1, 5]}}"}, "a whole number; write `range`"),
    "outside": ({"parameters": "{epochs: {range: [0, 5]}}"}, "`epochs` is 0; it must be a whole number at least 1"),
    "log from zero": ({"parameters": "{kl_weight: {log_uniform: [0, 1]}}"}, "begins at 0; it must begin above 0"),
    "fraction": ({"parameters": "{kl_weight: {range: [0.1, 1]}}"}, "all its numbers must be whole"),
    "step of nothing": ({"parameters": "{epochs: {range: [1, 5, 0]}}"}, "has step 0"),
    "not a range": ({"parameters": "{epochs: {range: 5}}"}, r"`range` of `epochs` is 5; it must be \[low, high\]"),
    "setting as well": ({"parameters": "{epochs: [1, 2]}"}, "`epochs` is a setting and a factor as well"),
    "unknown condition": (
        {"parameters": "{latent_dim: {range: [2, 5], where: {stn: none}}}"},
        "names `stn`, which has no values here; add them",
    ),
    "condition never met": (
        {"parameters": "{model: [vae, autoencoder], categories: {range: [2, 5], where: {model: categorical_vae}}}"},
        "asks for `model` categorical_vae, which it never takes; its values are",
    ),
    "conditions in a ring": (
        {
            "parameters": "{model: {values: [vae], where: {stn: none}}, stn: {values: [none], where: {model: vae}}}",
        },
        "wait for each other",
    ),
    "no objective": ({"objectives": ""}, "the search has no objective"),
    "test metric": (
        {"objectives": "{augmented_accuracy: maximise}"},
        "a metric of the test set, which a search may not see; did you mean `validation_augmented_accuracy`",
    ),
    "reported by none": ({"objectives": "{beauty: maximise}"}, "`beauty` is reported by no trial; it must be one of"),
    "no direction": ({"objectives": "{validation_base_loss: up}"}, "is 'up'; it must be maximise or minimise"),
    "sizes only": ({"objectives": "{encoding_dim: minimise}"}, "sizes only, which needs no trial"),
    "no validation": ({"settings": "{epochs: 3}"}, "no validation images to choose by; add `validation_images"),
    "unknown sampler": ({"sampler": "grid"}, "`sampler` is 'grid'; it must be tpe or nsga2 or random"),
    "option of another": ({"sampler": "{name: tpe, population: 3}"}, "`population` is unknown in `sampler: tpe`"),
    "small population": ({"sampler": "{name: nsga2, population: 1}"}, "`population` is 1; it must be a whole number"),
    "pruning several": (
        {"objectives": "{validation_base_loss: minimise, latent_dim: minimise}", "pruner": "asha"},
        "asha prunes by one objective, of several",
    ),
    "no length": ({"trials": ""}, "`trials` is missing"),
    "no trials": ({"trials": "0"}, "`trials` is 0; it must be a whole number from 1"),
    "start elsewhere": ({"start": "[{model: pca}]"}, "`model` starts at pca, which is outside of vae"),
    "start of another": ({"start": "[{epochs: 1}]"}, "`epochs` is not searched; a starting point may give model"),
    "start as one": ({"start": "{model: vae}"}, "it must be a list of points"),
    "can't be run": (
        {"parameters": "{model: [vae, categorical_vae], probe_features: [mean, logits]}"},
        "which a .* does not have; it must be one of .* .a search may come to",
    ),
}


@pytest.mark.parametrize(("parts", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_mistakes_are_one_line_with_their_place(tmp_path: Path, parts: dict[str, str], message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^.*{message}.* \(.*x\.yaml(, line \d+)?\)$"):
        read(tmp_path, **parts)


def test_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"a search runs each trial with one seed; give it with --set seed=1"):
        read_text(tmp_path, text(), seeds=3)


def test_objectives_are_metrics_of_validation_images_or_sizes() -> None:
    search = search_space.read(search_space.find("optuna_latent")).search
    assert search is not None
    assert set(search.objectives) == {"validation_augmented_accuracy", "encoding_dim"}
    assert all(name.startswith("validation_") for name in VALIDATION_METRICS)
    assert {item.name for item in search.parameters} <= set(FIELD_NAMES)


def test_a_trial_of_more_numbers_than_the_most_gets_fewer_latents(tmp_path: Path) -> None:
    latents = "{model: [vae, categorical_vae], latent_dim: {log_range: [2, 784]}, categories: {log_range: [2, 20]}}"
    search = read(tmp_path, parameters=latents, most_numbers="100")
    drawn = search.drawn(300)
    free = read(tmp_path, parameters=latents).drawn(300)
    assert max(config.encoding_dim for config in free) > 784
    for model in ("vae", "categorical_vae"):
        assert max(config.encoding_dim for config in drawn if config.model == model) > 80
    for bounded, other in zip(drawn, free, strict=True):
        assert bounded.encoding_dim <= 100
        # What fits is left as it is.
        assert bounded == other or other.encoding_dim > 100
    with pytest.raises(SpaceError, match="`most_numbers` is 1; it must be a whole number from 2"):
        read(tmp_path, parameters=latents, most_numbers="1")
