"""The page in a real browser: what one can do with it, how fast, and that nothing leaves it."""

import contextlib
import hashlib
import re
from pathlib import Path

import pytest

import analysis.report
from analysis.report import write
from tests.analysis.synthetic import grid, record, write_record, write_study
from tests.browser import launched, needed
from tests.waiting import HANG_SECONDS, slowness
from tivae.config import TrialConfig

driver = pytest.importorskip("playwright.sync_api")
pytestmark = needed

PUBLISHED = Path(analysis.__file__).with_name("published")
VENDOR = Path(analysis.report.__file__).with_name("page") / "vendor"
HOSTILE = "<img src=x onerror=\"document.title='hit'\"></script><script>document.title='hit'</script>"
ROWS = "#table .tabulator-row"


@pytest.fixture(scope="module")
def browser():
    with launched() as running:
        yield running


@pytest.fixture
def show(browser):
    """Opens a page; what it asked for and what went wrong are collected on it."""
    contexts = []

    def show(path, anchor="", **options):
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * HANG_SECONDS)
        page.asked, page.wrong = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri() + anchor)
        page.wait_for_selector("body[data-ready]")
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def grid_page(tmp_path_factory):
    return write(write_study(tmp_path_factory.mktemp("study") / "grid", grid(seeds=2)), figures=False)


def column(page, name):
    """The texts of a column of the trial table, from above."""
    return page.locator(f'{ROWS} .tabulator-cell[tabulator-field="{name}"]').all_inner_texts()


def fill(page, name, text):
    page.locator(f'#table .tabulator-col[tabulator-field="{name}"] input').press_sequentially(text)


def test_nothing_leaves_the_page_and_nothing_goes_wrong(grid_page, show):
    page = show(grid_page)
    page.locator(ROWS).first.click()
    assert [url for url in page.asked if not url.startswith(("data:", "blob:"))] == [grid_page.as_uri()]
    assert page.wrong == []
    refused = page.evaluate("fetch('https://example.org/').then(() => 'sent', (error) => 'refused')")
    assert refused == "refused"


def test_the_table_sorts_by_a_column(grid_page, show):
    page = show(grid_page)
    shown = [float(text) for text in column(page, "augmented_accuracy")]
    assert shown == sorted(shown, reverse=True)
    page.locator('#table .tabulator-col[tabulator-field="base_accuracy"] .tabulator-col-title').press("Enter")
    shown = [float(text) for text in column(page, "base_accuracy")]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) > 5


@pytest.mark.parametrize(
    ("name", "wanted", "fits"),
    [
        ("model", "categ", lambda text: text == "categorical_vae"),
        ("augmented_accuracy", ">70", lambda text: float(text) > 70),
        ("augmented_accuracy", "60..70", lambda text: 60 <= float(text) <= 70),
        ("seed", "1", lambda text: text == "1"),
    ],
)
def test_a_filter_keeps_what_fits_it_in_table_and_charts(grid_page, show, name, wanted, fits):
    page = show(grid_page)
    fill(page, name, wanted)
    driver.expect(page.locator("#count")).not_to_have_text("16 of 16 trials")
    shown = column(page, name)
    assert shown
    assert all(map(fits, shown))
    count = page.locator("#count").inner_text()
    assert count == f"{len(shown)} of 16 trials"
    opaque = "charts.scatter.getOption().series.flatMap((s) => s.data).filter((p) => p.itemStyle.opacity > .5).length"
    assert page.evaluate(opaque) == len(shown)
    assert page.evaluate("charts.parallel.getOption().series[0].data.length") == len(shown)
    page.locator("#reset").click()
    assert page.locator("#count").inner_text() == "16 of 16 trials"


def test_of_many_values_the_last_share_a_colour_and_a_whole_number_is_that_number(tmp_path, show):
    sizes = [TrialConfig(latent_dim=size, epochs=1) for size in range(1, 11)]
    page = show(write(write_study(tmp_path / "sizes", sizes), figures=False))
    page.locator("#colour").select_option("latent_dim")
    series = page.evaluate("charts.scatter.getOption().series.map((s) => [s.name, s.data.length])")
    assert [count for _, count in series] == [1] * 6 + [4]
    assert series[-1][0] == "others"
    fill(page, "latent_dim", "1")
    driver.expect(page.locator("#count")).to_have_text("1 of 10 trials")


def test_a_range_on_an_axis_keeps_its_trials_in_the_table(grid_page, show):
    page = show(grid_page)
    axis = page.evaluate("charts.parallel.getOption().parallelAxis.findIndex((a) => a.name.startsWith('augmented'))")
    page.evaluate(
        "(number) => charts.parallel.dispatchAction({type: 'axisAreaSelect', parallelAxisIndex: number, "
        "parallelAxisId: charts.parallel.getModel().getComponent('parallelAxis', number).id, intervals: [[75, 100]]})",
        axis,
    )
    driver.expect(page.locator("#count")).not_to_have_text("16 of 16 trials")
    shown = [float(text) for text in column(page, "augmented_accuracy")]
    assert shown
    assert min(shown) >= 75
    assert max(shown) < 100


def open_row(page, number, *, keyboard=False):
    """Clicks, or presses Enter, on a row of the trial table until its trial is shown: (its key, the trial's panel)."""
    row, trial = page.locator(ROWS).nth(number), page.locator("#trial")
    key = row.locator('.tabulator-cell[tabulator-field="key"]').inner_text()
    # Either is lost if the table is laid out anew between the button's way down and up, or the focus and the key.
    for _ in range(3):
        row.press("Enter") if keyboard else row.click()
        with contextlib.suppress(AssertionError):
            driver.expect(trial.locator("h3")).to_contain_text(key, timeout=5000)
            break
    return key, trial


def test_a_search_is_ranked_by_its_objective_and_what_spans_decades_has_a_logarithmic_axis(tmp_path, show):
    page = show(write(PUBLISHED / "optuna_latent", tmp_path, figures=False))
    shown = [float(text) for text in column(page, "validation_augmented_accuracy")]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) > 5
    assert [page.locator(f"#{name}").input_value() for name in "xy"] == ["latent_dim", "validation_augmented_accuracy"]
    axes = page.evaluate("charts.parallel.getOption().parallelAxis.map((axis) => [axis.name, axis.type])")
    assert ["KL weight", "log"] in axes
    assert ["augmented accuracy (%)", "value"] in axes
    assert page.wrong == []


def test_a_click_shows_a_trial_with_its_command(grid_page, show):
    page = show(grid_page)
    key, trial = open_row(page, 2)
    assert key in trial.locator("h3").inner_text()
    assert f"--name {key}" in trial.locator("#command").inner_text()
    assert trial.locator("#curves canvas").count() == 1
    assert "weighted" not in trial.inner_text()
    assert page.evaluate("location.hash") == f"#trial-{key}"
    assert page.evaluate("document.activeElement.id") == "trial-title"
    trial.get_by_role("button", name="Close").click()
    assert not trial.is_visible()


def test_a_point_of_the_scatter_shows_its_trial_and_marks_its_row(grid_page, show):
    page = show(grid_page)
    place = page.evaluate(
        "(() => { const s = charts.scatter.getOption().series[0].data[0];"
        " return [...charts.scatter.convertToPixel({seriesIndex: 0}, s.value), rows[s.number].key]; })()"
    )
    page.locator("#scatter").scroll_into_view_if_needed()
    page.locator("#scatter").click(position={"x": place[0], "y": place[1]})
    assert place[2] in page.locator("#trial h3").inner_text()
    assert page.evaluate("table.getSelectedData().map((row) => row.key)") == [place[2]]


def test_a_trial_is_opened_with_the_keyboard_and_by_its_address(grid_page, show):
    page = show(grid_page)
    key, trial = open_row(page, 1, keyboard=True)
    assert key in trial.locator("h3").inner_text()
    again = show(grid_page, f"#trial-{key}")
    assert key in again.locator("#trial h3").inner_text()


def test_the_command_is_copied(grid_page, show):
    page = show(grid_page, permissions=["clipboard-read", "clipboard-write"])
    open_row(page, 0)
    page.locator("#copy").click()
    driver.expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#command").inner_text()


def test_hostile_texts_are_shown_and_not_run(tmp_path, show):
    results = write_study(tmp_path / "grid", grid())
    failed = record(TrialConfig(seed=9), "failed", HOSTILE)
    failed["provenance"]["device"] = HOSTILE
    write_record(results, failed)
    page = show(write(results, figures=False), f"#trial-{failed['key']}")
    assert HOSTILE in page.locator("#trial").inner_text()
    assert page.title() == "Study grid"
    assert page.wrong == []


def test_a_thousand_trials_are_there_within_a_second(tmp_path, show):
    configs = [TrialConfig(latent_dim=size, seed=seed, epochs=1) for size in range(2, 102, 4) for seed in range(40)]
    metrics = lambda _, draw: {"base_accuracy": draw.random(), "augmented_accuracy": draw.random()}  # noqa: E731
    page = show(write(write_study(tmp_path / "many", configs, metrics), figures=False))
    assert page.locator("#count").inner_text() == "1000 of 1000 trials"
    # Of the processor, which other work may keep busy at the same time.
    seconds = page.evaluate(
        "(() => { const from = performance.now(); makeRows(); drawScatter(); drawParallel();"
        " table.setHeaderFilterValue('augmented_accuracy', '>50'); return (performance.now() - from) / 1000; })()"
    )
    assert seconds < 1 * slowness()
    assert 400 < page.evaluate("table.getDataCount('active')") < 600


@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_needs_no_sideways_scrolling(grid_page, show, width):
    page = show(grid_page)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_landmarks_headings_and_tables_have_names(grid_page, show):
    page = show(grid_page)
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.locator("main section:not([aria-labelledby])").count() == 0
    assert page.locator("main table:not(:has(caption))").count() == 0
    assert page.locator("section[data-static] thead th:not([scope])").count() == 0
    assert page.locator("img:not([alt]), img[alt='']").count() == 0


def test_table_1_is_whole_on_a4(grid_page, show):
    page = show(grid_page)
    page.emulate_media(media="print")
    # 210 mm less margins of 14 mm, at 96 pixels an inch.
    inside = (210 - 2 * 14) / 25.4 * 96
    page.set_viewport_size({"width": int(inside), "height": 1000})
    widths = page.evaluate("[...document.querySelectorAll('#table-1 table')].map((t) => t.scrollWidth)")
    assert widths
    assert max(widths) <= inside


def test_the_libraries_are_those_that_were_released():
    listed = re.findall(r"\| `([\w.]+)` \| .*`([0-9a-f]{64})`", (VENDOR / "README.md").read_text())
    assert {name for name, _ in listed} == {path.name for path in VENDOR.glob("*.min.*")}
    for name, digest in listed:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
