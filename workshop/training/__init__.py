"""Train a LoRA on a few pictures."""
