"""Workers: the engines that train stacks of runs, and users' own training code."""
