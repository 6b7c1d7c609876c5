"""Statistics: intervals over seeds and test images, comparisons, balanced effects, verdicts and power.

Functions take plain arrays and frames.
"""

from analysis.inference.cells import cell_summaries, check_alike, summary_of
from analysis.inference.comparisons import ImageComparison, compare_cells, compare_images, pair_by_seed
from analysis.inference.correctness import correctness_of
from analysis.inference.crossed import Estimate, at_most, estimate, seed_interval, summarise
from analysis.inference.factorial import Design, Factorial, balanced, factorial
from analysis.inference.families import holm
from analysis.inference.intervals import Interval, Summary, accuracy_interval, share_interval
from analysis.inference.power import SeedPlan, plan_seeds, power_of, seeds_for_paired_t

__all__ = [
    "Design",
    "Estimate",
    "Factorial",
    "ImageComparison",
    "Interval",
    "SeedPlan",
    "Summary",
    "accuracy_interval",
    "at_most",
    "balanced",
    "cell_summaries",
    "check_alike",
    "compare_cells",
    "compare_images",
    "correctness_of",
    "estimate",
    "factorial",
    "holm",
    "pair_by_seed",
    "plan_seeds",
    "power_of",
    "seed_interval",
    "seeds_for_paired_t",
    "share_interval",
    "summarise",
    "summary_of",
]
