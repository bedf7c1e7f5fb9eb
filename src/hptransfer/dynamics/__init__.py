"""What happens inside a run: the coordinate check, probes, spikes, the critical learning rate."""
