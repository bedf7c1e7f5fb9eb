"""Joint: the loss of one scale as a function of two or three hyperparameters, their optimum and its laws."""
