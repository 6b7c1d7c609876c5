"""How sure a figure is: intervals, paired comparisons, equivalence, factorial effects and the seeds one needs.

Every test and interval is scipy's or statsmodels'; what is ours is the choice between them, and sensible answers
where there is one seed, or where all values are equal. Functions take plain arrays and frames.
"""

from analysis.inference.equivalence import Equivalence, equivalence
from analysis.inference.factorial import Factorial, factorial, factorial_over_images
from analysis.inference.families import holm
from analysis.inference.images import Contrast, ImageComparison, compare_images, contrast
from analysis.inference.intervals import Interval, Summary, accuracy_interval, cell_summaries, seed_interval, summarise
from analysis.inference.paired import PairedComparison, compare_seeds, pair_by_seed
from analysis.inference.power import SeedPlan, plan_seeds, seeds_for_paired_t, smallest_seeds

__all__ = [
    "Contrast",
    "Equivalence",
    "Factorial",
    "ImageComparison",
    "Interval",
    "PairedComparison",
    "SeedPlan",
    "Summary",
    "accuracy_interval",
    "cell_summaries",
    "compare_images",
    "compare_seeds",
    "contrast",
    "equivalence",
    "factorial",
    "factorial_over_images",
    "holm",
    "pair_by_seed",
    "plan_seeds",
    "seed_interval",
    "seeds_for_paired_t",
    "smallest_seeds",
    "summarise",
]
