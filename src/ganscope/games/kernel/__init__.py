"""GANs whose discriminator lives in the space of a kernel, after Becker, Pandit, Rangan and Fletcher.

Where to look, from what is played to what became of it:

    model, kernels  the game: points, masses, rates; kernels as functions of the distance
    simulation      the levels, the choice of a representation, and the labelled variables of a run
    cells           parameters, course and record of a batch of cells
    history, sums   the discriminator as a sum over all places where points have been; compiled sums of kernels
    waves           the discriminator as a sum of waves, compiled for many cells
    fourier_grid, random_features   which waves
    linear_level    level linear
    neighbourhoods  distances, masses and coverage of a run
    isolated, isolated_formulas, isolated_boundaries   one true point far from all others, in closed form
    end_states      what becomes of it beyond linear theory: split states, cycles, self-propulsion
    linearisation, operators        the exact linearisation of any finite point set, dense and without matrices
    good_minimum    its short form where the data are matched, and the best learning rates there
    equilibria      where the game rests
    landscape       what a resting place means: coverage, splits, missing mass
    prediction, recommendation      outcome, rates, limits, and the fastest parameters
    verdict         what became of a run
    data, bandwidths                points from data, and what every bandwidth would mean for them
"""
