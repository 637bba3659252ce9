"""The command line of the training."""

from __future__ import annotations

import pytest

from workshop.pocket.training import __main__ as command


def test_only_base_and_vae_can_go_on_from_shipped_weights(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["reader", "--warm"])
    assert "--warm is for the stages base and vae, got reader" in capsys.readouterr().err
