"""The instructor's second screen: a Jupyter server extension that follows the kernels and keeps the time."""
