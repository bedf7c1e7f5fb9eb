"""Quantify the transfer: landscape in, TransferFit out. Numpy and scipy only."""
