"""Fronts: one a module, named as in a config. A new file here is a new choice of `front`."""
