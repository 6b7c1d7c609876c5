"""Several tests at once: the chance of any false finding is held at the level of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.multitest import multipletests


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p-values, in the order given; one that is NaN, a test not made, is not counted."""
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(given, np.nan)
    made = ~np.isnan(given)
    if made.any():
        adjusted[made] = multipletests(given[made], method="holm")[1]
    return adjusted
