"""`python -m workshop.pocket.measure`: the command line of the measuring."""

from workshop.pocket.measure.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
