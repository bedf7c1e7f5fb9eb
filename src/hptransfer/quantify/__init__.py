"""Quantify the transfer: basins, laws, metrics, predictions and verdicts of a sweep table. Never torch."""
