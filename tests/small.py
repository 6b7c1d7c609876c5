"""A config whose trial takes half a second, and what two runs of one trial have in common."""

from tivae.config import TrialConfig

# That of the default data set.
STANDARD = TrialConfig().standardisation
TIMES = {"wall_seconds", "images_per_second"}
# A categorical VAE whose temperature falls every 100 steps.
ANNEALED = {
    **{"model": "categorical_vae", "latent_dim": 4, "categories": 5},
    **{"temperature": 1.0, "minimum_temperature": 0.1, "annealing_rate": 5e-3},
}


def small(**changes):
    """A trial of 2 epochs with few images and a narrow network, with `changes`."""
    fields = {"train_images": 200, "test_images": 100, "hidden_widths": (8, 16), "epochs": 2, "batch_size": 32}
    return TrialConfig(**(fields | changes))


def untimed(rows):
    """The rows of epochs without what differs from one run to the next."""
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
