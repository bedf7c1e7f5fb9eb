"""The sweep table, and its readers: files, dataframes, run tables and Optuna studies in, a SweepTable out."""

from hptransfer.sweep.read import read

__all__ = ["read"]
