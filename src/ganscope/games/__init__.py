"""One folder per model: the model, its engines, its theory."""
