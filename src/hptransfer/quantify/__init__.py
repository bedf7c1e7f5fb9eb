"""Quantify the transfer: sweep table in, TransferFit out. Numpy and scipy only."""

from hptransfer.quantify.compare import compare
from hptransfer.quantify.fit import quantify

__all__ = ["compare", "quantify"]
