"""Evaluation of trained models: losses, probes, collapse diagnostics and measures of invariance."""
