"""Training: the loop, autoencoders with or without an STN, and pretraining of the STN."""
