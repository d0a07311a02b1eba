"""Networks as PyTorch modules, which are read and never changed; PyTorch is imported here alone."""
