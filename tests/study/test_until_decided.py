"""Seeds where they decide: which cells get more, what early analyses cost, and what it saves."""

import itertools
import math
import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

import analysis
from analysis.frames.study import SCHEDULE
from analysis.inference import interim, power_of
from analysis.inference.claims import read_claims
from study import until_decided
from study.power import power_lines
from study.run import main
from study.storage.folder import FolderError
from tests.analysis.synthetic import grid, study_of, write_study
from tests.analysis.synthetic_scores import drawn, first_seeds, grid_study

DECIDED_AT_ONCE = {"categorical_beats_vae_on_augmented", "categorical_beats_vae_on_base"}


def metrics(config, _):
    """The categorical VAE and the STN are far ahead; training data make no difference, with noise of each trial."""
    draw = random.Random(f"{config.key} of this test")
    found = {"base_accuracy": 0.78, "augmented_accuracy": 0.66 + 0.07 * (config.stn == "pretrained")}
    gain = 0.08 * (config.model == "categorical_vae")
    return {name: value + gain + draw.gauss(0, 0.002) for name, value in found.items()}


def test_analyses_are_spread_from_three_to_the_most() -> None:
    assert interim.planned(10).seeds == (3, 5, 7, 10)
    assert interim.planned(4).seeds == (3, 4)
    assert interim.planned(3).seeds == (3,)
    assert interim.planned(30).seeds == (3, 12, 21, 30)
    with pytest.raises(ValueError, match="must ascend from at least 2"):
        interim.Schedule((5, 3))


def test_rounds_end_when_all_is_decided_and_only_open_cells_get_more(tmp_path):
    trials, rounds, logged = grid(seeds=10), [], []
    plan = until_decided.planned(tmp_path, 10)

    def run_round(chosen):
        rounds.append(list(chosen))
        write_study(tmp_path, chosen, metrics)
        return 0

    assert until_decided.run(trials, tmp_path, plan, run_round, logged.append) == 0
    assert {config.seed for config in rounds[0]} == {0, 1, 2}
    assert len(rounds[0]) == 24
    assert all(set(first) <= set(second) for first, second in itertools.pairwise(rounds))
    decided, _, undecided = logged[0].partition("; undecided: ")
    assert decided.startswith("after 3 of at most 10 seeds decided: ")
    assert all(f"{name} (supported)" in decided for name in DECIDED_AT_ONCE)
    assert undecided
    assert not any(name in undecided for name in DECIDED_AT_ONCE)
    # The same command again runs nothing that has not been run.
    again = []
    until_decided.run(trials, tmp_path, plan, lambda chosen: again.append(list(chosen)) or 0, lambda _: None)
    assert set(again[-1]) <= set(rounds[-1])


def test_cells_whose_claims_are_decided_get_no_more_seeds(tmp_path, monkeypatch):
    """With one open claim of two cells only these two are run again."""
    (claim,) = [claim for claim in read_claims()[0] if claim.name == "categorical_wins_only_by_size"]
    one = [claim for claim in read_claims()[0] if claim.name == "categorical_beats_vae_on_augmented"]
    monkeypatch.setattr(until_decided, "read_claims", lambda: ([*one, claim], 0.05))
    sizes = [
        config.__class__(train_dataset="augmented", model="vae", latent_dim=100, seed=config.seed)
        for config in grid(seeds=5)
        if (config.model, config.stn, config.train_dataset) == ("vae", "none", "base")
    ]
    trials, rounds = [*grid(seeds=5), *sizes], []

    def noisy(config, draw):
        if config.latent_dim == 100:
            return {"base_accuracy": 0.85, "augmented_accuracy": 0.73 + draw.gauss(0, 0.05)}
        return metrics(config, draw)

    def run_round(chosen):
        rounds.append(list(chosen))
        write_study(tmp_path, chosen, noisy)
        return 0

    until_decided.run(trials, tmp_path, until_decided.planned(tmp_path, 5), run_round, lambda _: None)
    more = {(c.model, c.stn, c.train_dataset, c.latent_dim) for c in set(rounds[1]) - set(rounds[0])}
    assert more == {("vae", "none", "augmented", 100), ("categorical_vae", "none", "augmented", 10)}


def test_what_is_undecided_is_told_of_all_seeds_and_what_is_decided_of_the_look_that_decided(tmp_path):
    plan = until_decided.planned(tmp_path, 5)
    study = study_of(tmp_path, grid(seeds=5), metrics)
    found = {row.claim: row for row in analysis.inference.verdicts.judge(study, schedule=plan) if row.n}
    undecided = [row for row in found.values() if row.verdict == "undecided"]
    assert undecided
    assert {row.n for row in undecided} == {5}
    decided = found["categorical_beats_vae_on_augmented"]
    assert decided.verdict == "supported"
    assert decided.low > 0


def test_the_looks_are_kept_with_the_study_and_correct_its_verdicts(tmp_path):
    until_decided.planned(tmp_path, 10)
    write_study(tmp_path, grid(seeds=3), metrics)
    study = analysis.load(tmp_path)
    corrected = analysis.inference.verdicts.judge(study)
    (tmp_path / SCHEDULE).unlink()
    plain = analysis.inference.verdicts.judge(study)
    for one, other in zip(corrected, plain, strict=True):
        if other.verdict != "not tested":
            assert one.p_value == pytest.approx(min(1, 4 * other.p_value))
            assert one.high - one.low > other.high - other.low
    interim.write(tmp_path, interim.planned(10))
    assert until_decided.planned(tmp_path, 10).seeds == (3, 5, 7, 10)
    with pytest.raises(FolderError, match="is judged at 3, 5, 7, 10 seeds; give the --max-seeds it was begun with"):
        until_decided.planned(tmp_path, 12)
    (tmp_path / SCHEDULE).write_text("{}")
    with pytest.raises(FolderError, match=r"looks\.json can't be read"):
        until_decided.planned(tmp_path, 10)


@pytest.mark.parametrize(("seeds", "counted"), [(4, 4), (5, 4), (7, 6), (10, 9)])
def test_analyses_come_by_all_seeds_also_where_one_does_not_count(tmp_path, seeds, counted):
    """Of 4 seeds three count, but the analysis of 3 would have had two: nothing confirms, and 4 is no analysis."""
    plan = interim.planned(10)
    claims = [replace(claim, date=datetime(2000, 1, 1, tzinfo=UTC), seen_seeds=(0,)) for claim in read_claims()[0]]
    study = study_of(tmp_path, grid(seeds=seeds), metrics)
    latest = [
        row for row in analysis.inference.verdicts.judge(study, claims, schedule=plan) if row.verdict == "undecided"
    ]
    assert latest
    assert {row.n for row in latest} == {3 if seeds == 4 else counted}
    assert {row.basis for row in latest} == {"confirmatory"}


def test_a_folder_in_which_nothing_has_finished_is_judged_early(tmp_path):
    (tmp_path / "trials" / "0123456789ab").mkdir(parents=True)
    assert until_decided.planned(tmp_path, 10).seeds == (3, 5, 7, 10)


def test_a_study_judged_at_the_whole_level_is_not_judged_early(tmp_path):
    write_study(tmp_path, grid(seeds=2), metrics)
    until_decided.planned(tmp_path, 10)
    (tmp_path / SCHEDULE).unlink()
    write_study(tmp_path, grid(seeds=3), metrics)
    with pytest.raises(FolderError, match="has 3 seeds, by which its claims are judged already; give another --name"):
        until_decided.planned(tmp_path, 10)
    assert not (tmp_path / SCHEDULE).exists()


def _decided_at(effect: float, draws: int, seed: int) -> list[tuple[str, int]]:
    """Of many studies: the verdict of a claim judged as seeds come, and the seeds that it took, at most 10."""
    (claim,) = [claim for claim in read_claims()[0] if claim.name == "categorical_beats_vae_on_augmented"]
    plan, source, found = interim.planned(10), np.random.default_rng(seed), []
    study = grid_study(10)
    for _ in range(draws):
        scores = drawn(source, study, images=60, model=effect)
        for seeds in plan.seeds:
            some = first_seeds(study, seeds)
            (result,) = analysis.inference.verdicts.judge(some, [claim], scores=scores, schedule=plan)
            if result.verdict != "undecided":
                break
        found.append((result.verdict, seeds))
    return found


def test_analysing_early_decides_without_an_effect_no_more_often_than_the_level() -> None:
    draws = 60
    false = np.mean([verdict != "undecided" for verdict, _ in _decided_at(0.0, draws, seed=0)])
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_large_effect_is_decided_before_ten_seeds() -> None:
    found = _decided_at(0.08, 12, seed=1)
    assert {verdict for verdict, _ in found} == {"supported"}
    assert np.mean([seeds for _, seeds in found]) <= 6


@pytest.mark.slow
def test_rates_and_savings_of_many_studies() -> None:
    draws = 1000
    false = np.mean([verdict != "undecided" for verdict, _ in _decided_at(0.0, draws, seed=2)])
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    # Of 10 seeds at once at the level of each interim analysis; eight cells with the weight 1/4, and 60 images.
    sd = math.sqrt(8 / 16 * (0.01**2 + (0.7 * 0.3 - 0.15**2) / 60))
    for effect, most_seeds in ((0.05, 8.5), (0.08, 6.5)):
        planted = _decided_at(effect, 300, seed=3)
        promised = power_of(10, sd, effect, alpha=0.05 / 4)
        error = 3 * math.sqrt(max(promised * (1 - promised), 0.01) / 300)
        assert np.mean([verdict == "supported" for verdict, _ in planted]) > promised - error
        assert np.mean([seeds for _, seeds in planted]) < most_seeds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paper_grid", "--until-decided", "--seeds", "5"], "--until-decided is given with --seeds"),
        (["paper_grid", "--until-decided", "--quick"], "--quick, which judges nothing"),
        (["optuna_latent", "--until-decided"], "is a search; it applies to grids only"),
        (["paper_grid", "--until-decided", "--max-seeds", "2"], "--max-seeds is 2; it must be at least 3"),
        (["paper_grid", "--max-seeds", "5"], "--max-seeds is 5, but it is for --until-decided alone"),
    ],
)
def test_what_it_does_not_go_with_is_refused(arguments, message, capsys):
    assert main([*arguments, "--dry-run"]) == 2
    assert message in capsys.readouterr().err


def test_the_power_of_a_planned_study_comes_from_its_own_seeds_or_from_the_published_ones(tmp_path):
    lines = power_lines(grid(seeds=4), tmp_path / "none")
    assert "with 3, 4, 5, 10 seeds, by the variances of paper_grid's 3 seeds:" in lines[0]
    named = [line.split(":")[0].strip() for line in lines[1:]]
    assert "stn_has_no_pronounced_effect" in named
    assert "larger_latents_help_the_vae" not in named  # its cells are not planned
    for line in lines[1:]:
        shares = [int(part.split()[0]) for part in line.split(": ")[1].split(", ")]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 100
    write_study(tmp_path / "mine", grid(seeds=3), metrics)
    assert "by the variances of mine's 3 seeds:" in power_lines(grid(seeds=4), tmp_path / "mine")[0]
    other = [replace(config, latent_dim=7) for config in grid(seeds=2)]
    assert power_lines(other, tmp_path / "none") == []
