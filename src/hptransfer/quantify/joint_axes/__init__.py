"""Joint over axes: several hyperparameters at once, and their laws over several axes of scale."""
