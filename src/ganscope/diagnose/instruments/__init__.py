"""What is measured at a checkpoint, in NumPy, the same for both libraries."""
