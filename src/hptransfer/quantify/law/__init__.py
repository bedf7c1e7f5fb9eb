"""Law: how optima, losses and curvatures go with scale."""
