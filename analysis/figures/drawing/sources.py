"""The inputs of a study's figures."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.figures.drawing.saving import NotSupported
from analysis.frames.search import search_of
from analysis.frames.study import Study
from tivae.config import TrialConfig
from tivae.data.image_set import DataError, Images, ImageSet
from tivae.data.loading import load

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, eq=False)
class Sources:
    """A study, and inputs that are not in its folder.

    data: the images; taken from this machine where they are not given, and never downloaded.
    search: the Optuna study whose trials these are; that of the study's folders where it is not given.
    """

    study: Study
    data: Images | None = None
    search: optuna.Study | None = None

    def images(self, config: TrialConfig) -> Images:
        """The images of the config's data set. Raises `NotSupported` if they are not on this machine."""
        own = self.data
        return own if own is not None and own.dataset == config.dataset else _local_images(config.images)

    def optuna_search(self) -> optuna.Study | None:
        """The Optuna study; None if this is no search. Raises `NotSupported` if its journal is damaged."""
        try:
            return self.search if self.search is not None else search_of(self.study)
        except ValueError as problem:
            raise NotSupported(str(problem)) from problem


@functools.cache
def _local_images(images: ImageSet) -> Images:
    try:
        return load(images, download=False)
    except DataError as problem:
        raise NotSupported(str(problem)) from problem
