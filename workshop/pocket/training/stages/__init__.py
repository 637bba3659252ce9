"""The stages of training, one network each."""
