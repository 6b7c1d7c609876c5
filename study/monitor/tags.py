"""What the numbers of an epoch are called in TensorBoard and MLflow, which draw a chart of each."""

from __future__ import annotations

from typing import Any

from study.jobs import Job

# Of an epoch's row, what is no metric of the model.
_NOT_SHOWN = {"epoch", "step", "wall_seconds"}
# Both show groups in the order of their names: speed last.
_GROUPS = {"images_per_second": "speed"}


def tagged(job: Job, row: dict[str, Any]) -> dict[str, float]:
    """The numbers of an epoch by their names with group, such as "loss_vae/train_loss" or "epoch/train_kl".

    Weighted losses of the models differ fifty-fold: on one axis those of the VAE would be a line at 0.
    """
    losses = f"loss_{job.config.model if job.job_type == 'trial' else job.job_type}"
    return {
        f"{_GROUPS.get(name, losses if name.endswith('_loss') else 'epoch')}/{name}": value
        for name, value in numbers(row).items()
        if name not in _NOT_SHOWN
    }


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """What is a number of `row`."""
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
