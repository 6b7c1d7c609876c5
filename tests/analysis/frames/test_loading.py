"""What `load` makes of results folders: finished, running, damaged, several, and published copies."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pytest

import analysis
from analysis.frames.columns import COLUMNS
from tests.analysis.synthetic import epoch, grid, papers_metrics, record, write_record, write_study
from tivae import records
from tivae.config import TrialConfig
from tivae.io import checkpoint
from tivae.io.files import MAXIMUM_BYTES


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_study(tmp_path / "paper_grid", grid(seeds=2, epochs=3))


def as_published(results: Path, copy: Path, *suffixes: str) -> Path:
    """A copy with the frames alone, in the given formats."""
    copy.mkdir()
    analysis.write(analysis.load(results), copy)
    for path in list(copy.iterdir()):
        if path.suffix not in suffixes:
            path.unlink()
    return copy


@pytest.mark.parametrize("name", ["trials", "epochs"])
def test_a_frame_has_exactly_the_documented_columns_and_dtypes(results: Path, name: str) -> None:
    frame = getattr(analysis.load(results), name)
    assert [(column, str(dtype)) for column, dtype in frame.dtypes.items()] == [
        (column.name, column.dtype) for column in COLUMNS[name]
    ]


def test_the_frame_holds_what_the_record_says(tmp_path: Path) -> None:
    config = TrialConfig(model="categorical_vae", stn="pretrained", hidden_widths=(16, 32), epochs=2, kl_weight=1e-5)
    written = record(config, base_accuracy=0.1 + 0.2, probe_converged=False)
    write_record(tmp_path, written)
    study = analysis.load(tmp_path)
    row = study.trials.iloc[0]
    for section in ("config", "metrics", "provenance"):
        for name, value in written[section].items():
            if name == "hidden_widths":
                assert row[name] == "16-32"
            elif value is None:
                assert pd.isna(row[name]), name
            else:
                assert row[name] == (pd.Timestamp(value) if name.endswith("_at") else value), name
    assert (row["key"], row["status"], row["study"]) == (config.key, "finished", tmp_path.name)
    assert pd.isna(row["error"])
    assert study.epochs["epoch"].tolist() == [1, 2]
    assert study.epochs["augmented_kl"].tolist() == [row["augmented_kl"] for row in written["epochs"]]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_published_copy_gives_the_same_frames(results: Path, tmp_path: Path, suffix: str) -> None:
    # Values that text formats like to change: words for missing, digits that look like numbers, separators, quotes.
    for seed, error in enumerate(["NA", "null", "1e5", 'a "b", c', "007", " spaced ", "émile ±", "None"], start=50):
        write_record(results, record(TrialConfig(seed=seed, epochs=1), status="failed", error=error))
    (results / "trials" / "deadbeef0000").mkdir()
    (results / "trials" / "deadbeef0000" / "record.json").write_text("{")
    original = analysis.load(results)
    copy = analysis.load(as_published(results, tmp_path / "copy", suffix))
    for name in ("trials", "epochs"):
        expected = getattr(original, name).assign(study=pd.Series("copy", index=getattr(original, name).index))
        pd.testing.assert_frame_equal(getattr(copy, name), expected.astype({"study": "string"}), check_exact=True)


def test_unknown_figures_are_kept_and_survive_a_copy(tmp_path: Path) -> None:
    for seed, extra in enumerate([1, 2.5]):
        written = record(TrialConfig(seed=seed, epochs=1), consistency=extra, note="as\ud800is", confusion=[[1, 2]])
        written["metrics"]["collapsed"] = seed == 1
        written["epochs"][0]["extra_loss"] = 0.5
        write_record(tmp_path / "a", written)
    study = analysis.load(tmp_path / "a")
    assert study.trials["consistency"].tolist() == [1.0, 2.5]
    assert study.trials["note"].tolist() == ["as?is"] * 2
    assert study.trials["collapsed"].tolist() == [False, True]
    assert study.epochs["extra_loss"].tolist() == [0.5, 0.5]
    assert "confusion" not in study.trials  # lists stay in the record
    assert study.trial(study.trials["key"][0]).record["metrics"]["confusion"] == [[1, 2]]
    for suffix in (".parquet", ".csv"):
        copy = analysis.load(as_published(tmp_path / "a", tmp_path / suffix[1:], suffix))
        pd.testing.assert_frame_equal(
            copy.trials.drop(columns="study"), study.trials.drop(columns="study"), check_exact=True
        )


def test_a_failed_trial_is_a_row(tmp_path: Path) -> None:
    config = TrialConfig(epochs=2)
    write_record(tmp_path, record(config, status="failed", error="NonFiniteLoss: the loss is nan at step 7"))
    study = analysis.load(tmp_path)
    row = study.trials.iloc[0]
    assert (row["status"], row["error"]) == ("failed", "NonFiniteLoss: the loss is nan at step 7")
    assert pd.isna(row["base_accuracy"])
    assert len(study.epochs) == 2
    assert study.finished.empty


def with_value(path: str, value: object) -> bytes:
    """A good record of which one value is replaced."""
    content = record(TrialConfig(epochs=1), base_accuracy=0.5)
    place = content
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    return json.dumps(content).encode()


ACCURACY = b'"base_accuracy": 0.5'
GOOD = json.dumps(record(TrialConfig(epochs=1), base_accuracy=0.5)).encode()
KEY = TrialConfig(epochs=1).key


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD[:-100], "is not JSON"),
        (b"", "is not JSON"),
        (b"\x80\x02garbage", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (GOOD.replace(ACCURACY, ACCURACY.replace(b"0.5", b"NaN")), "NaN is not a JSON number"),
        (
            GOOD.replace(ACCURACY, ACCURACY.replace(b"0.5", b"1e999")),
            "`metrics.base_accuracy` is inf; it must be a finite number",
        ),
        (b" " * (MAXIMUM_BYTES + 1), "MiB; it may have 16"),
        (b"[1, 2]", "holds a list; it must be an object"),
        (with_value("format", 2), "has format 2"),
        (with_value("kind", "stn"), "kind 'stn'"),
        (with_value("key", "123"), f"has key '123'; its folder says {KEY}"),
        (with_value("status", None), "has no status"),
        (with_value("recipe", "new"), "`recipe` is 'new'; it must be a whole number"),
        (with_value("error", 5), "`error` is 5; it must be a text"),
        (with_value("config", None), "`config` is None; it must be an object"),
        (with_value("config", {}), "has an empty config"),
        (with_value("config.seed", 1.5), "`config.seed` is 1.5; it must be a whole number"),
        (with_value("config.seed", 2**63), "it must be a whole number"),
        (with_value("config.kl_weight", 10**400), "it must be a finite number"),
        (with_value("config.whole_pixel_shifts", 1), "it must be true or false"),
        (with_value("config.hidden_widths", ["32"]), "`config.hidden_widths` is '32'"),
        (with_value("metrics.base_accuracy", "high"), "`metrics.base_accuracy` is 'high'; it must be a finite number"),
        (with_value("metrics.base_accuracy", True), "it must be a finite number"),
        (with_value("metrics.probe_iterations", "88"), "it must be a whole number"),
        (with_value("epochs", {"epoch": 1}), "`epochs` is {'epoch': 1}; it must be a list of objects"),
        (with_value("epochs", [3]), "it must be a list of objects"),
        (with_value("epochs.0.epoch", "one"), "`epochs.epoch` is 'one'; it must be a whole number"),
        (with_value("epochs.0.base_loss", [0.5]), "`epochs.base_loss` is [0.5]; it must be a finite number"),
        (with_value("provenance", "here"), "`provenance` is 'here'; it must be an object"),
    ],
)
def test_a_damaged_record_is_a_row_that_names_file_and_reason(results: Path, content: bytes, reason: str) -> None:
    folder = write_record(results, content, key=KEY)
    study = analysis.load(results)
    row = study.trials.set_index("key").loc[KEY]
    assert row["status"] == "damaged"
    assert str(folder / "record.json") in row["error"]
    assert reason in row["error"]
    assert "\n" not in row["error"]
    assert len(study.trials) == 17
    assert KEY not in set(study.epochs["key"])
    assert [(c, str(d)) for c, d in study.trials.dtypes.items()] == [(c.name, c.dtype) for c in COLUMNS["trials"]]


def test_a_record_that_is_no_plain_file_is_damaged_and_does_not_block(tmp_path: Path) -> None:
    for name, make in (("a" * 12, os.mkfifo), ("b" * 12, os.mkdir)):
        (tmp_path / "trials" / name).mkdir(parents=True)
        make(tmp_path / "trials" / name / "record.json")
    assert analysis.load(tmp_path).trials["status"].tolist() == ["damaged", "damaged"]


def test_missing_fields_of_an_older_record_are_missing_values(tmp_path: Path) -> None:
    written = record(TrialConfig(epochs=1))
    del written["config"]["fill"], written["metrics"]["probe_iterations"]
    write_record(tmp_path, written)
    row = analysis.load(tmp_path).trials.iloc[0]
    assert row["status"] == "finished"
    assert pd.isna(row["fill"])
    assert pd.isna(row["probe_iterations"])


def running_trial(results: Path, trial: TrialConfig, **state: object) -> None:
    draw = random.Random(0)
    rows = [epoch(trial, number, draw) for number in (1, 2)]
    checkpoint.save(results / "trials" / trial.key / "checkpoint.pt", {"key": trial.key, "rows": rows} | state)


def test_a_running_trial_of_the_first_recipe_is_in_the_frame_only_when_asked_for(results: Path) -> None:
    config = TrialConfig(seed=9)
    running_trial(results, config, config=config.to_dict())
    assert len(analysis.load(results)) == 16
    study = analysis.load(results, running=True, recipe=1)
    row = study.trials.set_index("key").loc[config.key]
    assert (row["status"], row["seed"]) == ("running", 9)
    assert study.epochs.loc[study.epochs["key"] == config.key, "epoch"].tolist() == [1, 2]


def test_a_running_trial_has_its_config_and_the_epochs_of_its_training(results: Path) -> None:
    config = TrialConfig(seed=9, model="categorical_vae", latent_dim=7, epochs=3)
    records.write_running(config, results)
    row = analysis.load(results, running=True).trials.set_index("key").loc[config.key]
    assert (row["status"], row["model"], row["latent_dim"], row["epochs"]) == ("running", "categorical_vae", 7, 3)
    assert len(analysis.load(results)) == 16
    assert config.training_key is not None
    rows = [epoch(config, number, random.Random(0)) for number in (1, 2)]
    training = records.training_folder(results, config.training_key)
    checkpoint.save(training / "checkpoint.pt", {"key": config.training_key, "rows": rows})
    study = analysis.load(results, running=True)
    assert study.epochs.loc[study.epochs["key"] == config.key, "epoch"].tolist() == [1, 2]
    assert study.trial(config.key).config == config


@pytest.mark.parametrize("content", [b"garbage", None])
def test_a_running_trial_whose_checkpoint_says_nothing_has_key_and_status(results: Path, content: bytes | None) -> None:
    key = TrialConfig(seed=9).key
    running_trial(results, TrialConfig(seed=9))
    if content is not None:
        (results / "trials" / key / "checkpoint.pt").write_bytes(content)
    row = analysis.load(results, running=True, recipe=1).trials.set_index("key").loc[key]
    assert row["status"] == "running"
    assert pd.isna(row["model"])


def test_trials_are_ordered_as_the_config_lists_its_values(results: Path) -> None:
    trials = analysis.load(results).trials
    assert trials["train_dataset"].tolist() == ["base"] * 8 + ["augmented"] * 8
    assert trials["model"].tolist() == (["vae"] * 4 + ["categorical_vae"] * 4) * 2
    assert trials["seed"].tolist() == [0, 1] * 8
    assert analysis.load(results).epochs["key"].drop_duplicates().tolist() == trials["key"].tolist()


def test_several_folders_join_on_the_key(tmp_path: Path) -> None:
    first = write_study(tmp_path / "first", grid(seeds=1))
    second = write_study(tmp_path / "second", grid(seeds=2))
    failed = TrialConfig(seed=7)
    write_record(first, record(failed, status="failed", error="out of memory"))
    write_record(second, record(failed, base_accuracy=0.5))
    study = analysis.load(first, second)
    assert len(study.trials) == 17
    assert study.trials["key"].is_unique
    assert study.trials["study"].value_counts().to_dict() == {"first": 8, "second": 9}
    assert study.trials.set_index("key").loc[failed.key, "status"] == "finished"
    assert study.epochs.groupby("key").size().eq(20).all()
    assert study.trial(failed.key).folder == second / "trials" / failed.key


def test_copies_with_different_figures_are_reported(tmp_path: Path) -> None:
    first = write_study(tmp_path / "first", grid(epochs=1))
    second = write_study(tmp_path / "second", grid(epochs=1), lambda config, draw: papers_metrics(config, draw, 0.5))
    with pytest.warns(UserWarning, match=r"8 trials finished in several of these folders with different numbers"):
        study = analysis.load(first, second)
    pd.testing.assert_frame_equal(study.trials, analysis.load(first).trials)


def of_recipe_1(config: TrialConfig, **metrics: float) -> dict[str, Any]:
    """A record as it was before there was more than one recipe, under the key that it had then."""
    content = record(config, **metrics) | {"key": config.key[::-1]}
    del content["recipe"]
    return content


def test_trials_of_two_recipes_are_never_in_one_study(tmp_path: Path) -> None:
    for seed in range(2):
        write_record(tmp_path, of_recipe_1(TrialConfig(seed=seed, epochs=1), base_accuracy=0.2))
    write_record(tmp_path, record(TrialConfig(seed=2, epochs=1), base_accuracy=0.8))
    with pytest.warns(UserWarning, match=r"2 trials of recipe 1 are left out, .* recipe 2; .*load\(\.\.\., recipe=1\)"):
        study = analysis.load(tmp_path)
    assert study.trials["recipe"].tolist() == [2]
    assert study.cells()["base_accuracy"].tolist() == [0.8]
    assert set(study.epochs["key"]) == set(study.trials["key"])
    with pytest.raises(ValueError, match="no trial is of recipe 3, but of 1 and 2"):
        analysis.load(tmp_path, recipe=3)
    older = analysis.load(tmp_path, recipe=1)
    assert older.trials["recipe"].tolist() == [1, 1]
    assert older.cells()["base_accuracy"].tolist() == [0.2]


def test_all_older_recipes_are_named(results: Path, tmp_path: Path) -> None:
    copy = as_published(results, tmp_path / "copy", ".csv")
    frame = pd.read_csv(copy / "trials.csv")
    frame.assign(recipe=[1, 2, 2, *[3] * (len(frame) - 3)]).to_csv(copy / "trials.csv", index=False)
    with pytest.warns(UserWarning, match=r"3 trials of recipe 1 and 2 are left out, .* recipe 3; .*recipe=2\)"):
        analysis.load(copy)


def test_folders_of_two_recipes_are_not_joined_and_a_damaged_record_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_record(old, of_recipe_1(TrialConfig(epochs=1)))
    write_record(new, record(TrialConfig(seed=1, epochs=1)))
    write_record(new, b"{", key=KEY)
    with pytest.warns(UserWarning, match=r"1 trials of recipe 1"):
        study = analysis.load(old, new)
    assert study.trials["status"].tolist() == ["finished", "damaged"]
    assert study.trials["study"].tolist() == ["new", "new"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_published_frame_without_recipes_is_of_the_first(tmp_path: Path, suffix: str) -> None:
    write_record(tmp_path / "grid", of_recipe_1(TrialConfig(epochs=1)))
    copy = as_published(tmp_path / "grid", tmp_path / "copy", suffix)
    assert analysis.load(copy).trials["recipe"].tolist() == [1]
    read, write = (pd.read_parquet, "to_parquet") if suffix == ".parquet" else (pd.read_csv, "to_csv")
    frame = read(copy / f"trials{suffix}").drop(columns="recipe")
    getattr(frame, write)(copy / f"trials{suffix}", index=False)
    assert analysis.load(copy).trials["recipe"].tolist() == [1]


def test_configs_are_those_of_the_records_and_built_once(results: Path) -> None:
    write_record(results, b"{", key="0" * 12)
    study = analysis.load(results)
    assert study.configs == {config.key: config for config in grid(seeds=2, epochs=3)}
    assert study.configs is study.configs


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write_study(tmp_path / place / "grid", grid(seeds=[seed], epochs=1)) for seed, place in enumerate("ab")]
    assert set(analysis.load(*folders).trials["study"]) == {"a/grid", "b/grid"}


def test_nothing_finished_yet_is_one_clear_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"empty: no finished trial yet$"):
        analysis.load(empty)
    running_trial(empty, TrialConfig())
    with pytest.raises(ValueError, match=r"no finished trial yet \(1 started\); wait, or load with running=True"):
        analysis.load(empty)
    with pytest.raises(ValueError, match=r"no finished trial yet; did you mean .*empty\?"):
        analysis.load(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere is not a folder; give the results folder"):
        analysis.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no results folder is given"):
        analysis.load()
    with pytest.raises(ValueError, match="given twice"):
        analysis.load(empty, tmp_path / "empty" / ".." / "empty")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_damaged_published_frame_names_its_file(results: Path, tmp_path: Path, suffix: str) -> None:
    copy = as_published(results, tmp_path / "copy", suffix)
    (copy / f"trials{suffix}").write_bytes(b'PAR1 "no frame')
    with pytest.raises(ValueError, match=rf"trials{suffix}"):
        analysis.load(copy)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_text_that_a_spreadsheet_would_run_is_guarded_and_read_as_it_was(tmp_path: Path, suffix: str) -> None:
    results = write_record(tmp_path / "grid", record(TrialConfig(), "failed", "=HYPERLINK(1)")).parents[1]
    analysis.write(analysis.load(results), results)
    assert ",'=HYPERLINK(1)," in (results / "trials.csv").read_text()
    assert analysis.load(as_published(results, tmp_path / "copy", suffix)).trials["error"][0] == "=HYPERLINK(1)"


def test_a_published_frame_with_wrong_values_names_the_column(results: Path, tmp_path: Path) -> None:
    copy = as_published(results, tmp_path / "copy", ".csv")
    text = (copy / "trials.csv").read_text()
    (copy / "trials.csv").write_text(text.replace(",0,fashion_mnist", ",zero,fashion_mnist"))
    with pytest.raises(ValueError, match="column `seed`: its values must be Int64"):
        analysis.load(copy)


def test_an_older_published_frame_lacks_columns_without_harm(results: Path, tmp_path: Path) -> None:
    copy = as_published(results, tmp_path / "copy", ".csv")
    frame = pd.read_csv(copy / "trials.csv").drop(columns=["fill", "probe_converged", "study"])
    frame.to_csv(copy / "trials.csv", index=False)
    trials = analysis.load(copy).trials
    assert trials["fill"].isna().all()
    assert str(trials["probe_converged"].dtype) == "boolean"


def test_frames_are_replaced_whole_or_not_at_all(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = analysis.load(results)
    analysis.write(study, results)
    before = (results / "trials.csv").read_bytes()

    def failing(_: pd.DataFrame, file: BinaryIO, **options: object) -> None:
        assert options == {"index": False}
        file.write(b"half a li")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", failing)
    with pytest.raises(OSError, match="disk full"):
        analysis.write(study, results)
    assert (results / "trials.csv").read_bytes() == before
    assert {path.name for path in results.iterdir() if path.is_file()} == {
        *("trials.csv", "trials.parquet", "epochs.csv", "epochs.parquet")
    }


# pyarrow silences it by `catch_warnings`, which threads undo for each other.
@pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")
def test_frames_can_be_read_while_they_are_rewritten(results: Path, tmp_path: Path) -> None:
    study = analysis.load(results)
    copy = tmp_path / "copy"
    copy.mkdir()
    analysis.write(study, copy)
    writer = threading.Thread(target=lambda: [analysis.write(study, copy) for _ in range(10)])
    writer.start()
    while writer.is_alive():
        assert len(analysis.load(copy)) == 16
    writer.join()


def test_it_works_with_nothing_else_imported(results: Path) -> None:
    code = f"import analysis; print(len(analysis.load({str(results)!r}).trials))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "16\n"


@pytest.mark.slow
def test_ten_thousand_trials_are_read_in_five_seconds(tmp_path: Path) -> None:
    configs = [TrialConfig(seed=seed, epochs=12) for seed in range(10_000)]
    sizes = [len((write_record(tmp_path, record(config)) / "record.json").read_bytes()) for config in configs]
    assert sum(sizes) / len(sizes) > 7_000
    started = time.process_time()
    assert len(analysis.load(tmp_path)) == 10_000
    assert time.process_time() - started < 5


def test_times_are_times_in_parquet_and_csv_and_what_is_none_is_missing(tmp_path: Path) -> None:
    content = record(TrialConfig())
    content["provenance"] |= {"started_at": "2026-01-01T01:00:00+01:00", "finished_at": "yesterday"}
    write_record(tmp_path / "a", content)
    study = analysis.load(tmp_path / "a")
    analysis.write(study, tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "trials")
    for name in ("trials.parquet", "trials.csv"):
        row = analysis.load(tmp_path / "a").trials.iloc[0]
        assert row["started_at"] == pd.Timestamp("2026-01-01T00:00:00", tz="UTC")
        assert pd.isna(row["finished_at"])
        (tmp_path / "a" / name).unlink()
