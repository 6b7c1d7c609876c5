"""A running search: asks Optuna for trials, and reports to it how each one ended.

Its storage is `optuna_journal.log` in the study's folder, which `optuna.load_study` and optuna-dashboard read, also
while the search runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from study.monitor.progress import Score
from study.search import optuna_storage
from study.space.search import SIZES, Search
from tivae import records
from tivae.config import ConfigError, TrialConfig
from tivae.data.image_set import ImageSet

Result = Mapping[str, Any]

_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class OptunaSearch:
    """The search of the folder `study`, opened or continued.

    Each Optuna trial holds, as a user attribute, the `key` of the trial it stands for. One that an interruption left
    running is handed out again first and continues from its checkpoint; one that has a record already is reported
    from that. A trial that Optuna suggests twice is run once, and reported twice.

    small: makes the small version of a trial, for `--quick`.

    Raises `FolderError` if the folder holds a search for something else, or a journal that can't be read.
    """

    def __init__(
        self,
        search: Search,
        study: Path,
        small: Callable[[TrialConfig], TrialConfig] | None = None,
    ):
        self.search, self.jobs = search, ()
        self._folder, self._small = study, small
        self._running: dict[str, list[Trial]] = {}
        self._ended: dict[str, Result] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna_study = optuna_storage.opened(search, study)
        self._adopt_records()
        self._left_running = [trial for trial in self._trials() if trial.state is TrialState.RUNNING]

    @property
    def ended(self) -> int:
        """Optuna trials that have come to an end, however."""
        return sum(trial.state.is_finished() for trial in self._trials())

    @property
    def failed(self) -> int:
        """Optuna trials that failed."""
        return sum(trial.state is TrialState.FAIL for trial in self._trials())

    @property
    def left(self) -> int:
        """Optuna trials that have not been asked for, those left by an interruption included."""
        return max(0, self.search.trials - self.ended - sum(len(trials) for trials in self._running.values()))

    @property
    def score(self) -> Score:
        """The first objective that is no size, which ranks trials while the search runs."""
        names = list(self.search.objectives)
        metric = next((name for name in names if name not in SIZES), names[0])
        return Score(metric, self.search.objectives[metric] == "maximize")

    @property
    def image_sets(self) -> list[ImageSet]:
        """The data sets of all trials that it may come to."""
        return self.search.image_sets

    @property
    def finished(self) -> list[TrialConfig]:
        """The trials of the search that an earlier run finished."""
        keys = {trial.user_attrs.get("key") for trial in self._trials() if trial.state is TrialState.COMPLETE}
        found = [records.finished(records.trial_folder(self._folder, key)) for key in sorted(filter(None, keys))]
        return [TrialConfig.from_dict(record["config"]) for record in found if record is not None]

    @property
    def pruned_by(self) -> str | None:
        """The metric that must be reported after every epoch; None if nothing is pruned."""
        return None if self.search.pruner.name == "none" else next(iter(self.search.objectives))

    def ask(self) -> TrialConfig | None:
        """The next trial to run; None if all trials have been asked for."""
        while (trial := self._asked()) is not None:
            try:
                config = self._config(trial)
            except ConfigError as error:
                self._tell_one(trial, {"status": "failed", "error": str(error)})
                continue
            trial.set_user_attr("key", config.key)
            if (known := self._ended.get(config.key) or self._recorded(config)) is not None:
                self._tell_one(trial, known)
                continue
            self._running.setdefault(config.key, []).append(trial)
            if len(self._running[config.key]) == 1:
                return config
        return None

    def tell(self, config: TrialConfig, result: Result) -> None:
        """A trial has ended; `result` has its `status`, `error` and, where it finished, its metrics."""
        result = self._ended[config.key] = {**result, **_sizes(config)}
        for trial in self._running.pop(config.key, []):
            self._tell_one(trial, result)

    def should_prune(self, config: TrialConfig, epoch: int, value: float | None) -> bool:
        """Reports `pruned_by` after an epoch to Optuna, and returns whether the trial is to be pruned."""
        if value is None or not math.isfinite(value):
            return False
        trials = self._running.get(config.key, [])
        for trial in trials:
            trial.report(value, epoch)
        return any(trial.should_prune() for trial in trials)

    def _asked(self) -> Trial | None:
        if self._left_running:
            return Trial(self.optuna_study, self._left_running.pop(0)._trial_id)
        asked = sum(trial.state is not TrialState.WAITING for trial in self._trials())
        return self.optuna_study.ask() if asked < self.search.trials else None

    def _config(self, trial: Trial) -> TrialConfig:
        # A trial that an interruption left has its values; suggesting again gives the same ones.
        config = self.search.config(self.search.choose(lambda item: item.domain.suggest(item.name, trial)))
        return config if self._small is None else self._small(config)

    def _recorded(self, config: TrialConfig) -> Result | None:
        record = records.finished(records.trial_folder(self._folder, config.key))
        if record is None:
            return None
        return {"status": "finished", "error": None, **record["metrics"], **_sizes(config)}

    def _tell_one(self, trial: Trial, result: Result) -> None:
        state, error = _STATES[result["status"]], result.get("error")
        numbers = [_number(result.get(name)) for name in self.search.objectives]
        values = [number for number in numbers if number is not None]
        if state is TrialState.COMPLETE and len(values) < len(numbers):
            state, error = TrialState.FAIL, "an objective is not a number"
        if state is TrialState.FAIL:
            trial.set_user_attr("error", str(error))
        for name in ("base_accuracy", "augmented_accuracy"):
            if (value := _number(result.get(name))) is not None:
                # For display only, never optimised.
                trial.set_user_attr(f"test_{name}", value)
        self.optuna_study.tell(trial.number, values if state is TrialState.COMPLETE else None, state=state)

    def _trials(self) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self.optuna_study.get_trials(deepcopy=False)
        return found

    def _adopt_records(self) -> None:
        """Reports finished trials that Optuna does not know: from before a journal was lost, or from a grid."""
        known = {trial.user_attrs.get("key") for trial in self._trials()}
        distributions = {item.name: item.domain.distribution() for item in self.search.parameters}
        for folder in sorted((self._folder / "trials").glob("*")):
            record = records.finished(folder) if folder.name not in known else None
            point = None if record is None else self._point(record)
            if point is None:
                continue
            parameters, values = point
            its_own = {name: distributions[name] for name in parameters}
            trial = optuna.trial.create_trial(
                params=parameters, distributions=its_own, values=values, user_attrs={"key": folder.name}
            )
            self.optuna_study.add_trial(trial)

    def _point(self, record: Result) -> tuple[dict[str, Any], list[float]] | None:
        """A finished trial as parameters and objectives; None if it is no point of this search."""
        try:
            config = TrialConfig.from_dict(record["config"])
            chosen = self.search.choose(lambda item: getattr(config, item.name))
            same = self.search.config(chosen)
            domains = {item.name: item.domain for item in self.search.parameters}
            parameters = {name: domains[name].encoded(value) for name, value in chosen.items()}
        except (ValueError, TypeError, KeyError):
            return None
        metrics = {**record["metrics"], **_sizes(config)}
        values = [_number(metrics.get(name)) for name in self.search.objectives]
        numbers = [value for value in values if value is not None]
        mine = (same if self._small is None else self._small(same)).key == config.key
        return (parameters, numbers) if mine and len(numbers) == len(values) else None


def _sizes(config: TrialConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in SIZES}


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
