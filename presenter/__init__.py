"""What stands behind the presenter: cue sheets, schedule and console. Empty so far."""
