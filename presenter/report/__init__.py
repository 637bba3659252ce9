"""A talk that was held: planned against actual, and what the next plan learns from it."""
