"""The phase diagrams on which theory is confronted with simulation, and the share of cells where they agree."""
