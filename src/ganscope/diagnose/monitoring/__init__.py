"""A training run watched from inside, within a budget of time."""
