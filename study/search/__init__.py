"""Optuna searches: the journal, the sampler's trials as jobs, and what was found."""
