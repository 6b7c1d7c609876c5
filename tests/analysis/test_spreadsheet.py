"""Texts in CSV files that a spreadsheet would run."""

import pandas as pd
import pytest

from analysis import formats
from analysis.spreadsheet import guarded, unguarded

FORMULAS = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x", "=HYPERLINK(1)", "-"]
PLAIN = ["-0.5", "+1e-3", "0.1", "a=b", "'quoted'", "", "'", "-inf", "nan"]


@pytest.mark.parametrize("text", FORMULAS + PLAIN)
@pytest.mark.parametrize("dtype", ["string", object])
def test_formulas_alone_are_guarded_and_come_back(text, dtype):
    frame = pd.DataFrame({"name": pd.Series([text, None], dtype=dtype), text: [1.5, -2.0]})
    safe = guarded(frame)
    assert safe.iloc[0, 0] == (f"'{text}" if text in FORMULAS else text)
    assert list(safe.columns) == ["name", f"'{text}" if text in FORMULAS else text]
    pd.testing.assert_frame_equal(unguarded(safe), frame)


def test_tables_as_csv_are_guarded():
    assert formats.csv(pd.DataFrame({"=x": ["=1+1", "b"], "y": [-1.0, 2.0]})) == "'=x,y\n'=1+1,-1.0\nb,2.0\n"
