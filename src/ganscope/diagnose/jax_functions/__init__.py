"""Networks as JAX functions of trees of arrays; JAX is imported here alone."""
