"""Shared parts of the figures: style, captions, image grids, saving, and the choice of representative trials."""
