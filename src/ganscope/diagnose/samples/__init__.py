"""The generated samples: collapsed or not now, how far they have wandered, what became of a finished run."""
