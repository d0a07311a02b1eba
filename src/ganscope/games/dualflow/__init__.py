"""GAN training as a pair of gradient flows in metric spaces, after Turinici: the limit of vanishing step size.

Where to look, from what is played to what became of it:

    pair, spaces                    two energies, two speeds, two metric spaces: what every game here is made of
    levels, schemes                 the flow, the five ways of stepping towards it, and the midpoint rule
    game, questions, failures       what the games share; what can go wrong, by name

    quadratic_game                  energies that are quadratic forms: everything in closed form (quadratic_*, affine,
                                    linear_engine)
    dirac, clipped                  two numbers, or one against many; orbits has their periods (*_engine, clipped_flow)
    lq                              Gaussian laws against quadratic discriminators (lq_*, gaussian)
    feature                         particles against a sum of features, or a kernel:
        feature_maps, feature_sums  the features and their compiled sums
        feature_engine              compiled schemes and flow; feature_pair is the reference
        feature_history, feature_limit, kernel_fields   any kernel; the fast discriminator
        quantile_flow, laws         the energy distance on a line, exactly; laws by distribution functions
        feature_linearisation, feature_prediction       theory beside a state; the prediction

    rates, steps                    comparison theorem, error bounds, contraction; largest stable steps
    collapse, smoothed, local_modes, energy_law         why and where generators collapse, and how fast they recover
    variational                     certificates of steps and defects of runs
    observables, modes, verdict     what is measured on runs, and what became of them
"""
