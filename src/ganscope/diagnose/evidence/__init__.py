"""Trying it out: twin forks, forked races, and training runs from the checkpoint."""
