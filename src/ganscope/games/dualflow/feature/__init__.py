"""Particles against a discriminator that is a sum of features, or of kernels.

model, laws                     parameters; laws on a line by their distribution functions
maps, sums                      feature maps, and their compiled means and gradients
engine, pair                    compiled schemes and flow, and the reference they are tested against
history, kernel_fields          discriminators in the space of any kernel
limit, quantile_flow            the fast discriminator; the energy distance on a line, exactly
simulation                      which engine makes a run, and what is recorded
linearisation, prediction       theory beside a state, constants and bounds; the prediction
"""
