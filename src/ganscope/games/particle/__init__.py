"""GAN training as particles coupled by the generator's kernel, after Durr, Mroueh, Tu and Wang."""
