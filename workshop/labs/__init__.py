"""What the labs share. Each algorithm in here stands in a lab's cells first; a test holds both equal."""

from workshop.files import REPO

FOLDER = REPO / "data" / "labs"
"""Checkpoints of the labs, each with its row in the card."""
