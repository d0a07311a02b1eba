"""Carrying out the tiles of a sweep: the loop of the driver, and the executors that it may have."""
