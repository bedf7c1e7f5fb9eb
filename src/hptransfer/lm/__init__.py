"""The reference decoder language model: model, data, optimizer, schedule, stacked training."""
