"""Controls: models without gradient training, for comparison."""

from __future__ import annotations

from collections.abc import Collection

from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import Dataset
from tivae.models.base import Model

# Fields of gradient training, without those that a pretrained STN needs as well.
_TRAINING_FIELDS = (
    *("output_activation", "reconstruction_weight", "kl_weight", "learning_rate", "learning_rate_schedule"),
    *("reconstruction_target", "consistency_weight", "consistency_form"),
    *("residual_blocks", "view_brightness", "view_noise", "view_erasing"),
)


class Control(Model):
    """A model that is fitted, if at all, in closed form.

    learns: whether it is fitted, so that its encodings depend on the training images.
    """

    is_trained = False
    learns = False

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:
        names = [*_TRAINING_FIELDS, "hidden_widths"]
        names += ["batch_size", "weight_decay", "precision"] if config.stn != "pretrained" else []
        names += ["train_dataset"] if not cls.learns and config.probe_fit != "training" else []
        return names

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        if config.stn in ("joint", "inverse"):
            raise ConfigError(
                f"`stn` is {config.stn}, which is trained with the model, and {config.model} is not trained; "
                "it must be none or pretrained",
                "stn",
            )

    def fit(self, images: Dataset) -> None:
        """Takes what the control needs from the training images, as the model sees them."""
