"""Execution: Ray Tune, devices, the cluster, and the worker that runs one job."""
