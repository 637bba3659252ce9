"""The pocket Qwen-Image: a small illustrated world and a trained miniature of Qwen-Image that draws it."""
