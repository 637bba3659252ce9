"""`python -m workshop.pocket.training STAGE`: the command line of the training."""

from workshop.pocket.training.loop import main

if __name__ == "__main__":
    raise SystemExit(main())
