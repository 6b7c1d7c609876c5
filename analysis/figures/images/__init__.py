"""Figures that show images: samples, reconstructions, STN outputs, and what the probe gets wrong."""
