"""Optimizers: update rules as definitions, theorems about them, proofs, checks."""

from .derivation import OptimizerDerivation, derive_optimizer
from .rule import Optimizer
from .verification import verify_optimizer

__all__ = ["Optimizer", "OptimizerDerivation", "derive_optimizer", "verify_optimizer"]
