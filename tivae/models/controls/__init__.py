"""Models that no gradient step is made for, to compare with: one a module, named as in a config."""
