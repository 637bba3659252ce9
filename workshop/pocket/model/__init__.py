"""The pocket networks: their architecture, their tokens, and the reader that judges pictures.

In `workshop`, only `looking`, `profiles`, `labs` and `pocket` itself may import from here, the reader
included; tests/test_house.py holds the others off.
"""
