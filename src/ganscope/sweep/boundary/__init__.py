"""Boundaries between outcomes in a plane, and branches of equilibria with their bifurcations.

boundary        the verb `boundary`
probe           outcomes at points of the plane
refinement      a lattice that is divided only where its corners differ; crossings orders them to curves
shares          where half of the replicas change their outcome, with an error bar
level_curves    boundaries as curves on which a growth rate vanishes
branches        the verb `continuation`
"""
