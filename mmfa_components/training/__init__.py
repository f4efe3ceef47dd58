"""What training recipes are made of: labels, clips, pairs, options, and the recipe itself."""
