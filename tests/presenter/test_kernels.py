"""The hook and the follower against real kernels: every way in which a cell can begin and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from traitlets.config import Config

from presenter import hook, kernels

PATIENCE = 180  # s; a kernel on a busy machine
HUNGRY = "class OutOfMemoryError(RuntimeError): pass\nraise OutOfMemoryError('HIP out of memory. Tried…')"


class Kernel:
    """A kernel that is followed as the console's are, and the log that it writes."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.log = folder / "events.jsonl"
        self.tail = kernels.Tail(self.log)
        self.kernels = kernels.Kernels()
        inherited = os.environ | {"JPY_SESSION_NAME": "notebooks/02_inference.ipynb"} | environment
        kernels.report_cells(inherited, log=self.log)
        self.manager = KernelManager(config=Config(KernelManager={"transport_encryption": "auto"}))
        self.manager.start_kernel(env=inherited, cwd=str(folder))
        self.connect()

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def send(self, source: str, *, cell: str = "") -> str:
        """Ask for a cell's execution as JupyterLab does, with its id in the metadata."""
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        content |= {"user_expressions": {}, "stop_on_error": False}
        message = self.client.session.msg(
            "execute_request", content, metadata={"cellId": cell} if cell else {}
        )
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def run(self, source: str, *, cell: str = "") -> dict:
        return self.reply(self.send(source, cell=cell))

    def reply(self, request: str) -> dict:
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]

    def events(self) -> list[kernels.Event]:
        """Read what is new, and let the follower see it."""
        new = self.tail.read()
        for event in new:
            self.kernels.see(event)
        return new

    def wait_for(self, kind: str) -> kernels.Event:
        limit, seen = time.monotonic() + PATIENCE, []
        while time.monotonic() < limit:
            for event in self.events():
                seen.append(event)
                if event.event == kind:
                    return event
            time.sleep(0.02)
        raise AssertionError(f"no {kind} event came in {PATIENCE} s, but {seen}")

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    started: list[Kernel] = []

    def start(**environment: str) -> Kernel:
        started.append(Kernel(tmp_path, **environment))
        return started[-1]

    yield start
    for kernel in started:
        kernel.stop()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.stop()


@pytest.fixture(autouse=True)
def nothing_unread(request: pytest.FixtureRequest) -> None:
    if "kernel" in request.fixturenames:
        request.getfixturevalue("kernel").events()


def wait_until(found: Callable[[], Any]) -> Any:
    """Wait until a function returns something true, and return that."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"nothing came in {PATIENCE} s, but {found()!r}")


def short(events: list[kernels.Event]) -> list[tuple[str, str]]:
    return [(event.event, event.cell) for event in events]


def event(kind: str, *, at: float = 1000.0, pid: int = 1, cell: str = "", **more: object) -> kernels.Event:
    return kernels.Event(at, kind, pid, "notebooks/02_inference.ipynb", cell, **more)


def test_first_cell_of_a_new_kernel_is_seen(start: Callable[..., Kernel]) -> None:
    kernel, before = start(), time.time()
    kernel.run("1 + 1", cell="first")
    assert short(kernel.events()) == [("start", ""), ("pre", "first"), ("post", "first")]
    (run,) = kernel.kernels.runs
    assert (run.notebook, run.cell, run.state) == ("02_inference", "first", "done")
    assert before <= run.began <= run.ended <= time.time()


def test_notebook_finds_no_trace_of_the_hook(kernel: Kernel) -> None:
    reply = kernel.run("assert not [n for n in globals() if 'startup' in n.lower() or 'hook' in n.lower()]")
    assert reply["status"] == "ok", reply
    reply = kernel.run("import os; assert not {'PYTHONSTARTUP', 'PRESENTER_EVENTS'} & set(os.environ)")
    assert reply["status"] == "ok", reply


@pytest.mark.parametrize(
    ("source", "state", "error"),
    [
        ("1 / 0", "failed", "ZeroDivisionError"),
        ("this is no Python", "failed", "SyntaxError"),
        ("raise MemoryError('one pipeline needs 54 GiB')", "out of memory", "MemoryError"),
        (HUNGRY, "out of memory", "OutOfMemoryError"),
        ("raise RuntimeError('CUDA error: out of memory')", "out of memory", "RuntimeError"),
        ("await __import__('asyncio').sleep(0)\n1 / 0", "failed", "ZeroDivisionError"),
    ],
)
def test_error_is_told_with_its_kind(kernel: Kernel, source: str, state: str, error: str) -> None:
    kernel.run(source, cell="bad")
    assert short(kernel.events()) == [("pre", "bad"), ("post", "bad")]
    run = kernel.kernels.runs[-1]
    assert (run.state, run.error) == (state, error)
    assert run.message and len(run.message) <= hook.MESSAGE_LENGTH


def test_only_the_first_line_of_an_error_is_kept(kernel: Kernel) -> None:
    kernel.run("raise ValueError('x' * 5000 + '\\nsecond line')", cell="long")
    kernel.events()
    assert kernel.kernels.runs[-1].message == "x" * hook.MESSAGE_LENGTH


def test_interrupt_is_told_from_an_error(kernel: Kernel, tmp_path: Path) -> None:
    asleep = tmp_path / "asleep"
    source = f"import pathlib, time\npathlib.Path({str(asleep)!r}).touch()\ntime.sleep(3600)"
    request = kernel.send(source, cell="long")
    wait_until(asleep.exists)
    kernel.manager.interrupt_kernel()
    kernel.reply(request)
    kernel.wait_for("post")
    assert kernel.kernels.runs[-1].state == "interrupted"
    assert kernel.kernels.running == []


def test_runs_inside_a_run_are_not_taken_for_cells(kernel: Kernel) -> None:
    kernel.run("%%capture\nprint('inside')\nget_ipython().run_cell('1 + 1')", cell="outside")
    assert short(kernel.events()) == [("pre", "outside"), ("post", "outside")]
    assert kernel.kernels.runs[-1].state == "done"


def test_runs_without_an_id_are_left_out(kernel: Kernel) -> None:
    kernel.run("'from papermill, or from a console'")
    assert kernel.events() == []


def test_blank_cell_ends_without_having_begun(kernel: Kernel) -> None:
    before = len(kernel.kernels.runs)
    kernel.run("   ", cell="blank")
    assert short(kernel.events()) == [("post", "blank")]
    assert len(kernel.kernels.runs) == before and kernel.kernels.running == []


def test_order_is_kept_under_heavy_output(kernel: Kernel) -> None:
    names = [f"cell-{number}" for number in range(40)]
    loud = "import sys\nfor _ in range(200): print('x' * 500); print('y' * 500, file=sys.stderr)"
    last = [kernel.send(loud, cell=name) for name in names][-1]
    seen: list[tuple[str, str]] = []
    limit = time.monotonic() + PATIENCE
    while len(seen) < 2 * len(names) and time.monotonic() < limit:
        seen += short(kernel.events())
        time.sleep(0.02)
    kernel.reply(last)
    assert seen == [(kind, name) for name in names for kind in ("pre", "post")]
    assert kernel.tail.unreadable == 0


def test_cells_that_waited_are_told_from_cells_run_by_hand() -> None:
    seen, at = kernels.Kernels(), 1000.0
    for cell, pause in (("by hand", 9.0), ("next by hand", 0.5), ("run all 1", 0.01), ("run all 2", 0.02)):
        at += pause
        seen.see(event("pre", at=at, cell=cell))
        seen.see(event("post", at=at + 3.0, cell=cell))
        at += 3.0
    queued = {run.cell: run.queued for run in seen.runs}
    assert queued == {"by hand": False, "next by hand": False, "run all 1": True, "run all 2": True}


def test_restarted_kernel_is_followed_from_its_first_cell(start: Callable[..., Kernel]) -> None:
    kernel = start()
    kernel.run("1 + 1", cell="before")
    kernel.client.stop_channels()
    kernel.manager.restart_kernel()
    kernel.connect()
    kernel.run("1 + 1", cell="after")
    events = kernel.events()
    assert ("stop", "") in short(events)
    assert short(events)[-3:] == [("start", ""), ("pre", "after"), ("post", "after")]
    assert kernel.kernels.ran("02_inference") == {"after"}  # what ran before is forgotten with its variables


def test_killed_kernel_is_noticed_from_outside(start: Callable[..., Kernel]) -> None:
    kernel = start()
    pid = kernel.wait_for("start").pid
    kernel.send("import time\ntime.sleep(3600)", cell="fatal")
    kernel.wait_for("pre")
    assert kernel.kernels.end_lost(now=time.time()) == []  # it still runs
    os.kill(pid, signal.SIGKILL)
    lost = wait_until(lambda: kernel.kernels.end_lost(now=time.time()))
    assert [(run.cell, run.state) for run in lost] == [("fatal", "died")]
    assert short(kernel.events()) == []  # it said nothing
    assert kernel.kernels.end_lost(now=time.time()) == []  # and is told once


def test_startup_file_of_before_still_runs(start: Callable[..., Kernel], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("import math\nMINE = 41\n", encoding="utf-8")
    kernel = start(PYTHONSTARTUP=str(own))
    reply = kernel.run("import os\nassert MINE == 41 and math.pi > 3", cell="uses it")
    assert reply["status"] == "ok", reply
    assert short(kernel.events()) == [("start", ""), ("pre", "uses it"), ("post", "uses it")]
    told = kernel.run(f"assert os.environ['PYTHONSTARTUP'] == {str(own)!r}")
    assert told["status"] == "ok", told  # what the kernel starts itself gets the person's own file


def test_broken_startup_file_of_before_does_not_stop_the_following(
    start: Callable[..., Kernel], tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("1 / 0\n", encoding="utf-8")
    kernel = start(PYTHONSTARTUP=str(own))
    kernel.run("1 + 1", cell="first")
    assert short(kernel.events()) == [("start", ""), ("pre", "first"), ("post", "first")]


def test_terminal_runs_only_the_startup_file_of_before(tmp_path: Path) -> None:
    own, log = tmp_path / "own.py", tmp_path / "events.jsonl"
    own.write_text("print('mine')\n", encoding="utf-8")
    environment = os.environ | {"PYTHONSTARTUP": str(own)}
    kernels.report_cells(environment, log=log)
    done = subprocess.run(
        [sys.executable, "-i"], input="", env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "mine\n", done.stderr
    assert log.read_text(encoding="utf-8") == ""


def test_watching_twice_chains_nothing_to_itself(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    kernels.report_cells(environment, log=tmp_path / "first.jsonl")
    kernels.report_cells(environment, log=tmp_path / "second.jsonl")
    assert "PRESENTER_STARTUP" not in environment
    assert environment["PRESENTER_EVENTS"].endswith("second.jsonl")


def test_log_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.touch(mode=0o644)
    kernels.report_cells({}, log=log)
    assert log.stat().st_mode & 0o777 == 0o600
    log.unlink()
    hook.Hook(str(log)).write("start")  # the log was moved away, and a kernel makes it anew
    assert log.stat().st_mode & 0o777 == 0o600


def test_full_disk_does_not_stop_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*anything: object) -> int:
        raise OSError(28, "No space left on device")

    following = hook.Hook(str(tmp_path / "events.jsonl"))
    monkeypatch.setattr(hook.os, "write", full)
    following.before(SimpleNamespace(cell_id="first"))


def test_event_is_one_write_to_a_file_that_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following = hook.Hook(str(tmp_path / "events.jsonl"))
    calls: list[str] = []
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(hook.os, "write", lambda file, line: calls.append("write") or write(file, line))
        for name in ("open", "fsync"):
            patch.setattr(hook.os, name, lambda *_, name=name: calls.append(name))
        following.before(SimpleNamespace(cell_id="strength-grid"))
    assert calls == ["write"]


def test_tail_gives_a_line_only_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    tail = kernels.Tail(log)
    assert tail.read() == []  # the log is not there yet
    line = json.dumps({"at": 1.0, "event": "pre", "pid": 7, "notebook": "n.ipynb", "cell": "첫"}).encode()
    with log.open("ab") as file:
        for piece in (line[:20], line[20:-3], line[-3:]):
            file.write(piece)
            file.flush()
            assert tail.read() == []
        file.write(b"\n")
    assert [event.cell for event in tail.read()] == ["첫"]


def test_lines_that_are_no_events_are_counted_and_skipped(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    good = b'{"at": 1.0, "event": "pre", "pid": 7, "notebook": "", "cell": "after"}\n'
    log.write_bytes(
        b"\0\0\0\n" + b'{"at": 1.0}\n' + b"[1]\n" + b'{"at":1,"event":"boo","pid":1,"notebook":""}\n' + good
    )
    tail = kernels.Tail(log)
    assert [event.cell for event in tail.read()] == ["after"]
    assert tail.unreadable == 4


def test_emptied_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    line = b'{"at": 1.0, "event": "pre", "pid": 7, "notebook": "", "cell": "after"}\n'
    log.write_bytes(line * 3)
    tail = kernels.Tail(log)
    assert len(tail.read()) == 3
    log.write_bytes(line)
    assert len(tail.read()) == 1


def test_cell_that_never_ended_died_when_the_next_begins() -> None:
    seen = kernels.Kernels()
    for one in (event("pre", cell="lost"), event("pre", at=1005.0, cell="next")):
        seen.see(one)
    assert [(run.cell, run.state) for run in seen.runs] == [("lost", "died"), ("next", "running")]


def test_process_that_took_over_an_id_is_not_the_kernel() -> None:
    assert kernels.is_alive(os.getpid(), since=time.time())
    assert not kernels.is_alive(os.getpid(), since=1.0)  # this process began after 1970


@pytest.mark.parametrize(
    "wrong", [{"at": "noon"}, {"at": float("nan")}, {"pid": "7"}, {"notebook": None}, {"cell": 1}]
)
def test_line_with_fields_of_another_kind_is_no_event(wrong: dict[str, object]) -> None:
    sound = {"at": 1.0, "event": "pre", "pid": 7, "notebook": "01_one.ipynb", "cell": "a"}
    assert kernels.parse_event(json.dumps(sound).encode()) is not None
    assert kernels.parse_event(json.dumps(sound | wrong).encode()) is None


def test_browsers_time_tells_a_cell_asked_for_by_hand_from_run_all(kernel: Kernel) -> None:
    kernel.events()
    names = ["runs for a while", "by hand meanwhile", "run all with it"]
    kernel.send("import time; time.sleep(0.6)", cell=names[0])
    time.sleep(0.4)
    kernel.send("1", cell=names[1])
    kernel.reply(kernel.send("2", cell=names[2]))
    kernel.events()
    queued = {run.cell: run.queued for run in kernel.kernels.runs if run.cell in names}
    assert queued == dict(zip(names, (False, False, True), strict=True))
