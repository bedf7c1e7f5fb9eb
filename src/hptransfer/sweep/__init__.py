"""Readers: files, dataframes, run tables and Optuna studies in, a Landscape out."""

from hptransfer.readers.read import read

__all__ = ["read"]
