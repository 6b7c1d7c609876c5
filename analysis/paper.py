"""Table 1 of the paper, as data: H. Williams, "An Investigation Into Transformation-Invariant VAEs" (2024)."""

from __future__ import annotations

from dataclasses import dataclass

MODEL_NAMES = {"vae": "VAE", "categorical_vae": "categorical VAE"}
STN_NAMES = {"none": "no", "pretrained": "yes"}


@dataclass(frozen=True)
class PaperCell:
    """One row of the table. Accuracies are shares of the test images, losses weighted as in the paper."""

    experiment: int
    train_dataset: str
    model: str
    stn: str
    base_accuracy: float
    augmented_accuracy: float
    base_loss: float
    augmented_loss: float

    @property
    def factors(self) -> dict[str, str]:
        """The fields of `TrialConfig` that make the cell."""
        return {"train_dataset": self.train_dataset, "model": self.model, "stn": self.stn}


TABLE_1 = (
    PaperCell(1, "base", "vae", "none", 0.779, 0.6463, 0.2389, 0.4427),
    PaperCell(1, "base", "vae", "pretrained", 0.7478, 0.6093, 0.1826, 0.2244),
    PaperCell(2, "augmented", "vae", "none", 0.7713, 0.7133, 0.2574, 0.2808),
    PaperCell(2, "augmented", "vae", "pretrained", 0.757, 0.6384, 0.1889, 0.2045),
    PaperCell(3, "base", "categorical_vae", "none", 0.8564, 0.7452, 7.107, 13.0395),
    PaperCell(3, "base", "categorical_vae", "pretrained", 0.8515, 0.7492, 5.2893, 6.5253),
    PaperCell(4, "augmented", "categorical_vae", "none", 0.851, 0.7635, 7.6776, 8.6028),
    PaperCell(4, "augmented", "categorical_vae", "pretrained", 0.851, 0.7504, 5.4501, 5.9202),
)
