"""GANs whose discriminator lives in the space of a kernel, after Becker, Pandit, Rangan and Fletcher."""
