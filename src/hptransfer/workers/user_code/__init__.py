"""Training code of the user's own, called as a command or a function."""
