"""How MMFA is trained: the recipe of its networks, and that of its latent space of expressions."""
