"""Basin: the loss of one scale as a function of the hyperparameter."""
