"""GAN training as a pair of gradient flows in metric spaces, after Turinici: the limit of vanishing step size."""
