"""What the shipped model can do, measured."""
