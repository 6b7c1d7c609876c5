"""`--until-decided`: seeds in rounds, each followed by an interim analysis, while claims are undecided.

The analyses are planned before the first and corrected for (`analysis.inference.interim`), so that a claim without an
effect is decided no more often than with all seeds at once. Cells whose claims are all decided get no more seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import analysis
from analysis.inference import correctness_of, interim
from analysis.inference.assessment import Trials, cell_configs
from analysis.inference.claims import Claim, read_claims
from analysis.inference.verdicts import judge
from study.storage.folder import FolderError
from tivae.config import TrialConfig

DECIDED = ("supported", "refuted")


def planned(folder: Path, most_seeds: int) -> interim.Schedule:
    """The interim analyses of a study in `folder`, kept there before its first trial.

    Raises `FolderError` if the study was begun with others, or has 3 seeds without: claims that have been judged at the
    whole level can't be judged early at a part of it.
    """
    wanted = interim.planned(most_seeds)
    try:
        before = interim.read({"": folder})
    except ValueError as problem:
        raise FolderError(str(problem)) from problem
    if before is not None and before != wanted:
        raise FolderError(
            f"{folder} is judged at {', '.join(map(str, before.seeds))} seeds; give the --max-seeds "
            "it was begun with, or another --name"
        )
    if before is None and (seeds := _finished_seeds(folder)) >= interim.FIRST_SEEDS:
        raise FolderError(
            f"{folder} has {seeds} seeds, by which its claims are judged already; give another --name, where "
            "--until-decided reuses them"
        )
    interim.write(folder, wanted)
    return wanted


def _finished_seeds(folder: Path) -> int:
    try:
        return int(analysis.load(folder).finished["seed"].nunique())
    except ValueError:  # nothing has finished
        return 0


def run(
    trials: Sequence[TrialConfig],
    folder: Path,
    plan: interim.Schedule,
    run_round: Callable[[Sequence[TrialConfig]], int],
    show: Callable[[str], object],
) -> int:
    """Runs rounds until all testable claims are decided or the seeds are used up; returns the largest exit code.

    trials: of all seeds that the plan allows. run_round: runs some of them, finished ones at no cost, and returns an
    exit code.
    """
    chosen = [config for config in trials if config.seed < plan.seeds[0]]
    code = 0
    for number, seeds in enumerate(plan.seeds):
        code = max(code, run_round(chosen))
        study = analysis.load(folder)
        verdicts = tested(study, plan)
        show(_summary(seeds, plan, verdicts))
        undecided = [claim for claim, verdict in verdicts if verdict not in DECIDED]
        if not undecided or number + 1 == len(plan.seeds):
            break
        following = plan.seeds[number + 1]
        cells = cell_configs(undecided, Trials(study, correctness_of(study)))
        chosen += [c for c in trials if seeds <= c.seed < following and replace(c, seed=0) in cells]
    return code


def tested(study: analysis.Study, plan: interim.Schedule) -> list[tuple[Claim, str]]:
    """The claims whose cells the study has, each with its verdict so far."""
    claims, level = read_claims()
    judgements = zip(claims, judge(study, claims, level, schedule=plan), strict=True)
    return [(claim, found.verdict) for claim, found in judgements if found.verdict != "not tested"]


def _summary(seeds: int, plan: interim.Schedule, verdicts: Sequence[tuple[Claim, str]]) -> str:
    decided = [f"{claim.name} ({verdict})" for claim, verdict in verdicts if verdict in DECIDED]
    undecided = [claim.name for claim, verdict in verdicts if verdict not in DECIDED]
    parts = [f"after {seeds} of at most {plan.seeds[-1]} seeds decided: {', '.join(decided) or 'no claim'}"]
    if undecided:
        rest = "more seeds for their cells" if seeds < plan.seeds[-1] else "these were all the seeds"
        parts.append(f"undecided: {', '.join(undecided)}; {rest}")
    else:
        parts.append("these are all claims that the study can test")
    return "; ".join(parts)
