"""A report as one self-contained HTML page, or as Markdown."""

from __future__ import annotations

import base64
import itertools
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import formats
from analysis.figures import SavedFigure
from analysis.formats import Table
from analysis.report.content import Code, Paragraph, Report

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { margin-bottom: .3rem; font-size: 1.05rem; }
/* A shadow at the right edge as long as there is more to scroll to. */
.wide { overflow-x: auto; margin: .5rem 0; background:
  linear-gradient(to left, Canvas 30%, transparent) right / 2rem 100% no-repeat local,
  linear-gradient(to left, #8888, transparent) right / .7rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.long { min-width: 14rem; overflow-wrap: anywhere; } .right { text-align: right; } td.right { white-space: nowrap; }
th.group { text-align: center; }
.note, figcaption { font-size: .85rem; opacity: .85; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; background: #fff; }
pre { overflow-x: auto; padding: .75rem; background: var(--soft); font-size: .8rem; overflow-wrap: normal; }
strong { background: #f0c80040; }
@media (max-width: 40rem) { th, td { padding: .25rem .4rem; } td.long { min-width: 10rem; } }
"""
# Cells longer than this get room to wrap in.
_LONG_CELL = 30


def html(report: Report) -> str:
    """A page that loads nothing: pictures are embedded, there is no script. All text is escaped."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head>",
        f"<body><h1>{escape(report.title)}</h1>",
    ]
    for section in report.sections:
        parts.append(f"<section><h2>{escape(section.title)}</h2>")
        parts += [_html_block(block) for block in section.blocks]
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def markdown(report: Report, folder: Path) -> str:
    """The same in Markdown; pictures are linked relative to `folder`."""
    parts = [f"# {_escaped(report.title)}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        parts += [_markdown_block(block, folder) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _html_block(block: Paragraph | Code | Table | SavedFigure) -> str:
    if isinstance(block, Paragraph):
        text = (f"<b>{escape(block.lead)}</b> " if block.lead else "") + escape(block.text)
        return f"<p><strong>{text}</strong></p>" if block.strong else f"<p>{text}</p>"
    if isinstance(block, Code):
        return f"<pre>{escape(block.text)}</pre>"
    if isinstance(block, Table):
        return _html_table(block)
    picture = base64.b64encode(block.paths["png"].read_bytes()).decode()
    return (
        f'<figure><img alt="{escape(block.title)}" src="data:image/png;base64,{picture}">'
        f"<figcaption>{escape(block.title)}. {escape(block.caption)}</figcaption></figure>"
    )


def _html_table(table: Table) -> str:
    parts = [f"<h3>{escape(table.title)}</h3>"]
    for heading, frame, right in table.blocks:
        parts += [f"<h4>{escape(heading)}</h4>"] if heading else []
        labels = [label if isinstance(label, tuple) else ("", str(label)) for label in frame.columns]
        aligned = [' class="right"' if label in right else "" for label in frame.columns]
        head = "".join(f"<th{side}>{escape(text)}</th>" for side, (_, text) in zip(aligned, labels, strict=True))
        rows = [_html_row([frame.iloc[row, i] for i in range(len(labels))], aligned) for row in range(len(frame))]
        body = "\n".join(rows)
        heads = f"{_html_groups([group for group, _ in labels])}<tr>{head}</tr>"
        parts.append(f'<div class="wide"><table><thead>{heads}</thead><tbody>\n{body}\n</tbody></table></div>')
    parts += [f'<p class="note">{escape(note)}</p>' for note in table.notes]
    return "\n".join(parts)


def _html_groups(groups: list[str]) -> str:
    """A row of headings, each over the columns of its group; "" where no column has one."""
    if not any(groups):
        return ""
    runs = [(group, len(list(run))) for group, run in itertools.groupby(groups)]
    cells = (f'<th class="group" colspan="{width}">{escape(group)}</th>' for group, width in runs)
    return f"<tr>{''.join(cells)}</tr>"


def _html_row(values: list[Any], aligned: list[str]) -> str:
    cells = []
    for value, side in zip(values, aligned, strict=True):
        text = formats.MISSING if pd.isna(value) else str(value)
        kind = side or (' class="long"' if len(text) > _LONG_CELL else "")
        cells.append(f"<td{kind}>{escape(text)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _markdown_block(block: Paragraph | Code | Table | SavedFigure, folder: Path) -> str:
    if isinstance(block, Paragraph):
        lead = f"**{_escaped(block.lead)}** " if block.lead else ""
        text = _escaped(block.text)
        return f"**{text}**" if block.strong else lead + text
    if isinstance(block, Code):
        return "```sh\n{}\n```".format(block.text.replace("```", "'''"))
    if isinstance(block, Table):
        return block.markdown().strip()
    title, caption = _escaped(block.title), _escaped(block.caption)
    return f"![{title}]({block.paths['png'].relative_to(folder).as_posix()})\n\n*{title}.* {caption}"


def _escaped(text: str) -> str:
    """`text`, which may be a stranger's, as one line of Markdown."""
    return formats.markdown_escape(formats.printable(text))
