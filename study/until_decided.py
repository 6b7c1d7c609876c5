"""`--until-decided`: seeds where they decide. After each round the claims are judged; open ones get more seeds.

The looks are planned before the first and corrected for (`analysis.inference.looks`), so that a claim without an effect
is decided no more often than with all seeds at once. Cells of which every claim is decided get no more seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import analysis
from analysis.inference import correctness_of, looks
from analysis.inference.assessment import Trials, cell_configs
from analysis.inference.claims import Claim, read_claims
from analysis.inference.verdicts import judge
from study.storage.folder import FolderError
from tivae.config import TrialConfig

DECIDED = ("supported", "refuted")


def planned(folder: Path, most_seeds: int) -> looks.Looks:
    """The looks of a study in `folder`, kept there before its first trial.

    Raises `FolderError` if fewer than 3 seeds are asked for, or the study was begun with other looks.
    """
    if most_seeds < looks.FIRST_LOOK:
        raise FolderError(
            f"--max-seeds is {most_seeds}; it must be at least {looks.FIRST_LOOK}, the first look's seeds"
        )
    wanted = looks.planned(most_seeds)
    try:
        before = looks.read({"": folder})
    except ValueError as problem:
        raise FolderError(str(problem)) from problem
    if before not in (None, wanted):
        raise FolderError(
            f"{folder} is judged at {_words(before)} seeds; give the --max-seeds it was begun with, or another --name"
        )
    looks.write(folder, wanted)
    return wanted


def run(
    trials: Sequence[TrialConfig],
    folder: Path,
    plan: looks.Looks,
    run_round: Callable[[Sequence[TrialConfig]], int],
    show: Callable[[str], object],
) -> int:
    """Runs rounds until each claim that can be tested is decided, or the last look has passed.

    trials: of all seeds that the plan allows. run_round: runs some of them, those that are finished already at no cost,
    and gives an exit code, of which the largest is given back.
    """
    chosen = [config for config in trials if config.seed < plan.seeds[0]]
    code = 0
    for number, look in enumerate(plan.seeds):
        code = max(code, run_round(chosen))
        study = analysis.load(folder)
        verdicts = tested(study, plan)
        show(_summary(look, plan, verdicts))
        undecided = [claim for claim, verdict in verdicts if verdict not in DECIDED]
        if not undecided or number + 1 == len(plan.seeds):
            break
        following = plan.seeds[number + 1]
        cells = cell_configs(undecided, Trials(study, correctness_of(study)))
        more = [config for config in trials if look <= config.seed < following and replace(config, seed=0) in cells]
        chosen = [*chosen, *more]
    return code


def tested(study: analysis.Study, plan: looks.Looks) -> list[tuple[Claim, str]]:
    """The claims whose cells the study has, each with its verdict so far."""
    claims, level = read_claims()
    judgements = zip(claims, judge(study, claims, level, looks=plan), strict=True)
    return [(claim, found.verdict) for claim, found in judgements if found.verdict != "not tested"]


def _summary(look: int, plan: looks.Looks, verdicts: Sequence[tuple[Claim, str]]) -> str:
    decided = [f"{claim.name} ({verdict})" for claim, verdict in verdicts if verdict in DECIDED]
    undecided = [claim.name for claim, verdict in verdicts if verdict not in DECIDED]
    parts = [f"after {look} of at most {plan.seeds[-1]} seeds decided: {', '.join(decided) or 'no claim'}"]
    if undecided:
        rest = "more seeds for their cells" if look < plan.seeds[-1] else "these were all the seeds"
        parts.append(f"undecided: {', '.join(undecided)}; {rest}")
    else:
        parts.append("these are all claims that the study can test")
    return "; ".join(parts)


def _words(plan: looks.Looks | None) -> str:
    return ", ".join(map(str, plan.seeds)) if plan is not None else ""
