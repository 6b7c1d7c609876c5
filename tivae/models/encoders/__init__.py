"""Models that are trained otherwise than by decoding alone: one a module, named as in a config."""
