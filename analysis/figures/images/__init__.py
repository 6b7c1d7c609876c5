"""Figures that show images: samples, reconstructions, what the STN makes of them, and what the probe gets wrong."""
