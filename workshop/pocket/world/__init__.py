"""The pocket world: scenes, their pictures, and the words for them."""
