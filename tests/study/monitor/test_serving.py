"""The live page: what the server answers, to whom, and that it follows a study."""

import contextlib
import http.client
import json
import threading
from types import SimpleNamespace

import pytest

from study.monitor import serving
from study.monitor.serving import LivePage
from tests.analysis.synthetic import grid, record, write_record, write_study
from tests.browser import launched, needed
from tests.waiting import HANG_SECONDS
from tivae.config import TrialConfig

STATUS = {"state": "running on here", "trials": 3, "finished": 1, "failed": 0, "pruned": 0, "waiting": 1, "running": []}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(serving, "INTERVAL", 0.0)
    monkeypatch.setattr(serving, "SHARE", 0.0)


@contextlib.contextmanager
def _served(results, status):
    """The port at which a study is served."""
    running = serving.server(LivePage(results, lambda: status), 0)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture
def ask(tmp_path):
    """Asks the server of a study for a path; gives the answer's status and text."""
    with _served(tmp_path / "grid", STATUS | {"left": "1 to 2 min"}) as port:

        def ask(path, host=f"127.0.0.1:{port}", method="GET"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
            connection.request(method, path, headers={"Host": host})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, text

        yield ask


def test_only_this_machine_is_served(ask, tmp_path):
    running = serving.server(LivePage(tmp_path, lambda: None), 0)
    assert running.server_address[0] == "127.0.0.1"
    running.server_close()
    write_study(tmp_path / "grid", grid()[:1])
    assert ask("/")[0] == 200
    assert ask("/", host="localhost:1")[0] == 200
    assert ask("/", host="a.stranger.example:80")[0] == 403
    assert ask("/data.json", host="127.0.0.1.example:80")[0] == 403


def test_no_file_is_served_and_nothing_is_written(ask, tmp_path):
    write_study(tmp_path / "grid", grid()[:1])
    for path in ("/trials.csv", "/../grid/trials", "/%2e%2e/etc/passwd", "/trials"):
        assert ask(path)[0] == 404
    assert ask("/", method="POST")[0] == 501
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["trials"]


def test_a_port_that_is_taken_is_another(tmp_path):
    page = LivePage(tmp_path, lambda: None)
    with serving.server(page, 0) as first, serving.server(page, first.server_port) as second:
        assert first.server_port != second.server_port


def test_before_the_first_trial_the_page_waits(ask, tmp_path):
    (tmp_path / "grid").mkdir()
    status, text = ask("/")
    assert status == 200
    assert "Waiting for the first trial" in text


def test_the_page_follows_the_study(ask, tmp_path):
    first, second = grid()[:2]
    write_study(tmp_path / "grid", [first])
    before = json.loads(ask("/data.json")[1])
    assert before["columns"]["key"] == [first.key]
    assert before["status"]["left"] == "1 to 2 min"
    assert f'"{before["version"]}"' in ask("/")[1]
    assert json.loads(ask("/data.json")[1])["version"] == before["version"]
    write_study(tmp_path / "grid", [second])
    after = json.loads(ask("/data.json")[1])
    assert set(after["columns"]["key"]) == {first.key, second.key}
    assert after["version"] != before["version"]
    assert second.key in ask("/page.html")[1]


def test_the_records_are_not_read_too_often(tmp_path, monkeypatch):
    results = write_study(tmp_path / "grid", grid()[:1])
    load, read, now = serving.analysis.load, [], [0.0]

    def counted(*given, **named):
        read.append(now[0])
        return load(*given, **named)

    monkeypatch.setattr(serving, "INTERVAL", 2.0)
    monkeypatch.setattr(serving, "analysis", SimpleNamespace(load=counted))
    monkeypatch.setattr(serving, "time", SimpleNamespace(monotonic=lambda: now[0]))
    page = LivePage(results, lambda: None)
    for now[0] in (0.0, 1.9, 2.0):
        page.data()
    assert read == [0.0, 2.0]


def test_a_failed_trial_is_there_with_its_reason(ask, tmp_path):
    write_record(tmp_path / "grid", record(TrialConfig(), "failed", "</script><b>"))
    status, text = ask("/")
    assert status == 200
    assert "</script><b>" not in text
    assert json.loads(ask("/data.json")[1])["columns"]["error"] == ["</script><b>"]


@contextlib.contextmanager
def _opened(results, status=STATUS):
    """The live page of a study in a browser; what goes wrong and what it asks for are collected on it."""
    driver = pytest.importorskip("playwright.sync_api")
    with _served(results, status) as port, launched() as browser:
        page = browser.new_page()
        page.set_default_timeout(1000 * HANG_SECONDS)
        page.wrong, page.asked = [], []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        yield page, driver.expect
    assert page.wrong == []
    assert {url.split("/")[2] for url in page.asked} == {f"127.0.0.1:{port}"}


@needed
def test_a_browser_shows_what_has_ended_since(tmp_path):
    results = write_study(tmp_path / "grid", grid()[:3])
    job = {"key": "abc", "label": "base vae <b>10</b>", "device": "cpu", "epochs": 20, "row": {"epoch": 5}}
    with _opened(results, STATUS | {"running": [job], "left": "1 to 2 min"}) as (page, expect):
        expect(page.locator("#count")).to_have_text("3 of 3 trials")
        expect(page.locator("#progress")).to_contain_text("1 of 3 trials done, 1 running, 1 waiting, 1 to 2 min left")
        expect(page.locator("#progress")).to_contain_text("base vae <b>10</b>: epoch 5 of 20")
        write_study(results, grid()[3:5])
        expect(page.locator("#count")).to_have_text("5 of 5 trials")
        expect(page.locator("#in-short")).to_contain_text("5 trials: 5 finished")


@needed
def test_a_page_opened_before_the_first_result_gets_its_columns_charts_and_sections(tmp_path):
    write_record(tmp_path / "grid", record(TrialConfig(), "failed", "why"))
    with _opened(tmp_path / "grid") as (page, expect):
        expect(page.locator("#count")).to_have_text("1 of 1 trials")
        expect(page.locator("#charts")).to_be_hidden()
        page.locator("#trials-and-how-to-run-each-again summary").click()
        write_study(tmp_path / "grid", grid()[1:])
        expect(page.locator("#count")).to_have_text(f"{len(grid())} of {len(grid())} trials")
        shown = page.locator('#table .tabulator-cell[tabulator-field="augmented_accuracy"]').all_inner_texts()
        assert shown[:3] == sorted(shown[:3], key=float, reverse=True)
        expect(page.locator("#y")).to_have_value("augmented_accuracy")
        expect(page.locator("#charts")).to_be_visible()
        expect(page.locator("nav")).to_contain_text("Table 1")
        order = page.locator("main > section").evaluate_all("(all) => all.map((one) => one.id)")
        assert order[:2] == ["in-short", "explore"]
        assert order.index("table-1") < order.index("what-was-run")
        # The files are beside a report alone, and what was open stays so.
        expect(page.locator("#table-1 .files").first).to_be_hidden()
        expect(page.locator("#trials-and-how-to-run-each-again details")).to_have_attribute("open", "")
