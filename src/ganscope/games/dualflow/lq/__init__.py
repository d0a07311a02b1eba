"""The linear-quadratic GAN: normal laws against quadratic discriminators, in factor form.

model, state, pair      parameters; the state and its field; the game as a pair of flows
engine, simulation      compiled flow and schemes; runs and what is recorded
theory, prediction      equilibria, critical speeds, orbits; the prediction
gaussian                distances of normal laws, and their proximal steps with entropy
"""
