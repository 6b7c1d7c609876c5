"""The quick version goes through every step of the full one, with little of each."""

from study.space import search_space
from study.space.quick import EPOCHS, TEST_IMAGES, TRAIN_IMAGES, shrunk, warning
from tivae.config import TrialConfig

GRID = search_space.read(search_space.find("paper_grid"))


def test_every_cell_of_the_grid_is_there_once_and_small():
    small = shrunk(GRID.trials)
    assert len(small) == 8
    for config, original in zip(small, GRID.trials, strict=True):
        assert (config.train_dataset, config.model, config.stn) == (
            original.train_dataset,
            original.model,
            original.stn,
        )
        assert (config.train_images, config.test_images) == (TRAIN_IMAGES, TEST_IMAGES)
        assert config.epochs == EPOCHS
        assert config.stn_epochs == (EPOCHS if config.stn == "pretrained" else None)


def test_one_seed_of_each_cell_is_kept():
    seeds = [TrialConfig(seed=seed, latent_dim=size) for seed in (3, 1) for size in (2, 5)]
    assert [(config.seed, config.latent_dim) for config in shrunk(seeds)] == [(3, 2), (3, 5)]


def test_what_is_smaller_already_stays_as_it_is():
    (config,) = shrunk([TrialConfig(train_images=500, test_images=200, epochs=1)])
    assert (config.train_images, config.test_images, config.epochs) == (500, 200, 1)


def test_cells_that_become_equal_are_one_trial():
    assert len(shrunk([TrialConfig(epochs=20), TrialConfig(epochs=40)])) == 1


def test_what_the_command_line_sets_stays_and_all_seeds_where_it_sets_them():
    trials = [TrialConfig(epochs=4, train_images=20_000, seed=seed) for seed in range(3)]
    assert {config.epochs for config in shrunk(trials, {"epochs"})} == {4}
    assert {config.train_images for config in shrunk(trials, {"train_images"})} == {20_000}
    assert [config.seed for config in shrunk(trials, {"seed"})] == [0, 1, 2]
    assert [config.seed for config in shrunk(trials, {"epochs"})] == [0]


def test_the_warning_says_what_is_run():
    small = shrunk([TrialConfig(epochs=4, seed=seed) for seed in range(3)], {"epochs", "seed"})
    assert warning(small).startswith("QUICK VERSION: 6,000 training images, 2,000 test images, 4 epochs, 3 seeds.")
    assert "20,000 training images, 2,000 test images, 2 epochs, 1 seed." in warning(
        shrunk([TrialConfig(train_images=20_000)], {"train_images"})
    )
    assert "all training images" in warning(shrunk([TrialConfig()], {"train_images"}))
    assert "4 epochs, 2 epochs of the STN" in warning(shrunk([TrialConfig(stn="pretrained", epochs=4)], {"epochs"}))
    assert "1 epoch, 1 seed." in warning([TrialConfig(epochs=1)])
