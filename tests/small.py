"""A config whose trial takes half a second."""

from tivae.config import TrialConfig

# That of the default data set.
STANDARD = TrialConfig().standardisation


def small(**changes):
    """A trial of 2 epochs with few images and a narrow network, with `changes`."""
    fields = {"train_images": 200, "test_images": 100, "hidden_widths": (8, 16), "epochs": 2, "batch_size": 32}
    return TrialConfig(**(fields | changes))
