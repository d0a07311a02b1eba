"""The solvable high-dimensional GAN of Wang, Hu and Lu.

Where to look, from what is played to what became of it:

    model           the game: parameters, start, levels
    state, packing  the overlaps P, q, r, S, z, and their order in a row of numbers
    links           the discriminator's link functions
    drift           the formula of the limiting ODE, for NumPy and JAX
    limit, flow     levels ode and sde: the compiled ODE, and runs of both
    step, chain     one SGD step on the overlaps, and the exact chain made of it
    sgd, starts     SGD on every weight, and weights that realise a start
    finite          runs of chain and sgd over cells, replicas and cores
    simulation      the levels, and the labelled variables of a run
    fluctuations    finite-size covariance along the ODE, and the replica overlap
    silence         silent states, where the discriminator sees nothing, and their matrix
    phases          thresholds, critical overlaps and fixed points in closed form
    equilibria, locked, copying, tangent    states of rest with their spectra
    cells           parameters of many games side by side, which the formulas below take
    phase_rule, decision            the decision rule from parameters to phase
    recommendation, prediction      better parameters, and `predict` as a whole
    verdict         the decision rule from a run to its outcome
    data            principal components of a data set as features
"""
