"""Statistical power by the number of seeds, for a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tivae.config import TrialConfig

# Whose variances a study without seeds of its own takes.
PILOT = Path(__file__).resolve().parents[1] / "analysis" / "published" / "paper_grid"


def power_lines(trials: Sequence[TrialConfig], study: Path) -> list[str]:
    """The power to decide each claim of the planned cells, by the variances of the study's seeds or else of `PILOT`'s.

    A line that says of what, and one per claim; none where neither pilot has the cells of a claim.
    """
    # Only a dry run needs these, and they take a second to import.
    import analysis
    from analysis.figures.drawing.saving import NotSupported
    from analysis.tables.pilot import claim_powers

    numbers = sorted({len({config.seed for config in trials}), 3, 5, 10})
    cells = {replace(config, seed=0) for config in trials}
    for folder in (study, PILOT):
        try:
            powers = claim_powers(analysis.load(folder), numbers, cells).to_dict("records")
        except (ValueError, NotSupported):
            continue
        lines = []
        for row in powers:
            shares = ", ".join(f"{100 * row[f'power_{number}']:.0f} %" for number in numbers)
            lines.append(f"  {row['claim']}: {shares}")
        head = (
            f"power to decide a claim whose effect is 1 point from its margin, with {', '.join(map(str, numbers))} "
            f"seeds, by the variances of {folder.name}'s {powers[0]['n']} seeds:"
        )
        return [head, *lines]
    return []
