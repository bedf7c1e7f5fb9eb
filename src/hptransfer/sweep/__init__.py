"""Studies: spec, plan, trial, store, executors, run."""
