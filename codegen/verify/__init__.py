"""Checks of gradients beside the proof: exact finite ones, an independent oracle, mutants."""
