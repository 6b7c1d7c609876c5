"""What goes into the STN and comes out, and how far both are from the base image."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing.known_warps import KNOWN_WARPS
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import stn_images
from tests.small import STANDARD
from tivae.config import TrialConfig
from tivae.models.stn import LearntTransformer, freeze

CONFIG = TrialConfig(stn="pretrained")


@pytest.fixture(scope="module")
def identity():
    """An STN that was not trained yet: it returns what goes in."""
    return freeze(LearntTransformer(CONFIG))


class Blank(LearntTransformer):
    """Paints everything black."""

    def forward(self, images):
        return images * 0 + STANDARD.outside("black")


def test_an_identity_stn_puts_out_what_goes_in(images, identity):
    frame = stn_images.numbers(images, CONFIG, identity)
    rows = {name: grids.pixels_of(part).astype(int) for name, part in frame.groupby("row")}

    assert {name: len(shown) for name, shown in rows.items()} == {"base": 10, "input": 10, "output": 10}
    assert np.array_equal(rows["base"], images.test_images[:10])
    assert np.abs(rows["output"] - rows["input"]).max() <= 1  # a rounding apart
    assert not np.array_equal(rows["input"], rows["base"])


def test_the_stn_is_really_used(images):
    frame = stn_images.numbers(images, CONFIG, Blank(CONFIG))

    assert grids.pixels_of(frame[frame["row"] == "output"]).max() == 0


def test_known_warps_hold_every_kind_and_amount(images, identity):
    frame = stn_images.known_warp_numbers(images, CONFIG, identity, image=3)

    assert len(frame) == 2 * sum(len(warp.amounts) for warp in KNOWN_WARPS)
    unwarped = frame[(frame["row"] == "input") & (frame["warp"] == "shift_x") & (frame["amount"] == 0)]
    assert np.array_equal(grids.pixels_of(unwarped)[0], images.test_images[3])


def test_an_identity_stn_repairs_nothing(images, identity):
    frame = stn_images.error_numbers(images, CONFIG, identity)
    errors = frame.pivot_table(index=["warp", "amount"], columns="row", values="error")

    assert np.allclose(errors["input"], errors["output"], rtol=1e-3, atol=1e-6)
    assert (frame["images"] == 100).all()


def test_the_error_grows_with_the_warp(images, identity):
    frame = stn_images.error_numbers(images, CONFIG, identity)
    shifts = frame[(frame["warp"] == "shift_x") & (frame["row"] == "input") & (frame["amount"] >= 0)]

    assert shifts["error"].iloc[0] == pytest.approx(0, abs=1e-9)
    # Beyond that the picture leaves the frame, and what is left of it may fit by chance.
    assert shifts["error"].iloc[:5].is_monotonic_increasing
    assert (shifts["low"] <= shifts["error"]).all()
    assert (shifts["error"] <= shifts["high"]).all()


def test_the_errors_interval_is_over_images(images):
    """A black output: its error is each image's own mean square, whatever the warp."""
    frame = stn_images.error_numbers(images, CONFIG, Blank(CONFIG), count=40)
    own = ((images.test_images[:40] / 255 / 0.3530) ** 2).mean(axis=(1, 2))
    row = frame[frame["row"] == "output"].iloc[0]

    assert row["error"] == pytest.approx(own.mean(), rel=1e-5)
    # Student's t, 39 degrees of freedom.
    assert row["high"] - row["error"] == pytest.approx(2.0227 * own.std(ddof=1) / np.sqrt(40), rel=1e-3)


def test_the_error_is_drawn_with_its_intervals_and_the_trained_range(images, identity):
    frame = stn_images.error_numbers(images, CONFIG, identity, count=20)
    ax = stn_images.draw_error(Figure().subplots(), frame, KNOWN_WARPS[0], CONFIG)

    assert list(ax.get_legend_handles_labels()[1]) == [*("range of the augmentation", "STN input", "STN output")]
    assert len(ax.containers) == 2
    assert ax.get_xlabel() == "Rotation (degrees)"


def test_a_study_gives_three_figures(study, images):
    drawn = stn_images.drawn(Sources(study, images))

    assert [figure.name for figure in drawn] == ["stn_images", "stn_known_warps", "stn_error"]


@pytest.mark.parametrize(
    ("config", "is_target"),
    [
        (CONFIG, True),
        (TrialConfig(stn="joint"), True),
        (TrialConfig(stn="joint", alignment_weight=0), False),
        (TrialConfig(stn="inverse"), False),
    ],
)
def test_the_base_image_is_a_target_where_one_was_trained_to_restore_it(
    study, images, identity, monkeypatch, config, is_target
):
    monkeypatch.setattr(stn_images, "_loaded", lambda trial: (config, identity))
    drawn = stn_images.drawn(Sources(study, images))[0]
    assert ("trained to restore" in drawn.caption) == is_target
    assert ("(target)" in drawn.figure.axes[0].get_yticklabels()[0].get_text()) == is_target


def test_a_study_without_stn_is_skipped(study, images):
    with pytest.raises(NotSupported, match="no finished trial has a spatial transformer"):
        stn_images.drawn(Sources(study.where(stn="none"), images))
