"""One trial of the study: data, warps, models, training and probe, free of any scheduler."""

from tivae.config import ConfigError, TrialConfig
from tivae.encoder import measure
from tivae.trained import TrainedModel, load

__all__ = ["ConfigError", "TrainedModel", "TrialConfig", "load", "measure"]
