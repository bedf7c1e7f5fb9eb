"""Axes: laws over several axes of scale at once, such as parameters and tokens."""
