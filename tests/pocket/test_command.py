"""The command line of the training."""

from __future__ import annotations

import pytest

from workshop.pocket.training import __main__ as command


def test_only_the_base_can_go_on_from_shipped_weights(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["vae", "--warm"])
    assert "--warm is for the stage base, got vae" in capsys.readouterr().err
