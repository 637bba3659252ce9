"""The command line of the training."""

from __future__ import annotations

import pytest

from workshop.pocket.training import __main__ as command


def test_only_some_stages_can_go_on_from_shipped_weights(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["feature", "--warm"])
    told = capsys.readouterr().err
    assert "--warm is for the stages vae, reader, base, multi, edit, artaug, f2p, got feature" in told
