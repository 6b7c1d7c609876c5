"""Files: checkpoints, JSON with a digest, and provenance."""
