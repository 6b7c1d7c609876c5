"""Dataframes of texts as fixed-width text, Markdown, LaTeX (booktabs) or CSV.

Column labels are texts, or (group, label) pairs: columns with one group stand under a common heading. A missing value
is shown as "-" and, in CSV, as nothing.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from analysis.spreadsheet import guarded

MISSING = "-"
# Letters of a line that any terminal has.
TERMINAL_WIDTH = 79
# Letters of a row that fit a line of 345 points, an article's, in each size of LaTeX's type.
LATEX_SIZES = {
    r"\small": 57,
    r"\footnotesize\setlength{\tabcolsep}{4pt}": 73,
    r"\scriptsize\setlength{\tabcolsep}{3pt}": 92,
    r"\tiny\setlength{\tabcolsep}{2pt}": 132,
}
# Wider rows, in letters, are shrunk to the line, for which LaTeX needs `graphicx`.
LATEX_SHRUNK = 115
# Longer cells are broken into lines of about this many letters.
_LATEX_WRAP_LETTERS = 40
_LATEX_WRAPPED = "p{18em}"


@dataclass(frozen=True, eq=False)
class Table:
    """A titled table to print: one or several frames of texts, then notes.

    blocks: (heading, frame, right-aligned columns), below each other, so that a wide table fits a terminal and a page.
    """

    title: str
    blocks: tuple[tuple[str, pd.DataFrame, Sequence[Hashable]], ...]
    notes: tuple[str, ...] = ()
    label: str = ""

    def text(self, width: int = 100) -> str:
        """Fixed-width text; title and notes are wrapped at `width`."""
        parts = [textwrap.fill(printable(self.title), width) + "\n"]
        parts += [f"{heading}\n{text(frame, right)}".lstrip("\n") for heading, frame, right in self.blocks]
        notes = [textwrap.fill(printable(note), width, subsequent_indent="  ") for note in self.notes]
        return "\n".join([*parts, *("\n".join([*notes, ""]) for _ in notes[:1])])

    def markdown(self) -> str:
        """Markdown, notes as a list."""
        parts = [f"**{markdown_escape(printable(self.title))}**\n"]
        parts += [f"{heading}\n\n{markdown(frame, right)}".lstrip("\n") for heading, frame, right in self.blocks]
        notes = "".join(f"- {markdown_escape(printable(note))}\n" for note in self.notes)
        return "\n".join([*parts, *([notes] if notes else [])])

    def latex(self) -> str:
        """One LaTeX `table`, the title its caption, the notes below; needs `booktabs`, a wide one `graphicx`."""
        widths = [_latex_width(_columns(frame, [])) for _, frame, _ in self.blocks]
        # The largest type in which the widest block fits a page's text.
        fitting = [size for size, most in LATEX_SIZES.items() if max(widths, default=0) <= most]
        lines = [r"\begin{table}", r"\centering", (fitting or list(LATEX_SIZES)[-1:])[0]]
        lines += [rf"\caption{{{latex_escape(printable(self.title))}}}"]
        lines += [rf"\label{{{self.label}}}"] if self.label else []
        for (heading, frame, right), width in zip(self.blocks, widths, strict=True):
            lines += [rf"\par\medskip {latex_escape(heading)}\par\smallskip"] if heading else []
            tabular = latex(frame, right).rstrip()
            if width > LATEX_SHRUNK:
                tabular = rf"\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%{chr(10)}{tabular}}}"
            lines.append(tabular)
        lines += [rf"\par\smallskip\footnotesize {latex_escape(printable(note))}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"


def text(frame: pd.DataFrame, right: Sequence[Hashable] = ()) -> str:
    """Fixed-width lines; the columns in `right`, numbers as a rule, are right-aligned."""
    columns = _columns(frame, right)
    widths = [max(len(cell) for cell in [column.label, *column.cells]) for column in columns]
    for group, first, last in _groups(columns):
        widths[last] += max(0, len(group) - _width(widths, first, last))
    lines = [_line([c.label for c in columns], columns, widths)]
    if any(column.group for column in columns):
        groups = (group.center(_width(widths, first, last)) for group, first, last in _groups(columns))
        lines.insert(0, "  ".join(groups))
    lines.append("  ".join("-" * width for width in widths))
    lines += [_line([c.cells[row] for c in columns], columns, widths) for row in range(len(frame))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def markdown(frame: pd.DataFrame, right: Sequence[Hashable] = ()) -> str:
    """A Markdown table (GitHub's flavour); a group's name stands before each of its labels."""
    columns = _columns(frame, right)
    labels = [markdown_escape(f"{c.group} {c.label}".strip()) for c in columns]
    rows = [labels, ["---:" if c.right else "---" for c in columns]]
    rows += [[markdown_escape(c.cells[row]) for c in columns] for row in range(len(frame))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def latex(frame: pd.DataFrame, right: Sequence[Hashable] = ()) -> str:
    r"""A LaTeX `tabular` with booktabs rules; needs `\usepackage{booktabs}`. Special characters are escaped.

    A column of long texts is broken into lines.
    """
    columns = _columns(frame, right)
    alignments = "".join(_LATEX_WRAPPED if _is_long(c) else "r" if c.right else "l" for c in columns)
    lines = [rf"\begin{{tabular}}{{{alignments}}}", r"\toprule"]
    lines += _latex_groups(columns)
    lines += [" & ".join(latex_escape(c.label) for c in columns) + r" \\", r"\midrule"]
    lines += [" & ".join(latex_escape(c.cells[row]) for c in columns) + r" \\" for row in range(len(frame))]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _is_long(column: _Column) -> bool:
    return max(map(len, column.cells), default=0) > _LATEX_WRAP_LETTERS


def _latex_width(columns: list[_Column]) -> int:
    """Of a row, in letters, two for each gap."""
    widest = [max(map(len, [column.label, *column.cells])) for column in columns]
    return sum(2 + (_LATEX_WRAP_LETTERS if _is_long(c) else width) for c, width in zip(columns, widest, strict=True))


def csv(frame: pd.DataFrame) -> str:
    """Comma-separated values in full precision, one header line; texts as of `spreadsheet.guarded`."""
    plain = frame.copy()
    plain.columns = pd.Index([" ".join(filter(None, _label_parts(label))) for label in frame.columns])
    return str(guarded(plain).to_csv(index=False, lineterminator="\n"))


def percents(share: float, half: float = math.nan) -> str | None:
    """A share in %, with half of its interval where it has one: "78.0 ± 0.8"; None where it is missing."""
    if pd.isna(share):
        return None
    return f"{100 * share:.1f}" + ("" if pd.isna(half) else f" ± {100 * half:.1f}")


def p_value(value: float) -> str | None:
    """A p-value to three digits, or "< 0.001"; None where it is missing."""
    if pd.isna(value):
        return None
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def latex_escape(value: str) -> str:
    """`value` as LaTeX prints it, special characters included."""
    return "".join(_LATEX.get(character, character) for character in value)


_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "β": r"$\beta$",
    "η": r"$\eta$",
    "²": "$^2$",
    "–": "--",
    "→": r"$\rightarrow$",
}


class _Column:
    def __init__(self, label: Hashable, values: pd.Series, right: bool):
        self.group, self.label = _label_parts(label)
        self.cells = [_cell(value) for value in values]
        self.right = right


def _columns(frame: pd.DataFrame, right: Sequence[Hashable]) -> list[_Column]:
    return [_Column(label, frame.iloc[:, i], label in right) for i, label in enumerate(frame.columns)]


def _label_parts(label: Hashable) -> tuple[str, str]:
    group, name = label if isinstance(label, tuple) else ("", label)
    return printable(str(group)), printable(str(name))


def _cell(value: Any) -> str:
    return MISSING if pd.isna(value) else printable(str(value))


def printable(value: str) -> str:
    """`value` on one line, without control characters: error messages may hold newlines and terminal codes."""
    line = " ".join(value.split())
    return "".join("?" if unicodedata.category(character).startswith("C") else character for character in line)


def _width(widths: list[int], first: int, last: int) -> int:
    """Of the columns from `first` to `last`, two spaces between them."""
    return sum(widths[first : last + 1]) + 2 * (last - first)


def _groups(columns: list[_Column]) -> list[tuple[str, int, int]]:
    """(group, first column, last column) of each run of columns with one group."""
    runs = groupby(range(len(columns)), key=lambda position: columns[position].group)
    positions = [(group, list(run)) for group, run in runs]
    return [(group, run[0], run[-1]) for group, run in positions]


def _line(cells: list[str], columns: list[_Column], widths: list[int]) -> str:
    parts = zip(cells, columns, widths, strict=True)
    return "  ".join(cell.rjust(width) if column.right else cell.ljust(width) for cell, column, width in parts)


def markdown_escape(value: str) -> str:
    for character in "\\|`*_<>[]":
        value = value.replace(character, f"\\{character}")
    return value


def _latex_groups(columns: list[_Column]) -> list[str]:
    groups = _groups(columns)
    if not any(group for group, _, _ in groups):
        return []
    heads, rules = [], []
    for group, first, last in groups:
        if group:
            heads.append(rf"\multicolumn{{{last - first + 1}}}{{c}}{{{latex_escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{first + 1}-{last + 1}}}")
        else:
            heads += [""] * (last - first + 1)
    return [" & ".join(heads) + r" \\", " ".join(rules)]
