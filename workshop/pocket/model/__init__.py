"""The pocket networks: their architecture, their tokens, and the reader that judges pictures."""
