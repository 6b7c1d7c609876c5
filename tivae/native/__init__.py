"""Compiled kernels for an autoencoder's convolutions and norms on a CPU.

torch's own reach a third to a half of what a processor can do on such small images. These are templates in C++ that are
compiled for a network's own sizes by the machine's compiler, once, in about three seconds (`library`). Where that can't
be done, torch's layers do the work, and the trial's provenance says so.
"""

from tivae.native.library import VARIABLE
from tivae.native.stacks import Plan, available, fits, plan, run

__all__ = ["VARIABLE", "Plan", "available", "fits", "plan", "run"]
