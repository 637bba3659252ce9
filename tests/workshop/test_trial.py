"""A trial tells what only a run can tell: the warm-up, and preflight --full."""

from __future__ import annotations

import json

import pytest

from workshop import loading, notebooks, preflight, trial
from workshop.runner import run


@pytest.fixture(autouse=True)
def nothing_loaded():
    loading.free()
    yield
    loading.free()


def test_preflight_times_a_step_of_every_pipeline_beside_what_is_predicted(capsys):
    code = preflight.main(["--profile", "pocket", "--full", "--json"])
    said, progress = capsys.readouterr()
    tried = [one for one in json.loads(said)["checks"] if one["name"].endswith(" runs")]
    assert [one["name"].split()[0] for one in tried] == list(trial.REFERENCES)
    assert all("a step" in one["found"] and "s predicted" in one["found"] for one in tried)
    assert code == (0 if all(one["ok"] for one in tried) else 1)  # a busy machine may be slow
    assert progress.count("Trying ") == 3
    assert loading.loaded() == ()


def test_more_references_are_more_work(pocket_pipe):
    work = [trial.count_work(name, pocket_pipe, size=128, auto_resize=False) for name in trial.REFERENCES]
    blocks, width = 6, 192
    assert work == [
        2 * blocks * (24 * width**2 * tokens + 4 * width * tokens**2) for tokens in (64, 128, 192)
    ]
    assert trial.count_work("Qwen-Image", pocket_pipe, size=128, auto_resize=True) == work[0]
    assert trial.count_work("Qwen-Image-Edit", pocket_pipe, size=128, auto_resize=True) > 30 * work[1]


@pytest.fixture
def pocket_pipe():
    from tests.support.machines import MACHINE

    return loading.load_pipeline("Qwen-Image", profile=MACHINE)


def test_a_slow_step_and_a_broken_pipeline_are_no_readiness(monkeypatch):
    from tests.support.machines import MACHINE

    answers = iter([trial.Trial("Qwen-Image", 1.0, 2.0, 0.9, 0.3), RuntimeError("HIP error: no kernel")])

    def answer(*_: object, **__: object) -> trial.Trial:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(trial, "run", answer)
    slow = preflight.try_pipeline("Qwen-Image", MACHINE, rate=1e12)
    assert not slow.ok and "a step 0.9 s, 0.3 s predicted" in slow.found and "rocm-smi" in slow.remedy
    broken = preflight.try_pipeline("Qwen-Image", MACHINE, rate=1e12)
    assert not broken.ok and broken.found == "RuntimeError: HIP error: no kernel" and broken.remedy


def test_full_waits_until_the_files_are_there(monkeypatch, capsys):
    missing = preflight.Check("Qwen-Image transformer", False, "missing", "./scripts/download Qwen-Image")
    monkeypatch.setattr(preflight, "check", lambda profile: [missing])
    assert preflight.main(["--profile", "pocket", "--full"]) == 1
    assert " runs " not in capsys.readouterr().out


def test_notebooks_name_their_pipelines():
    def choose(*names: str) -> list[str]:
        return trial.choose(notebooks.select(names))

    assert choose("02") == choose("L02") == choose("L03") == ["Qwen-Image"]
    assert choose("05", "06")[-1] == "Qwen-Image-Edit-2509"
    assert choose("L01") == []


def test_nothing_predicts_the_pocket_model_on_a_card(monkeypatch):
    from tests.support.machines import MACHINE

    monkeypatch.setattr(trial, "UTILISATION", {})
    tried = trial.run("Qwen-Image", MACHINE, rate=1e20)
    assert tried.predicted is None and not tried.slow and str(tried).endswith("nothing predicted")


def test_the_warm_up_goes_on_after_a_pipeline_that_fails(monkeypatch, capsys):
    real = trial.run

    def fail_first(name: str, *args: object, **settings: object) -> trial.Trial:
        if name == "Qwen-Image":
            raise RuntimeError("HIP error: no kernel")
        return real(name, *args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "run", fail_first)
    assert run.main(["05", "--profile", "pocket", "--warm-up"]) == 1
    said = capsys.readouterr().out
    assert "✗ Qwen-Image: RuntimeError: HIP error: no kernel" in said
    assert "✓ Qwen-Image-Edit: loaded in" in said and "Loading models" not in said
    monkeypatch.undo()
    assert run.main(["L01", "--profile", "pocket", "--warm-up"]) == 0
    assert "use no pipeline" in capsys.readouterr().out
    assert run.main(["05", "--profile", "pocket", "--warm-up", "--dry-run"]) == 0
    assert "Would run a short picture with each pipeline of 05_edit" in capsys.readouterr().out
