"""Why and where generators collapse, and how fast they recover.

fate, smoothed          what becomes of a generator that is one point; the data as a kernel sees them
local_modes             oscillations beside the matched data, and constants of Gaussian kernels
energy_law              recovery under the energy distance
"""
