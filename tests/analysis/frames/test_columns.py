"""The documented columns against what `tivae` writes."""

import pytest

import analysis
from analysis.frames.columns import COLUMNS, CONFIG_NAMES, columns_frame, columns_markdown
from analysis.frames.metric_columns import TIMESTAMP
from tests.small import small
from tivae import stages
from tivae.config import known_fields
from tivae.io import provenance

CONFIGS = [
    small(model="categorical_vae", stn="joint", train_dataset="augmented", validation_images=100),
    small(stn="pretrained", stn_epochs=1, consistency_weight=0.1, reconstruction_target="base"),
    small(model="autoencoder", epochs=1),
    small(model="pixels"),
]

# Before a test adds models with fields of their own.
KNOWN = tuple(known_fields())


def test_the_loss_terms_of_models_are_documented():
    for frame in ("trials", "epochs"):
        meaning = columns_frame(frame).set_index("name")["meaning"]
        assert meaning["train_variance"].startswith("loss term of VICReg: ")
        assert meaning.index.is_unique


def test_every_column_is_documented_once():
    for columns in COLUMNS.values():
        assert len({column.name for column in columns}) == len(columns)
        assert all(column.meaning for column in columns)
        assert {column.dtype for column in columns} <= {"string", "Int64", "float64", "boolean", TIMESTAMP}


def test_every_field_of_a_config_has_its_column():
    assert CONFIG_NAMES == KNOWN


@pytest.mark.parametrize("name", ["trials", "epochs"])
def test_the_documentation_has_a_row_per_column(name):
    names = columns_frame(name)["name"].tolist()
    assert names[: len(COLUMNS[name])] == [column.name for column in COLUMNS[name]]
    shown = columns_markdown(name)
    assert all(f"| `{column.name}` | {column.dtype} | {column.unit} |" in shown for column in COLUMNS[name])


@pytest.fixture(scope="module")
def study(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for config in CONFIGS:
        record = stages.run_trial(config, host, "cpu", folder, measures="all")
        assert record["status"] == "finished", record["error"]
    return analysis.load(folder)


@pytest.mark.parametrize("name", ["trials", "epochs"])
def test_what_real_trials_write_is_documented(study, name):
    frame = getattr(study, name)
    assert [(column, str(dtype)) for column, dtype in frame.dtypes.items()] == [
        (column.name, column.dtype) for column in COLUMNS[name]
    ]
    # A column that nothing fills would be a misspelt one.
    empty = {column for column in frame if frame[column].isna().all()}
    # As in a copy that is no clone.
    without_git = {"commit"} if provenance.commit() is None else set()
    assert empty <= {"error", *CONFIG_NAMES, *without_git}
    assert [study.trial(config.key).config for config in CONFIGS] == CONFIGS
