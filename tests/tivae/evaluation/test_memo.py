import numpy as np
import pytest

from tivae.evaluation.memo import Memo


@pytest.mark.parametrize(("limit", "asked", "made"), [(16, "abbca", "abca"), (0, "aa", "aa"), (7, "aa", "aa")])
def test_the_most_recent_values_are_kept_while_they_fit_into_the_limit(limit, asked, made):
    """Of 8 bytes each."""
    memo, found = Memo(limit), []
    for key in asked:
        value = memo.get(key, lambda key=key: found.append(key) or np.full(1, ord(key), np.int64))
        assert value == ord(key)
    assert "".join(found) == made
