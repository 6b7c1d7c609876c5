"""MLflow's runs of a study: one for each trial and STN, written as it ends. Needs the extra `mlflow`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from study.jobs import Job
from study.monitor.progress import label
from study.monitor.tags import numbers, tagged
from tivae.io.redaction import redacted

# A server takes no more at once.
_BATCH = 1000
# Larger files stay where they are.
_MOST_BYTES = 50 * 2**20
# What opens the experiment on its runs: without it MLflow opens its view of language models.
_KIND, _TRAINING = "mlflow.experimentKind", "custom_model_development"
# The same for MLflow 3.17, which asks the address alone, and remembers it.
_TRAINING_VIEW = "workflowType=machine_learning"
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}


# Its client would try for many minutes, and the study waits for it.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


class MLflowError(ValueError):
    """MLflow can't be used; one line with what is wrong and the remedy."""


class MLflow:
    """Logs to the tracking server or store at `uri`, in the experiment that is named as the study.

    A job that ends again replaces its run, so that none is there twice. A server that fails later ends nothing: the
    results are in the records, the log says so, and no more is sent to it.

    page: where a browser shows the runs; "" of a store without a server.

    Raises `MLflowError` where MLflow is not installed, or `uri` does not answer now.
    """

    def __init__(self, uri: str, study: Path):
        self._study = study
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MLflowError(
                "--mlflow needs the extra `mlflow`; give the command with `uv run --extra mlflow`"
            ) from None
        try:
            self._client = MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(study.name)
            self._experiment = (
                known.experiment_id
                if known is not None
                else str(self._client.create_experiment(study.name, tags={_KIND: _TRAINING}))
            )
        # Each of its stores raises errors of its own.
        except Exception as error:
            reason = " ".join(redacted(str(error)).split())[:300]
            raise MLflowError(
                f"--mlflow {redacted(uri)} can't be used ({reason}); give a server's address or a store such as "
                "sqlite:///runs.db"
            ) from error
        self._failed = False
        is_server = uri.startswith(("http://", "https://"))
        self.page = (
            f"{redacted(uri).rstrip('/')}/#/experiments/{self._experiment}/runs?{_TRAINING_VIEW}" if is_server else ""
        )

    def reported(self, job: Job, rows: Sequence[dict[str, Any]]) -> None:
        """Nothing: a run is written when its job has ended."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the run of an ended job; none after one that failed, as each would keep the study waiting."""
        if self._failed:
            return
        try:
            self._write(job, record)
        except Exception as error:
            self._failed = True
            reason = redacted(str(error))
            logging.getLogger("tivae").warning(
                "MLflow does not take %s (%s); the study goes on without it", job.key, reason
            )

    def close(self) -> None:
        """Nothing is left to write."""

    def _write(self, job: Job, record: dict[str, Any]) -> None:
        from mlflow.entities import Param

        client = self._client
        for run in client.search_runs([self._experiment], f"tags.trial = '{job.key}'"):
            client.delete_run(run.info.run_id)
        started, ended = _times(record)
        tags = {"trial": job.key, "job_type": job.job_type, "status": record["status"], "error": record["error"] or ""}
        run_id = client.create_run(self._experiment, started, tags, label(job)).info.run_id
        parameters = [Param(name, str(value)) for name, value in record["config"].items() if value is not None]
        client.log_batch(run_id, params=parameters)
        metrics = _metrics(job, record, started, ended)
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
        for file in sorted(path for path in (self._study / job.part).glob("*") if path.is_file()):
            if not file.name.startswith(".") and file.stat().st_size <= _MOST_BYTES:
                client.log_artifact(run_id, str(file))
        client.set_terminated(run_id, _STATUS.get(record["status"], "KILLED"), ended)


def _times(record: dict[str, Any]) -> tuple[int, int]:
    """When the job started and ended, in milliseconds since 1970; now where the record does not say."""
    known = record.get("provenance") or {}
    moments = []
    for name in ("started_at", "finished_at"):
        try:
            moments.append(int(datetime.fromisoformat(known[name]).timestamp() * 1000))
        except (KeyError, TypeError, ValueError):
            moments.append(int(time.time() * 1000))
    return moments[0], max(moments)


def _metrics(job: Job, record: dict[str, Any], started: int, ended: int) -> list[Any]:
    """Each number of each epoch at the time it was reached, then the final ones; step: the epoch."""
    from mlflow.entities import Metric

    metrics, now = [], float(started)
    for row in record["epochs"]:
        now = min(now + 1000 * (row.get("wall_seconds") or 0), ended)
        metrics += [Metric(name, value, int(now), int(row["epoch"])) for name, value in tagged(job, row).items()]
    last = len(record["epochs"])
    return metrics + [Metric(name, value, ended, last) for name, value in numbers(record["metrics"]).items()]
