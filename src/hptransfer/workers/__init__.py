"""The executors that train stacks of runs, and users' own training code."""
