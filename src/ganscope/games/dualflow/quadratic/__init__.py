"""Games whose energies are quadratic forms: everything in closed form, every scheme an affine map.

model, cells, pair      parameters; batches of them; the game as a pair of flows
engine                  compiled iterations of affine maps, and the flow by its exponential
prediction              the prediction
"""
