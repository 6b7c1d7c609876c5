"""Frames as text, Markdown, LaTeX and CSV."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from analysis import formats
from analysis.formats import Table

FRAME = pd.DataFrame(
    {("", "model"): ["vae", "a_b & c|d"], ("base", "ours"): ["0.7790", None], ("base", "n"): ["1", "12"]}
)
RIGHT = [("base", "ours"), ("base", "n")]


def test_text_is_aligned_with_missing_as_a_dash() -> None:
    assert formats.text(FRAME, RIGHT).splitlines() == [
        "              base",
        "model        ours   n",
        "---------  ------  --",
        "vae        0.7790   1",
        "a_b & c|d       -  12",
    ]


def test_a_long_group_name_widens_its_columns() -> None:
    frame = pd.DataFrame({("", "a"): ["1"], ("a long group name", "b"): ["2"], ("x", "c"): ["3"]})
    head, labels, rule, row = formats.text(frame, list(frame.columns)).splitlines()
    assert head == "   a long group name  x"
    assert labels == "a                  b  c"
    assert len(rule) == len(row) == len(head)


def test_markdown_escapes_what_would_break_a_table() -> None:
    assert formats.markdown(FRAME, RIGHT).splitlines() == [
        "| model | base ours | base n |",
        "| --- | ---: | ---: |",
        "| vae | 0.7790 | 1 |",
        r"| a\_b & c\|d | - | 12 |",
    ]


def test_latex_has_booktabs_rules_and_escapes() -> None:
    lines = formats.latex(FRAME, RIGHT).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert r" & \multicolumn{2}{c}{base} \\" in lines
    assert r"\cmidrule(lr){2-3}" in lines
    assert r"a\_b \& c\textbar{}d & - & 12 \\" in lines
    assert [line for line in lines if "rule" in line and "cmid" not in line] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("50 % of $x_1^2 & #3 {y}", r"50 \% of \$x\_1\textasciicircum{}2 \& \#3 \{y\}"),
        (r"C:\temp~", r"C:\textbackslash{}temp\textasciitilde{}"),
        ("0.1 ±0.2 <3>", r"0.1 $\pm$0.2 \textless{}3\textgreater{}"),
    ],
)
def test_latex_escapes_special_characters(plain: str, escaped: str) -> None:
    assert formats.latex_escape(plain) == escaped


@pytest.mark.parametrize("render", [formats.text, formats.markdown, formats.latex])
def test_a_cell_stays_on_one_line_and_steers_no_terminal(render: object) -> None:
    lines = render(pd.DataFrame({"error": ["first\nsecond\x1b[31m\u202e red"]})).splitlines()  # type: ignore[operator]
    assert sum("first second?" in line for line in lines) == 1
    assert "\x1b" not in "".join(lines)


def test_csv_comes_back_in_full_precision() -> None:
    frame = pd.DataFrame({("", "a"): [0.1 + 0.2, None], ("g", "b"): ["x,y", None]})
    text = formats.csv(frame)
    heading, first, second = csv.reader(io.StringIO(text))
    assert heading == ["a", "g b"]
    assert float(first[0]) == 0.1 + 0.2
    assert first[1] == "x,y"
    assert second == ["", ""]


def test_an_empty_frame_has_its_heading() -> None:
    frame = pd.DataFrame({"a": [], "b": []})
    assert formats.text(frame).splitlines() == ["a  b", "-  -"]
    assert formats.markdown(frame).splitlines() == ["| a | b |", "| --- | --- |"]


TABLE = Table("Title with 5 %", (("First", FRAME, RIGHT), ("Second", FRAME, RIGHT)), ("a_note " * 30, "two"), "tab:x")


def test_a_table_puts_title_blocks_and_notes_together() -> None:
    lines = TABLE.text(width=60).splitlines()
    assert lines[0] == "Title with 5 %"
    assert lines[-1] == "two"
    assert max(map(len, lines)) <= 60
    assert lines.index("First") < lines.index("Second")
    assert TABLE.markdown().startswith("**Title with 5 %**\n\nFirst\n\n| model")
    assert TABLE.markdown().endswith("\n- two\n")
    assert Table("T", TABLE.blocks).text().endswith("12\n")


def test_latex_tables_are_balanced() -> None:
    text = TABLE.latex()
    for environment, times in (("table", 1), ("tabular", 2)):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == times
    assert text.count("{") == text.count("}")
    assert r"\caption{Title with 5 \%}" in text
    assert r"\label{tab:x}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    hard = pd.DataFrame({"50 % & #_^~": [r"\ { } $ < > | ± × ≥ ≤ −", "é"]})
    body = Table("Hard % _ table", (("A & B", hard, []),), ("note ±_",)).latex() + TABLE.latex()
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_table_that_no_type_makes_fit_is_shrunk_to_the_line():
    wide = pd.DataFrame({f"a column of many letters {number}": ["x"] for number in range(6)})
    assert r"\resizebox{\ifdim\width>\linewidth" in Table("Wide", (("", wide, []),)).latex()
    assert "resizebox" not in Table("Narrow", (("", wide.iloc[:, :2], []),)).latex()
