"""Training of the pocket model, from the renderer alone."""
