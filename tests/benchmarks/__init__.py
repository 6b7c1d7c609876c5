"""Speed, as ratios measured in one run: `uv run --group benchmarks python -m tests.benchmarks`."""
