"""Executors: where the stacks of a study run."""
