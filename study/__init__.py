"""Runs search spaces: from a YAML file to trials on Ray Tune, their records and the table."""

import os

# Read when ray is imported, so they are set before any module here imports it.
# Workers would otherwise be started through `uv run`, each with a virtual environment of its own (30 s).
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
# As many as the dispatcher gives out: with fewer a busy type of device blocks a free one, and on a cluster workers are
# ended where others start anew, as one is kept only where another trial waits for it.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1000")
# Our records and our display take the place of Tune's log files and console output.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# Our display reports the death of a worker in a line.
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
# A study continues from its records: Tune need not save all of its trials again and again.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1000000000")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray warns at every start that this will be its default.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
