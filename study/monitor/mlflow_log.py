"""MLflow's runs of a study: one for each trial and STN, written as it ends. Needs the extra `mlflow`."""

from __future__ import annotations

import logging
import time
from typing import Any

from study.jobs import Job
from study.monitor.progress import label
from tivae.io.redaction import redacted

# A server takes no more at once.
_BATCH = 1000
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}


class MLflowError(ValueError):
    """MLflow can't be used; one line with what is wrong and the remedy."""


class MLflow:
    """Logs to the tracking server or store at `uri`, in the experiment that is named as the study.

    A job that ends again replaces its run, so that none is there twice. A server that fails later ends nothing: the
    results are in the records, and the log says so once.

    Raises `MLflowError` where MLflow is not installed, or `uri` does not answer now.
    """

    def __init__(self, uri: str, study_name: str):
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MLflowError(
                "--mlflow needs the extra `mlflow`; give the command with `uv run --extra mlflow`"
            ) from None
        try:
            self._client = MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(study_name)
            self._experiment = known.experiment_id if known is not None else self._client.create_experiment(study_name)
        # Each of its stores raises errors of its own.
        except Exception as error:
            reason = " ".join(redacted(str(error)).split())[:300]
            raise MLflowError(
                f"--mlflow {redacted(uri)} can't be used ({reason}); give a server's address or a store such as sqlite:///runs.db"
            ) from error
        self._failed = False

    def reported(self, job: Job, row: dict[str, Any]) -> None:
        """Nothing: a run is written when its job has ended."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the run of an ended job."""
        try:
            self._write(job, record)
        except Exception as error:
            if not self._failed:
                reason = redacted(str(error))
                logging.getLogger("tivae").warning("MLflow does not take %s (%s); the study goes on", job.key, reason)
            self._failed = True

    def close(self) -> None:
        """Nothing is left to write."""

    def _write(self, job: Job, record: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param

        client, now = self._client, int(time.time() * 1000)
        for run in client.search_runs([self._experiment], f"tags.trial = '{job.key}'"):
            client.delete_run(run.info.run_id)
        tags = {"trial": job.key, "kind": job.kind, "status": record["status"], "error": record["error"] or ""}
        run_id = client.create_run(self._experiment, run_name=label(job), tags=tags).info.run_id
        parameters = [Param(name, str(value)) for name, value in record["config"].items() if value is not None]
        client.log_batch(run_id, params=parameters)
        rows = [(row, f"epoch/{name}", int(row["epoch"])) for row in record["epochs"] for name in row]
        figures = [Metric(name, row[name.removeprefix("epoch/")], now, epoch) for row, name, epoch in rows]
        figures += [Metric(name, value, now, len(record["epochs"])) for name, value in record["metrics"].items()]
        figures = [Metric(item.key, float(item.value), now, item.step) for item in figures if _is_number(item.value)]
        for start in range(0, len(figures), _BATCH):
            client.log_batch(run_id, metrics=figures[start : start + _BATCH])
        client.set_terminated(run_id, _STATUS.get(record["status"], "KILLED"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
