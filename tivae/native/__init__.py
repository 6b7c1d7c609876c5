"""Compiled kernels for the convolutions of training on a CPU; see `kernels.cpp` for how they are made."""

from tivae.native.library import VARIABLE
from tivae.native.stacks import Plan, available, fits, plan, run

__all__ = ["VARIABLE", "Plan", "available", "fits", "plan", "run"]
