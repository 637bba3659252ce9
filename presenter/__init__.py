"""What an instructor presents with: cue sheets, schedule, console and rehearsal."""
