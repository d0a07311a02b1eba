"""The clipped game: one point against weights that live in a box."""
