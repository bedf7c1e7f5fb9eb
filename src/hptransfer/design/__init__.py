"""Design: which runs to make next, and what a budget buys."""
