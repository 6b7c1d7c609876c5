"""Counts, time left and how they are shown."""

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from study.jobs import Job
from study.monitor.display import LINE_INTERVAL, Display, live_view, running_table, summary
from study.monitor.progress import Progress, Score, duration, in_words, label
from tests.study.monitor.test_utilisation import Clock
from tivae.config import TrialConfig

TRIALS = [Job("trial", TrialConfig(seed=seed)) for seed in range(4)]
STN = Job("stn", TrialConfig(stn="pretrained"))
# Work of a trial, its readout included, in epochs.
EPOCHS = TRIALS[0].cost / TRIALS[0].epoch_cost


@pytest.fixture
def progress():
    return Progress(TRIALS, slots=2, finished_before=1, clock=Clock())


def _row(epoch, seconds=10.0):
    return {"epoch": epoch, "wall_seconds": seconds, "train_loss": 0.25, "images_per_second": 1234.5}


def _finished(accuracy):
    return {"status": "finished", "error": None, "base_accuracy": 0.8, "augmented_accuracy": accuracy}


def test_trials_of_an_earlier_run_count_as_done(progress):
    assert (progress.trials, progress.finished, progress.waiting) == (5, 1, 4)


def test_jobs_move_from_waiting_to_running_to_done_or_failed(progress):
    for job in TRIALS[:3]:
        progress.start(job, "cpu")
    progress.end(TRIALS[0], _finished(0.7))
    progress.end(TRIALS[1], {"status": "failed", "error": "why"})
    assert (progress.finished, progress.failed, len(progress.running), progress.waiting) == (2, 1, 1, 1)
    assert progress.ended_jobs == 2


def test_an_stn_is_a_job_and_no_trial():
    progress = Progress([STN, TRIALS[0]], slots=1, finished_before=0, clock=Clock())
    progress.start(STN, "cpu")
    progress.end(STN, {"status": "finished", "error": None})
    assert (progress.trials, progress.finished, progress.ended_jobs) == (1, 0, 1)


def test_nothing_is_said_about_the_time_left_before_an_epoch_is_done(progress):
    assert progress.seconds_left() is None


def test_time_left_is_that_of_the_slots_together(progress):
    progress.start(TRIALS[0], "cpu")
    progress.report(TRIALS[0], _row(1))
    # 4 trials, one epoch of which is done, 10 s each, on 2 slots.
    assert progress.seconds_left() == pytest.approx((4 * EPOCHS - 1) * 10 / 2)


def test_time_left_is_at_least_that_of_the_longest_trial(progress):
    for job in TRIALS[:3]:
        progress.start(job, "cpu")
        progress.end(job, _finished(0.7))
    progress.start(TRIALS[3], "cpu")
    progress.report(TRIALS[3], _row(5))
    assert progress.seconds_left() == pytest.approx((EPOCHS - 5) * 10)


def test_the_best_is_by_augmented_accuracy(progress):
    for job, accuracy in zip(TRIALS, (0.6, 0.8, 0.7), strict=False):
        progress.start(job, "cpu")
        progress.end(job, _finished(accuracy))
    assert progress.best == (0.8, TRIALS[1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.4, "0 s"),
        (89, "89 s"),
        (100, "2 min"),
        (3_540, "59 min"),
        (3_600, "1 h 00 min"),
        (5_400, "1 h 30 min"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_labels_tell_cells_apart():
    configs = [TrialConfig(), TrialConfig(model="categorical_vae"), TrialConfig(stn="pretrained"), TrialConfig(seed=3)]
    assert len({label(Job("trial", config)) for config in configs} | {label(STN)}) == 5


def test_labels_name_settings_unlike_the_papers_and_no_others():
    assert label(Job("trial", TrialConfig(epochs=5, train_images=1000))) == "base vae 10, STN none, seed 0"
    config = TrialConfig(model="categorical_vae", kl_weight=0.000948683298051, hidden_widths=(16, 32), seed=2)
    expected = "base categorical_vae 10x10, STN none, hidden_widths 16-32, kl_weight 0.0009487, seed 2"
    assert label(Job("trial", config)) == expected
    config = TrialConfig(model="vicreg", train_dataset="augmented", variance_weight=0.0)
    assert label(Job("trial", config)).endswith("STN none, variance_weight 0, seed 0")
    assert label(Job("trial", TrialConfig(probe="k_nearest"))).endswith("probe k_nearest, seed 0")
    assert "consistency_weight 0.1" in label(Job("trial", TrialConfig(consistency_weight=0.1)))
    assert label(Job("trial", TrialConfig(model="pixels"))) == "pixels, STN none, seed 0"


def test_the_table_has_a_row_for_each_running_job(progress):
    progress.start(TRIALS[0], "cpu")
    progress.start(TRIALS[1], "cuda")
    progress.report(TRIALS[1], _row(7))
    console = Console(file=io.StringIO(), width=200)
    console.print(running_table(progress))
    lines = console.file.getvalue().splitlines()[2:]
    assert len(lines) == 2
    assert "7/20" in lines[1]
    assert "cuda" in lines[1]
    assert "1,234" in lines[1]


def test_on_a_narrow_terminal_no_number_is_cut(progress):
    progress.start(TRIALS[1], "cuda")
    progress.report(TRIALS[1], _row(7))
    console = Console(file=io.StringIO(), width=80)
    console.print(running_table(progress))
    shown = console.file.getvalue()
    assert "…" not in shown
    assert all(text in shown for text in (TRIALS[1].key, "7/20", "1,234"))


def test_without_a_terminal_there_are_plain_lines_and_no_control_codes(progress, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("study.monitor.display.time.monotonic", lambda: now[0])
    output = io.StringIO()
    progress.start(TRIALS[0], "cpu")
    with Display(progress, Console(file=output, width=80)) as display:
        for _ in range(3):
            display.tick()
        now[0] += LINE_INTERVAL
        display.tick()
        display.ended(TRIALS[0], _finished(0.71234))
        display.ended(TRIALS[1], {"status": "failed", "error": "ValueError: [red]odd[/red]"})
    lines = output.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(summary(progress)[:20])
    assert "accuracy 80.00 % base, 71.23 % augmented" in lines[2]
    assert lines[3].endswith("ValueError: [red]odd[/red]")
    assert "\x1b" not in output.getvalue()


def test_in_a_terminal_the_table_is_live(progress):
    output = io.StringIO()
    progress.start(TRIALS[0], "cpu")
    with Display(progress, Console(file=output, width=200, force_terminal=True)) as display:
        display.tick()
    assert "augmented" in output.getvalue()
    assert "\x1b" in output.getvalue()


def test_a_job_that_lost_its_worker_waits_again(progress):
    progress.start(TRIALS[0], "cpu")
    progress.put_back(TRIALS[0])
    assert (len(progress.running), progress.waiting, progress.ended_jobs) == (0, 4, 0)


def test_time_left_follows_the_number_of_slots(progress):
    progress.start(TRIALS[0], "cpu")
    progress.report(TRIALS[0], _row(1))
    progress.resize(3)
    assert progress.seconds_left() == pytest.approx((4 * EPOCHS - 1) * 10 / 3)
    progress.resize(0)
    assert progress.seconds_left() == pytest.approx((4 * EPOCHS - 1) * 10)


def test_time_left_rests_on_the_last_four_epochs_of_each_slot(progress):
    progress.start(TRIALS[0], "cpu")
    progress.resize(3)
    for seconds in (1.0, 10.0):
        for _ in range(12):
            progress.report(TRIALS[0], _row(1) | {"wall_seconds": seconds})
        assert progress.seconds_left() == pytest.approx((4 * EPOCHS - 1) * seconds / 3)


def test_the_best_of_an_earlier_run_counts(progress):
    progress.consider(TRIALS[3], 0.75)
    progress.start(TRIALS[0], "cpu")
    progress.end(TRIALS[0], _finished(0.7))
    assert progress.best == (0.75, TRIALS[3])


def test_what_failed_is_known_with_its_reason(progress):
    progress.start(TRIALS[0], "cpu")
    progress.end(TRIALS[0], {"status": "failed", "error": "why"})
    assert progress.failures == [(TRIALS[0], "why")]


def test_the_slots_time_inside_trials_is_added_up():
    clock = Clock()
    progress = Progress(TRIALS[:1], slots=1, finished_before=0, clock=clock)
    progress.start(TRIALS[0], "cpu")
    clock.now += 10
    progress.end(TRIALS[0], _finished(0.7) | {"busy_seconds": 9.0})
    assert progress.utilisation.share() == pytest.approx(0.9)


def test_a_search_shows_its_objective_and_no_accuracy_on_test_images():
    score = Score("validation_base_loss", is_maximized=False)
    progress = Progress(TRIALS, 2, 0, Clock(), score=score)
    output = io.StringIO()
    with Display(progress, Console(file=output, width=300)) as display:
        for job, loss in zip(TRIALS, (0.25, 0.125, 0.5), strict=False):
            progress.start(job, "cpu")
            result = _finished(0.9) | {"validation_base_loss": loss}
            progress.end(job, result)
            display.ended(job, result)
    assert progress.best == (0.125, TRIALS[1])
    shown = output.getvalue() + summary(progress)
    assert "validation base loss 0.125" in shown
    assert "best validation base loss 0.125" in summary(progress)
    assert "augmented" not in shown.replace("base vae", "")
    assert "90" not in shown


def test_the_trials_that_run_wait_or_have_ended_are_all_trials():
    progress = Progress([STN, *TRIALS], slots=2, finished_before=1, clock=Clock())
    progress.start(STN, "cpu")
    progress.start(TRIALS[0], "cpu")
    progress.end(TRIALS[0], _finished(0.7))
    assert (progress.finished, progress.waiting_trials, progress.trials) == (2, 3, 5)


def test_time_left_passes_between_epochs_and_is_never_0_with_work_to_do():
    clock = Clock()
    progress = Progress(TRIALS[:1], slots=1, finished_before=0, clock=clock)
    progress.start(TRIALS[0], "cpu")
    progress.report(TRIALS[0], _row(1))
    at_first = progress.seconds_left()
    clock.now += 5
    assert progress.seconds_left() == pytest.approx(at_first - 5)
    clock.now += 1e6
    assert at_first - 10 <= progress.seconds_left() < at_first - 5, "an epoch that takes long is not done"
    progress.report(TRIALS[0], _row(TRIALS[0].epochs))
    assert progress.seconds_left() >= 1
    progress.end(TRIALS[0], _finished(0.7))
    assert progress.seconds_left() == 0


def test_the_range_of_the_time_left_is_wider_while_kinds_of_jobs_are_unknown():
    other = Job("trial", TrialConfig(model="categorical_vae"))
    progress = Progress([TRIALS[0], other], slots=1, finished_before=0, clock=Clock())
    assert progress.seconds_left_between() is None
    progress.start(TRIALS[0], "cpu")
    progress.report(TRIALS[0], _row(1))
    low, high = progress.seconds_left_between()
    assert low < progress.seconds_left() < high
    progress.end(TRIALS[0], _finished(0.7))
    progress.start(other, "cpu")
    progress.report(other, _row(1))
    later = progress.seconds_left_between()
    assert later[1] / later[0] < high / low


@pytest.mark.parametrize(
    ("between", "text"),
    [
        *((None, "?"), ((10, 20), "10 to 20 s"), ((1.0, 1.2), "1 s")),
        *(((60, 200), "1 to 3 min"), ((41, 130), "1 to 2 min"), ((80, 100), "1 to 2 min"), ((85, 91), "1 to 2 min")),
        *(((700, 1100), "12 to 18 min"), ((3000, 5400), "50 min to 1 h 30 min")),
    ],
)
def test_a_range_of_time_is_readable(between, text):
    assert in_words(between) == text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_keeps_what_runs_and_how_far_it_is(progress, width):
    progress.start(TRIALS[1], "cuda")
    progress.report(TRIALS[1], _row(7))
    console = Console(file=io.StringIO(), width=width)
    console.print(running_table(progress, width))
    shown = " ".join(console.file.getvalue().split())
    assert "…" not in shown
    assert "7/20" in shown
    assert "base vae" in shown


def test_colour_tells_how_a_job_ended_and_nothing_else(progress):
    output = io.StringIO()
    console = Console(file=output, width=200, force_terminal=True, color_system="standard")
    with Display(progress, console) as display:
        display.ended(TRIALS[0], _finished(0.7))
        display.ended(TRIALS[1], {"status": "failed", "error": "12 of [red]34[/red] 'text' None"})
    coloured = re.findall(r"\x1b\[([\d;]+)m(.*?)\x1b\[0m", output.getvalue())
    assert [word for _, word in coloured] == ["done", "FAILED"]
    assert "31" in coloured[1][0]


@pytest.fixture
def crowd():
    """A thousand running jobs, and a console of 30 lines."""
    jobs = [Job("trial", TrialConfig(seed=seed)) for seed in range(1000)]
    progress = Progress(jobs, 1000, 0, Clock())
    for job in jobs:
        progress.start(job, "cpu")
    file = io.StringIO()
    return progress, Console(file=file, force_terminal=True, width=120, height=30), file


def test_of_a_thousand_running_jobs_as_many_are_shown_as_the_terminal_has_lines_for(crowd):
    progress, console, file = crowd
    console.print(live_view(progress, console.width, console.height))
    lines = file.getvalue().splitlines()
    assert 20 < len(lines) <= console.height
    assert "... and 980 more run" in file.getvalue()
    file.truncate(0)
    Display(progress, Console(file=file)).tick()
    assert "and 992 more" in file.getvalue()


def test_lines_above_the_live_table_do_not_lay_it_out_again(crowd, monkeypatch):
    progress, console, file = crowd
    drawn = []
    monkeypatch.setattr("study.monitor.display.live_view", lambda *given: drawn.append(given) or Text("the table"))
    with Display(progress, console) as display:
        display.tick()
        for number in range(50):
            display.log(f"line {number}")
    assert len(drawn) == 1
    assert file.getvalue().count("the table") >= 50
