"""The style of all figures: distinguishable by colour-blind readers, and never by colour alone.

Colours are those of Okabe and Ito (2008), "Color Universal Design", and for ten classes Paul Tol's "muted" scheme
(2021, "Introduction to colour schemes") with black. Each goes with a marker and a line style of its own.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from numpy.typing import ArrayLike, NDArray

from tivae.registry import MODELS

BLACK, GREY = "#000000", "#767676"
ORANGE, SKY_BLUE, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

# Inches: the text width of a journal page.
FULL_WIDTH = 7.2
TITLE_SIZE = 8.5
# Letters of a line of a row's label.
LABEL_WIDTH = 44
# Of PNG files: 300 dots per printed inch is what journals ask for.
DOTS_PER_INCH = 300

SETTINGS: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "patch.linewidth": 0.6,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "figure.dpi": 100,
    "savefig.dpi": DOTS_PER_INCH,
    "pdf.fonttype": 42,  # text stays text: journals refuse the default, Type 3
    "svg.fonttype": "path",  # the same letters where the font is missing
    "svg.hashsalt": "tivae",  # the same file for the same figure
}


@dataclass(frozen=True)
class Mark:
    """How one series is drawn; no two of a family share colour, marker or line style."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[float, ...]]

    def points(self, *, hollow: bool = False) -> dict[str, Any]:
        """Arguments for `Axes.plot` that draw markers without a line."""
        face = "white" if hollow else self.colour
        return {"color": self.colour, "marker": self.marker, "linestyle": "none", "markerfacecolor": face}

    def lines(self) -> dict[str, Any]:
        """Arguments for `Axes.plot` that draw a line with markers."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


TEST_SET_MARKS = {
    "base": Mark(BLUE, "o", "-"),
    "augmented": Mark(VERMILLION, "s", (0, (4, 1.5))),
}

# The dots of single seeds, beside their mean.
SEED_MARK: Mapping[str, Any] = {
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 3,
    "markeredgewidth": 0.6,
    "linestyle": "none",
    "zorder": 4,
}

# Other colours than the test sets', so that a colour means one thing in all figures.
MODEL_MARKS = {
    "vae": Mark(GREEN, "^", "-"),
    "categorical_vae": Mark(PURPLE, "D", (0, (4, 1.5))),
    "autoencoder": Mark(ORANGE, "v", (0, (1, 1))),
    "pixels": Mark(BLACK, "P", (0, (6, 2))),
    "pca": Mark(GREY, "X", (0, (3, 1, 1, 1))),
    "untrained": Mark(SKY_BLUE, "*", (0, (3, 1, 1, 1, 1, 1))),
}

# Also without their lines none is that of a model above.
_NUMBERED_MARKS = (
    Mark(BLUE, "o", "-"),
    Mark(VERMILLION, "s", (0, (4, 1.5))),
    Mark(GREEN, "<", (0, (1, 1))),
    Mark(PURPLE, ">", (0, (3, 1, 1, 1))),
    Mark(BLACK, "v", (0, (6, 2))),
    Mark(ORANGE, "P", (0, (3, 1, 1, 1, 1, 1))),
    Mark(SKY_BLUE, "X", (0, (8, 1.5))),
    Mark(GREY, "*", (0, (1, 2))),
)

# By label; after ten classes they repeat, each with the next of the markers.
CLASS_COLOURS = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933"),
    *("#DDCC77", "#CC6677", "#882255", "#AA4499", "#000000"),
)
CLASS_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "<", ">")


def class_points(label: int) -> dict[str, Any]:
    """Arguments that draw the points of a class; no two of the first hundred are alike."""
    turn = label // len(CLASS_COLOURS)
    marker = CLASS_MARKERS[(label + turn) % len(CLASS_MARKERS)]
    return {"color": CLASS_COLOURS[label % len(CLASS_COLOURS)], "marker": marker}


def model_mark(model: str) -> Mark:
    """The mark of a model, the same in all sweeps and fronts: its own, or else that of a numbered series."""
    others = [name for name in MODELS.names if name not in MODEL_MARKS]
    number = others.index(model) if model in others else zlib.crc32(model.encode())
    return MODEL_MARKS.get(model) or numbered_mark(number)


def numbered_mark(number: int) -> Mark:
    """The mark of series `number`, from 0, of a family without fixed marks; repeats after eight."""
    return _NUMBERED_MARKS[number % len(_NUMBERED_MARKS)]


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """A block in which figures are drawn and saved in this style; restores matplotlib's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(dict[Any, Any](SETTINGS))
        yield


def new_figure(height: float, width: float = FULL_WIDTH) -> Figure:
    """A figure of `width` x `height` inches, laid out so that nothing overlaps; unknown to pyplot."""
    return Figure(figsize=(width, height), layout="constrained")


def letter_panels(axes: list[Axes]) -> None:
    """Adds (a), (b), ... to the left titles of the panels of one figure; a single panel stays as it is."""
    if len(axes) > 1:
        for number, ax in enumerate(axes):
            ax.set_title(f"({chr(ord('a') + number % 26)})", loc="left", fontweight="bold")


def whiskers(middle: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Lengths (2, N) of intervals below and above `middle`, as `Axes.errorbar` takes them; 0 where there is none."""
    middle, low, high = (np.asarray(values, dtype=np.float64) for values in (middle, low, high))
    return np.asarray(np.nan_to_num(np.clip([middle - low, high - middle], 0, None)), dtype=np.float64)


def seed_values(texts: Iterable[str]) -> Iterator[tuple[int, list[float]]]:
    """Position and values of each point of several seeds, from a column that has the seeds of a point as one text."""
    for position, text in enumerate(texts):
        values = [float(value) for value in text.split()]
        if len(values) > 1:
            yield position, values


def in_lines(label: str) -> str:
    """A row's label in lines that leave most of the figure to the data, broken after commas where that is possible."""
    lines = [""]
    for part in label.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        lines[-1:] = [longer] if len(longer) <= LABEL_WIDTH or not lines[-1] else [f"{lines[-1]},", part]
    return "\n".join(lines)


def label_rows(
    ax: Axes, labels: Sequence[str], groups: Sequence[object], heights: Sequence[float] | None = None
) -> list[float]:
    """A labelled row for each of `labels`, from the top, with lines between them: darker between `groups`.

    heights: of the rows; by default 1 each. Gives the middle of each row, from 0 on where they are so.
    """
    ends = np.cumsum(np.ones(len(labels)) if heights is None else heights) - 0.5
    starts = np.concatenate([[-0.5], ends[:-1]])
    middles = [float(middle) for middle in (starts + ends) / 2]
    ax.set_yticks(middles, [in_lines(label) for label in labels])
    ax.set_ylim(ends[-1] if len(ends) else -0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    for row in range(1, len(labels)):
        colour, width = (GREY, 0.8) if groups[row] != groups[row - 1] else ("#DDDDDD", 0.5)
        ax.axhline(starts[row], color=colour, linewidth=width, zorder=0)
    return middles


def row_heights(labels: Iterable[str], inches: float) -> list[float]:
    """The heights, in rows of `inches`, that leave each label its lines; at least 1."""
    return [max(1.0, (0.13 * (in_lines(label).count("\n") + 1) + 0.08) / inches) for label in labels]


def legend_above(figure: Figure, axes: Iterable[Axes], order: Sequence[str] = (), columns: int | None = None) -> None:
    """One legend for all series of the axes, those of `order` first, in `columns` or else in one row."""
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = list(dict.fromkeys([*filter(entries.__contains__, order), *entries]))
    figure.legend([entries[name] for name in names], names, loc="outside upper center", ncols=columns or len(names))


def shows_images(figure: Figure) -> bool:
    """Whether it shows images in grey: their colours must not be inverted on a dark page, as those of a plot may."""
    return any(image.get_cmap().name == "gray" for ax in figure.axes for image in ax.images)


def darken(figure: Figure) -> None:
    """Makes a figure of images fit a dark page: light text, and nothing behind and between the images."""
    for text in figure.findobj(Text):
        text.set_color("#DDDDDD")
    for image in (image for ax in figure.axes for image in ax.images):
        image.set_cmap(image.get_cmap().with_extremes(bad="none"))


def write_title(figure: Figure, title: str) -> None:
    """Writes the title into the figure, so that the picture says what it is wherever it is shown."""
    # Above the legend there where it is at the top: a title of its own would lie on it.
    above = [legend for legend in figure.legends if getattr(legend, "_outside_loc", None) == "upper"]
    if above:
        above[0].set_title(title, prop=FontProperties(size=TITLE_SIZE, weight="bold"))
    else:
        figure.suptitle(title, fontsize=TITLE_SIZE, fontweight="bold")


QUICK_MARK = "; quick run: not meaningful"
