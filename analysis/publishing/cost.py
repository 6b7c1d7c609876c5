"""The cost of studies, with and without the sharing of trainings between trials."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.formats import Table
from analysis.frames.study import Study
from analysis.publishing.stn_records import seconds_of_stns

COLUMNS = ("trials", "asked", "run", "stns_asked", "stns_run", "hours", "hours_alone")
_MACHINE = ("device", "device_name", "threads", "kernels", "python", "torch", "numpy", "scikit_learn")


def frame(studies: Sequence[Study]) -> pd.DataFrame:
    """A row per study, named, and for several one more, "all", in which what studies share counts once.

    trials: that have ended; asked: trainings that they ask for; run: trainings that were run for them; stns_asked,
    stns_run: the same of STN pretrainings; hours: of a CPU core, or of another device; hours_alone: what the same would
    have taken with no training or STN shared, and none continued to more epochs. Work that was lost in interruptions is
    in neither.
    """
    names, parts = ["+".join(study.folders) for study in studies], [_trials(study) for study in studies]
    if len(parts) > 1:
        names, parts = [*names, "all"], [*parts, pd.concat(parts).drop_duplicates("key")]
    return pd.DataFrame([_totals(part) for part in parts], index=names, columns=list(COLUMNS))


def table(studies: Sequence[Study]) -> Table:
    """`frame` as texts."""
    found, hours = frame(studies), unit(studies)
    of_what = "one core" if hours == "CPU hours" else "a CPU core, or of another device,"
    texts = pd.DataFrame(
        {
            "study": found.index,
            "trials": found["trials"].map("{:.0f}".format),
            "trainings asked for": found["asked"].map("{:.0f}".format),
            "trainings run": found["run"].map("{:.0f}".format),
            "STNs asked for": found["stns_asked"].map("{:.0f}".format),
            "STNs run": found["stns_run"].map(lambda count: "-" if pd.isna(count) else f"{count:.0f}"),
            hours: found["hours"].map("{:.1f}".format),
            f"{hours} without sharing": found["hours_alone"].map("{:.1f}".format),
        }
    )
    notes = [
        f"{hours}: of {of_what} by the clock, as each trial recorded them, other work on the machine included; without "
        "sharing: had each trial been trained by itself, none read out of another's training or continued to more "
        "epochs. Interrupted work that was lost is in neither."
    ]
    if found["stns_run"].isna().any():
        notes.append("-: pretrained before STNs were published; those hours are not in the sums.")
    return Table("What it cost", (("", texts, list(texts.columns)[1:]),), tuple(notes))


def unit(studies: Sequence[Study]) -> str:
    """What the hours of `frame` are of, in words."""
    devices = {device for study in studies for device in study.trials["device"].dropna()}
    return "device hours" if devices - {"cpu"} else "CPU hours"


def machines(study: Study) -> Table:
    """The number of trials by device and versions."""
    columns = [name for name in _MACHINE if name in study.trials]
    groups = study.trials[columns].astype("string").fillna("not recorded").value_counts(sort=False).sort_index()
    texts = groups.reset_index(name="trials").astype("string")
    return Table("Where and with what", (("", texts, ["trials"]),), ("Of each trial: the same columns of trials.csv.",))


def markdown(study: Study) -> str:
    """Both tables of one study, as `compute.md` of its copy has them."""
    return f"# Compute\n\n{table([study]).markdown()}\n{machines(study).markdown()}"


def _trials(study: Study) -> pd.DataFrame:
    """A row per trial: key, its training and STN by key, the hours of its training, its readout and its STN."""
    trials = study.trials
    seconds = study.epochs.groupby("key")["wall_seconds"].sum()
    training = trials["key"].map(seconds).fillna(0.0).astype("float64")
    wall = trials["wall_seconds"].astype("float64").fillna(0.0)
    # Trials read out one training if their first epochs took the same time, to the last digit.
    first = trials["key"].map(study.epochs.drop_duplicates("key").set_index("key")["wall_seconds"])
    stns = seconds_of_stns(study)
    stn_keys = [study.configs[key].stn_key if key in study.configs else None for key in trials["key"]]
    threads = trials["threads"].astype("float64").where(trials["device"] == "cpu", 1.0).fillna(1.0)
    return pd.DataFrame(
        {
            "key": trials["key"],
            "training_key": first.map("{!r}".format).where(first.notna()),
            "training": training * threads / 3600,
            "readout": (wall - training).clip(lower=0.0) * threads / 3600,
            "stn_key": pd.Series(stn_keys, dtype="string"),
            # Unknown where the copy is of before STNs were published.
            "stn": [float("nan") if key is None else stns.get(key, float("nan")) / 3600 for key in stn_keys],
        }
    )


def _totals(trials: pd.DataFrame) -> dict[str, float]:
    trained = trials[trials["training_key"].notna()]
    behind = trials[trials["stn_key"].notna()]
    stns = behind.drop_duplicates("stn_key")
    known = stns["stn"].notna().all()
    readouts = trials["readout"].sum()
    shared = trained.groupby("training_key")["training"].max().sum()
    return {
        "trials": len(trials),
        "asked": len(trained),
        "run": trained["training_key"].nunique(),
        "stns_asked": len(behind),
        "stns_run": len(stns) if known else float("nan"),
        "hours": readouts + shared + stns["stn"].sum(),
        "hours_alone": readouts + trained["training"].sum() + behind["stn"].sum(),
    }
