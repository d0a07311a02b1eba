"""What holds for every dual flow.

rates           comparison theorem, contraction, error bounds of proximal schemes
affine, steps   the affine step of every scheme, and the largest stable one
orbits          periods and amplitudes in closed form
"""
