"""GAN training as a pair of gradient flows in metric spaces, after Turinici: the limit of vanishing step size.

Where to look, from what is played to what became of it:

    pair, spaces            two energies, two speeds, two metric spaces: what every game here is made of
    levels, schemes         the flow, the five ways of stepping towards it, and the midpoint rule
    game, questions         what the games share, and how they are asked
    failures                what can go wrong, by name

    quadratic               energies that are quadratic forms
    dirac, clipped          two numbers, or one against many weights in a box
    lq                      normal laws against quadratic discriminators
    feature                 particles against a sum of features, or a kernel

    theory                  comparison, error bounds, contraction, largest steps, orbits: whatever the game
    collapse                why and where generators collapse, and how fast they recover
    variational             certificates of steps and defects of runs
    observables, modes      what is measured on laws
    verdict                 what became of a run

Every game's folder has a `model` (parameters), a `prediction`, the `pair` where it is more than a few lines, and the
`engine` that is compiled.
"""
