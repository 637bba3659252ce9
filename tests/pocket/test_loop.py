"""The training loop: resumed, averaged, shared by several processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from workshop.pocket.training import __main__ as command
from workshop.pocket.training import checkpoint
from workshop.pocket.training import loop as train


class Line:
    """The smallest stage: fit y = 3x by a line."""

    name, steps, rate, batch, ema = "line", 40, 0.1, 8, 0.9

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(1, 1)

    def loss(self, step: int) -> torch.Tensor:
        x = torch.randn(self.batch, 1)
        return (self.network(x) - 3 * x).square().mean()

    def report(self) -> str:
        return f"slope {self.network.weight.item():.3f}"


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path):
    train.train(Line(), tmp_path / "whole", steps=40, minutes=1)
    train.train(Line(), tmp_path / "parts", steps=40, minutes=0)  # one step, then the time is over
    train.train(Line(), tmp_path / "parts", steps=40, minutes=1)
    whole, parts = (load_file(tmp_path / name / "line.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_training_learns_and_keeps_an_average(tmp_path: Path):
    stage = Line()
    train.train(stage, tmp_path, steps=200, minutes=1)
    assert stage.network.weight.item() == pytest.approx(3, abs=0.05)
    assert checkpoint.load_trained(tmp_path, "line")["weight"].item() == pytest.approx(3, abs=0.1)


def test_the_learning_rate_warms_up_and_decays():
    rates = [train.learning_rate(Line(), step, 1000) for step in (0, 99, 999)]
    assert rates[0] < rates[1]
    assert rates[2] == pytest.approx(0.1 * 0.02, rel=0.01)


def test_two_processes_average_their_gradients_and_stop_together(monkeypatch: pytest.MonkeyPatch):
    def other_process_adds(flat: torch.Tensor) -> None:
        flat += torch.cat([torch.full((len(flat) - 1,), 3.0), torch.ones(1)])  # its gradients, and it stops

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(train.dist, "all_reduce", other_process_adds)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    assert train.average_gradients([weight], stop=False) is True
    assert torch.equal(weight.grad, torch.full((2, 2), 2.0))


def test_one_process_leaves_its_gradients_alone():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    assert train.average_gradients([weight], stop=False) is False
    assert torch.equal(weight.grad, torch.ones(2))


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_training_stops_before_a_step_that_is_no_number_and_keeps_its_checkpoint(
    factor: float, tmp_path: Path
):
    class Broken(Line):
        def loss(self, step: int) -> torch.Tensor:
            return super().loss(step) * (factor if step == 3 else 1)

    train.train(Line(), tmp_path, steps=2, minutes=1)
    before, stage = (tmp_path / "line.safetensors").read_bytes(), Broken()
    with pytest.raises(
        FloatingPointError, match=r"stage line the loss of step 3 .* --rate below 0\.1: the stage goes on"
    ):
        train.train(stage, tmp_path, steps=40, minutes=1)
    assert stage.network.weight.isfinite().all()
    assert (tmp_path / "line.safetensors").read_bytes() == before
    train.train(Line(), tmp_path, steps=40, minutes=1)  # as the message says


def test_the_command_ends_with_1_where_a_loss_is_no_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    class Broken(Line):
        def __init__(self, folder: Path, device: str) -> None:
            super().__init__()

        def loss(self, step: int) -> torch.Tensor:
            return super().loss(step) * math.nan

    monkeypatch.setitem(command.STAGES, "text", Broken)
    with pytest.raises(SystemExit) as ended:
        command.main(["text", "--folder", str(tmp_path)])
    assert ended.value.code == 1
    assert "the loss of step 0 is nan" in capsys.readouterr().err
