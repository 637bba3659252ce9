"""The helpers that the notebooks of the Qwen-Image Workshop share; importing it imports nothing heavy."""

__version__ = "0.1.0"
