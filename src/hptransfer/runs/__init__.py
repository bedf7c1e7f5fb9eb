"""Runs: what a run is, as plain data: its spec, record, budget and FLOPs. No torch here."""
