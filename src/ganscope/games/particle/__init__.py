"""GAN training as particles coupled by the generator's kernel, after Durr, Mroueh, Tu and Wang.

Where to look, from the generator to what becomes of the cloud:

    generator/      the kernel of a wide generator: in theory, measured, and a network that has it
    coupling        kernel numbers and mobilities
    cloud/          ParticleGAN: particles against a discriminator that learns from samples
    torus/          TorusGAN: particles on a circle, exactly solvable
    damping, discrete_modes     the gradient penalty as friction: critical damping, in continuous time and in steps
    collapse        whether a collapsed cloud tears itself apart
    order_parameters, labelled, motion, verdict     what is covered, how the cloud moves, and what became of a run
"""
