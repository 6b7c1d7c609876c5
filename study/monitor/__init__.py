"""Progress of a run: the live table, status for other processes, TensorBoard and MLflow."""
