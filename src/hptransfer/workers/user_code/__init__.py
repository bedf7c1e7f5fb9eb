"""Own: training code of the user's, called as a command or a function."""
