"""Motion control: edits of motion, walks through the expression's latent space, canonical faces, sweeps of the head's pose."""
