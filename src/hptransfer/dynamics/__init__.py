"""What happens inside a run: the coordinate check."""
