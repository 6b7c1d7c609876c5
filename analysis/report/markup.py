"""A report as one self-contained HTML page, or as Markdown."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from analysis import formats
from analysis.figures import SavedFigure
from analysis.formats import Table
from analysis.report.content import Answers, Block, Code, Paragraph, Report, Section
from analysis.tables import StudyTable

_PAGE = Path(__file__).with_name("page")
_SCRIPTS = ("vendor/echarts.min.js", "vendor/tabulator.min.js", "page.js")
_PROGRESS = (
    '<div id="progress" aria-live="polite"></div><p id="stale" class="bad" hidden>The server does not answer.</p>'
)
_EXPLORER = """<section id="explore" aria-labelledby="explore-title"><h2 id="explore-title">Explore the trials</h2>
{progress}<noscript><p>This part needs JavaScript; all trials are listed below.</p></noscript>
<p>Filter the columns, or drag along an axis of the parallel coordinates; a click on a row, a point or a line shows a
trial.</p>
<div class="controls"><span id="count" role="status"></span><button type="button" id="reset">All trials</button></div>
<div id="table"></div><article id="trial" aria-labelledby="trial-title" hidden></article>
<div id="charts"><div class="controls"><label>Across <select id="x"></select></label>
<label>Up <select id="y"></select></label> <label>Colour <select id="colour"></select></label></div>
<div class="charts"><div id="scatter" class="chart" role="img" aria-label="Scatter of the trials"></div>
<div id="parallel" class="chart" role="img" aria-label="Parallel coordinates of the trials"></div></div></div>
</section>"""

# Pixels across, and colours, of an embedded picture.
PICTURE_WIDTH, PICTURE_COLOURS = 1600, 128
# Cells longer than this get room to wrap in.
_LONG_CELL = 30


def html(report: Report, explored: Mapping[str, Any] | None = None, *, live: bool = False) -> str:
    """A page that loads nothing: pictures and scripts are embedded. All text is escaped.

    explored: what `explore.content` gives, for the part that one explores; live: the page asks its server for news.
    """
    inline = "'unsafe-inline'"
    policy = f"default-src 'none'; img-src data:; style-src {inline}; script-src {inline}; connect-src "
    policy += "'self'" if live else "'none'"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title>",
        f"<style>{asset('vendor/tabulator.min.css')}{asset('page.css')}</style></head>",
        f'<body{" data-live=1" if live else ""}><a class="skip" href="#content">Skip to the content</a>',
        f"<header><h1>{escape(report.title)}</h1>{_contents(report, explored is not None)}</header>",
        '<main id="content">',
    ]
    for number, section in enumerate(report.sections):
        parts.append(_html_section(section))
        if explored is not None and number == 0:
            parts.append(_EXPLORER.format(progress=_PROGRESS if live else ""))
    parts.append("</main>")
    if explored is not None:
        data = json.dumps(explored, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        parts.append(f'<script type="application/json" id="data">{data}</script>')
        parts += [f"<script>{asset(name)}</script>" for name in _SCRIPTS]
    parts.append("<footer><p class=files>Tables and figures link the files beside this page.</p></footer>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


@functools.cache
def asset(name: str) -> str:
    """A file of the page, to be inlined."""
    text = (_PAGE / name).read_text(encoding="utf-8")
    # A browser's tools would ask for the map.
    return re.sub(r"(//#|/\*#) sourceMappingURL=\S+( \*/)?", "", text)


def anchor(title: str) -> str:
    """The id of the section with this title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _contents(report: Report, is_explored: bool) -> str:
    titles = [(anchor(section.title), section.title) for section in report.sections]
    if is_explored:
        titles.insert(1, ("explore", "Explore the trials"))
    items = "".join(f'<li><a href="#{place}">{escape(title)}</a></li>' for place, title in titles)
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _html_section(section: Section) -> str:
    place = anchor(section.title)
    blocks = "\n".join(_html_block(block) for block in section.blocks)
    if section.beside is not None:
        blocks = f'<div class="beside"><div>{blocks}</div>{_html_block(section.beside)}</div>'
    if section.is_folded:
        blocks = f"<details><summary>Show</summary>{blocks}</details>"
    return (
        f'<section id="{place}" data-static aria-labelledby="{place}-title"><h2 id="{place}-title">'
        f"{escape(section.title)}</h2>\n{blocks}</section>"
    )


def markdown(report: Report, folder: Path) -> str:
    """The same in Markdown; pictures are linked relative to `folder`."""
    parts = [f"# {_escaped(report.title)}"]
    for section in report.sections:
        parts.append(f"## {section.title}")
        shown = [*section.blocks, *([section.beside] if section.beside is not None else [])]
        parts += [_markdown_block(block, folder) for block in shown]
    return "\n\n".join(parts) + "\n"


def _html_block(block: Block) -> str:
    if isinstance(block, Paragraph):
        text = (f"<b>{escape(block.lead)}</b> " if block.lead else "") + escape(block.text)
        return f"<p><strong>{text}</strong></p>" if block.strong else f"<p>{text}</p>"
    if isinstance(block, Code):
        return f"<pre>{escape(block.text)}</pre>"
    if isinstance(block, Table):
        return _html_table(block)
    if isinstance(block, StudyTable):
        return _html_table(block.table) + _links({"csv": f"tables/{block.name}.csv", "tex": f"tables/{block.name}.tex"})
    if isinstance(block, Answers):
        items = "".join(f"<dt>{escape(lead)}</dt><dd>{escape(text)}</dd>" for lead, text in block.sentences)
        return f'<p class="question">{escape(block.question)}</p><dl class="answers">{items}</dl>'
    return _html_figure(block)


def _html_figure(figure: SavedFigure) -> str:
    picture = f'<img alt="{escape(figure.alt)}" src="{_embedded(figure.paths["png"])}">'
    if "dark" in figure.paths:
        dark = f'<source media="(prefers-color-scheme: dark) and screen" srcset="{_embedded(figure.paths["dark"])}">'
        picture = f"<picture>{dark}{picture}</picture>"
    files = {**figure.paths, "csv": figure.data_path}
    links = _links({name: f"figures/{files[name].name}" for name in files if name in ("pdf", "svg", "csv")})
    caption = f"<b>{escape(figure.title)}.</b> {escape(figure.caption)}"
    start = f'<figure class="{"images" if "dark" in figure.paths else "plot"}" id="{anchor(figure.name)}">'
    return f"{start}{picture}<figcaption>{caption} {links}</figcaption></figure>"


def _embedded(path: Path) -> str:
    """The picture at the size of a page, with few colours: a tenth of the file for print."""
    with Image.open(path) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((PICTURE_WIDTH, 4 * PICTURE_WIDTH))
    buffer = io.BytesIO()
    small.quantize(PICTURE_COLOURS, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _links(files: Mapping[str, str]) -> str:
    named = ", ".join(f'<a href="{escape(place)}">{name.upper()}</a>' for name, place in files.items())
    return f'<span class="files">{named}</span>' if files else ""


def _html_table(table: Table) -> str:
    parts = []
    for heading, frame, right in table.blocks:
        title = ": ".join(filter(None, [table.title, heading]))
        labels = [label if isinstance(label, tuple) else ("", str(label)) for label in frame.columns]
        aligned = [' class="right"' if label in right else "" for label in frame.columns]
        head = "".join(
            f'<th scope="col"{side}>{escape(text)}</th>' for side, (_, text) in zip(aligned, labels, strict=True)
        )
        rows = [_html_row([frame.iloc[row, i] for i in range(len(labels))], aligned) for row in range(len(frame))]
        body = "\n".join(rows)
        heads = f"{_html_groups([group for group, _ in labels])}<tr>{head}</tr>"
        region = f'class="wide" tabindex="0" role="region" aria-label="{escape(title)}"'
        parts.append(
            f"<div {region}><table><caption>{escape(title)}</caption><thead>{heads}</thead><tbody>\n{body}\n</tbody>"
            "</table></div>"
        )
    parts += [f'<p class="note">{escape(note)}</p>' for note in table.notes]
    return "\n".join(parts)


def _html_groups(groups: list[str]) -> str:
    """A row of headings, each over the columns of its group; "" where no column has one."""
    if not any(groups):
        return ""
    runs = [(group, len(list(run))) for group, run in itertools.groupby(groups)]
    cells = (f'<th class="group" scope="colgroup" colspan="{width}">{escape(group)}</th>' for group, width in runs)
    return f"<tr>{''.join(cells)}</tr>"


def _html_row(values: list[Any], aligned: list[str]) -> str:
    cells = []
    for value, side in zip(values, aligned, strict=True):
        text = formats.MISSING if pd.isna(value) else str(value)
        style = side or (' class="long"' if len(text) > _LONG_CELL else "")
        cells.append(f"<td{style}>{escape(text)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _markdown_block(block: Block, folder: Path) -> str:
    if isinstance(block, Paragraph):
        lead = f"**{_escaped(block.lead)}** " if block.lead else ""
        text = _escaped(block.text)
        return f"**{text}**" if block.strong else lead + text
    if isinstance(block, Code):
        return "```sh\n{}\n```".format(block.text.replace("```", "'''"))
    if isinstance(block, Table | StudyTable):
        return (block if isinstance(block, Table) else block.table).markdown().strip()
    if isinstance(block, Answers):
        lines = [f"- **{_escaped(lead)}**: {_escaped(text)}" for lead, text in block.sentences]
        return "\n".join([f"*{_escaped(block.question)}*\n" if block.question else "", *lines]).strip()
    title, caption = _escaped(block.title), _escaped(block.caption)
    return f"![{title}]({block.paths['png'].relative_to(folder).as_posix()})\n\n*{title}.* {caption}"


def _escaped(text: str) -> str:
    """`text`, which may be a stranger's, as one line of Markdown."""
    return formats.markdown_escape(formats.printable(text))
