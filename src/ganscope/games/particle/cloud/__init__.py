"""Particles against a discriminator that learns from samples: a network, or a kernel.

model, target       the game: particles, kernel numbers, what they shall learn
levels, simulation, observables     runs, and what they record
training            the compiled step; discriminators, piecewise_linear: how a discriminator is evaluated
noise               starts and minibatches
network_level, kernel_matrix        a real generator behind the particles, or its measured kernel
linearisation, slope_gram, prediction       linear theory about the matched configuration
transverse          growth of a collapsed cloud
angular             the discriminator's kernel by angular harmonics
data                handwritten digits as points
"""
