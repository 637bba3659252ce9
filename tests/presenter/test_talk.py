"""A whole talk in a real browser: JupyterLab on one screen, the console on the other, and time that flies.

The cue sheets, notebooks and fallback pictures are the workshop's own. Two things are not: the clock is
turned forward in place of waiting, and a stand-in answers for each cell, so that nothing is loaded or drawn.
The presenter has never seen the material and does what the console's page says, cell by cell.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from presenter import cues, journal, kernels, runtimes
from tests.support.browser import CHROMIUM, LAPTOP, PROJECTOR, SHIFT, Browser, Tab, open_page
from tests.support.lesson import GO_ON
from tests.support.server import Server
from workshop import gallery, notebooks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
BREAK = 5.0  # minutes
SPARE = 4.0  # minutes that the last cut may have saved too much
FAILS = ("03_lora", "after")  # out of memory, in front of everybody
LONG = ("07_training", "train")  # runs until the file `trained` is there
ASKED, QUESTION = ("02_inference", "guidance-grid"), 6.0  # a cue that leads to a question of so many minutes
# Read by the server as its configuration. Kernels go by the room's clock, so their times are moved as well.
CLOCK = """import dataclasses, time
from pathlib import Path
from presenter import kernels
from presenter.console import extension, talk

def ahead():
    return float(Path({ahead!r}).read_text() or 0)

extension.LOOK_MS = 100
talk.Console.__init__.__kwdefaults__["clock"] = lambda: time.time() + ahead()
read = kernels.Tail.read
kernels.Tail.read = lambda tail: [dataclasses.replace(one, at=one.at + ahead()) for one in read(tail)]
"""
# Run by every kernel when it starts.
STAND_IN = """def stand_in(lines):
    source = "".join(lines).strip()
    if source == {fails!r}:
        return ["class OutOfMemoryError(RuntimeError): pass\\n",
                "raise OutOfMemoryError('HIP out of memory. Tried to allocate 38.05 GiB.')\\n"]
    if source == {long!r}:
        return ["import os, time\\n", "while not os.path.exists('trained'): time.sleep(0.05)\\n"]
    return ["print('A stand-in for this cell: nothing was loaded or drawn.')\\n"]

get_ipython().input_transformers_cleanup.append(stand_in)
"""


class Turned(Server):
    """A small lesson with a clock that can be turned."""

    def __init__(self, folder: Path, *, scale: float = 1.0, words: tuple[str, ...]) -> None:
        super().__init__(folder, scale=scale, words=(*words, "--LabApp.expose_app_in_browser=True"))
        self._ahead = folder / "ahead"
        self._ahead.write_text("0", encoding="utf-8")
        write(folder / "config" / "jupyter_server_config.py", CLOCK.format(ahead=str(self._ahead)))

    @property
    def now(self) -> float:
        """The time on the turned clock, in s since 1970."""
        return time.time() + float(self._ahead.read_text(encoding="utf-8"))

    def turn(self, seconds: float) -> None:
        """Turn the clock forward."""
        part = self._ahead.with_suffix(".part")
        part.write_text(str(self.now - time.time() + max(0.0, seconds)), encoding="utf-8")
        part.replace(self._ahead)


class Room(Turned):
    """The workshop's own lesson, with a clock that can be turned and kernels that only seem to work."""

    def __init__(self, folder: Path) -> None:
        given = sum(cue.minutes for sheet in cues.read_all() for cue in sheet.cues if cue.takes_time)
        self.minutes = BREAK + math.ceil(given)  # so nothing is cut before the talk
        super().__init__(folder, words=("--minutes", f"{self.minutes:g}", "--break", f"{BREAK:g}"))
        self.sheets, self.books = cues.CUES, folder / "books"
        self.books.mkdir()
        for book in notebooks.find():
            shutil.copy(book, self.books)
        shutil.copytree(gallery.FALLBACK, folder / "pictures", dirs_exist_ok=True)
        runtimes.write(
            runtimes.name_machine(), runtimes.read()["pocket model"], file=folder / "runtimes.json"
        )
        stand_in = STAND_IN.format(fails=self._source(*FAILS), long=self._source(*LONG))
        write(folder / "ipython" / "profile_default" / "startup" / "stand_in.py", stand_in)

    def _source(self, book: str, cell: str) -> str:
        cells = notebooks.read(self.books / f"{book}.ipynb").cells
        return next(one.source for one in cells if one.id == cell).strip()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("room"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(room.folder / "ipython"))
        room.start()
    yield room
    room.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


class Desk:
    """JupyterLab with the notebooks open; their cells are chosen by id and run by the keyboard."""

    def __init__(self, tab: Tab, room: Turned) -> None:
        self.tab = tab
        books = sorted(book.stem for book in room.books.glob("*.ipynb"))
        tab.wait("window.jupyterapp && document.querySelectorAll('.jp-Notebook .cm-content').length > 0")
        for book in [*books[1:], books[0]]:
            tab.js(f"jupyterapp.commands.execute('docmanager:open', {{path: '{book}.ipynb'}}).then(() => 1)")
            tab.wait(f"{self._panel(book)}.sessionContext.session.kernel.status === 'idle'")

    def run(self, book: str, cell: str) -> None:
        """Choose a cell and press Shift and Enter."""
        self.tab.js(
            f"""(() => {{
              const panel = {self._panel(book)};
              jupyterapp.shell.activateById(panel.id);
              const place = panel.content.widgets.findIndex((one) => one.model.id === '{cell}');
              if (place < 0) throw Error('no cell {cell} in {book}');
              panel.content.mode = 'command';
              panel.content.activeCellIndex = place;
              panel.content.node.focus();
            }})()"""
        )
        time.sleep(2 * kernels.QUEUED)
        self.tab.key("Enter", modifiers=SHIFT)

    def _panel(self, book: str) -> str:
        return f"[...jupyterapp.shell.widgets('main')].find((one) => one.context?.path === '{book}.ipynb')"


class Presenter:
    """Somebody who does what the page says, and knows nothing else."""

    def __init__(self, room: Room, desk: Desk, console: Tab, stage: Tab) -> None:
        self.room, self.desk, self.console, self.stage = room, desk, console, stage
        self.books = {book.name[:2]: book.stem for book in room.books.glob("*.ipynb")}
        self.accepted: list[str] = []  # what the page proposed
        self.began = self.due = 0.0  # the talk; when the current cue ought to be over, by the turned clock
        self.breaks = 0.0  # s

    def begin(self) -> None:
        self.console.key("s")
        self.console.wait("document.body.dataset.talk === 'running'")
        self.began = self.due = self.room.now

    def give(self) -> None:
        """Present the current cue, and make ready for the next one."""
        self.due += self._planned()
        cells = [(self.book, cell) for cell in self._listed("#states code")]
        for book, cell in cells:
            self._run(book, cell, where="states")
        if ASKED in cells:
            self._question()
        self._speak(until=self.due)
        self._accept()
        self._make_up()
        self._break()

    def go_on(self) -> bool:
        """Run the first cell of the next cue, which moves the talk, or press the key if no cell of it runs.

        False: there is no next cue.
        """
        if "last cue" in self.console.text("next-title"):
            return False
        if self.console.sees("next-hand"):
            title = self.console.text("next-title")
            self.console.key("ArrowRight")
            self.console.wait_text("title", title)
            return True
        told = self.console.text("next-minutes")  # names the notebook if it is another one
        number = next((number for number in self.books if f" {number} · " in told), self.book[:2])
        cell = self.console.text("cell-id")
        self.desk.run(self.books[number], cell)
        self.console.wait(f"document.getElementById('now').dataset.cue === '{number}-{cell}'")
        return True

    @property
    def book(self) -> str:
        return self.books[self.console.js("document.getElementById('now').dataset.cue")[:2]]

    def _planned(self) -> float:
        minutes, _, seconds = self.console.text("spent").rpartition(" of ")[2].partition(":")
        return 60 * int(minutes) + int(seconds)

    def _listed(self, selector: str) -> list[str]:
        return self.console.js(f"[...document.querySelectorAll('{selector}')].map((one) => one.innerText)")

    def _make_up(self) -> None:
        """Run what the page wants to be run before the next cell, and silently before the next cue."""
        while first := self._listed("#again code"):
            book = self.console.text("cell-notebook").removeprefix("in ") or self.book
            assert first[0] == self.console.text("cell-id")
            self.desk.run(book, first[0])
            self.console.wait(f"document.querySelector('#again code')?.innerText !== '{first[0]}'")
        for told in self._listed("#silent li"):
            self._run(*told.split()[:2], where="silent")

    def _run(self, book: str, cell: str, *, where: str) -> None:
        mine = f"(one) => one.querySelector('code').innerText === '{cell}'"
        state = f"[...document.querySelectorAll('#{where} li')].find({mine}).dataset.state"
        if not self.console.js(state):
            self.desk.run(book, cell)
        if (book, cell) == LONG:
            self._wait_for_training()
        self.console.wait(f"['done', 'out of memory'].includes({state})")
        if (book, cell) == FAILS:
            self._rescue()

    def _speak(self, *, until: float) -> None:
        """Let the time pass, and wait until the page knows."""
        self.room.turn(until - self.room.now)
        elapsed = "(([m, s]) => 60 * m + 1 * s)(document.getElementById('elapsed').innerText.split(':'))"
        self.console.wait(f"{elapsed} >= {self.room.now - self.began - self.breaks - 1}")

    def _question(self) -> None:
        self.console.key("q")
        self.console.wait_text("sentence", "the clock goes on")
        self._pass(QUESTION, word="Question")
        self.console.key("q")
        self.console.wait("document.getElementById('accept').checkVisibility()")
        self.console.picture("talk-2-behind")

    def _break(self) -> None:
        if f"a break of {BREAK:g} minutes" in self.console.text("next-pause"):
            self.console.key("p")
            self.console.wait_text("sentence", "the clock stands")
            self._pass(BREAK, word="Break")
            self.breaks += 60 * BREAK
            self.console.picture("talk-3-break")
            self.console.key("p")

    def _pass(self, minutes: float, *, word: str) -> None:
        self.room.turn(60 * minutes)
        self.due += 60 * minutes
        so_far = f"document.getElementById('sentence').innerText.match(/^{word}, (\\d+):/)?.[1]"
        self.console.wait(f"{so_far} >= {minutes:g}")

    def _rescue(self) -> None:
        """Put the fallback of a cell that failed on the projector."""
        self.console.wait_text("alarm-title", f"Out of memory in {FAILS[1]}")
        self.console.picture("talk-4-failed")
        self.console.key("f")
        self.stage.wait("document.querySelector('img').naturalWidth > 100")
        self.stage.picture("talk-5-stage")

    def _wait_for_training(self) -> None:
        """Talk while the cell runs; it takes longer than it ever did, and then it ends."""
        self.console.wait("document.body.classList.contains('waiting')")
        self.console.picture("talk-6-waiting")
        self.room.turn(60)
        self.console.wait_text("alarm-title", f"{LONG[1]} takes longer than expected")
        self.console.picture("talk-7-too-long")
        (self.room.books / "trained").touch()
        self.console.wait("!document.getElementById('alarm').checkVisibility()")

    def _accept(self) -> None:
        if self.console.sees("accept"):
            before = self.console.text("undo")
            self.accepted.append(self.console.text("sentence"))
            self.console.key("a")
            self.console.wait(f"document.getElementById('undo').innerText !== {json.dumps(before)}")


def test_whole_talk_with_a_failure_and_a_cut_ends_on_time(room: Room, browser: Browser) -> None:
    desk = Desk(open_page(browser, room, "lab/tree/01_setup.ipynb", LAPTOP), room)
    stage = open_page(browser, room, "presenter/stage", PROJECTOR)
    console = open_page(browser, room, "presenter", LAPTOP)
    console.wait("document.body.dataset.talk === 'ready'")
    console.picture("talk-1-ready")
    presenter = Presenter(room, desk, console, stage)
    presenter.begin()
    presenter.give()
    while presenter.go_on():
        presenter.give()
    console.picture("talk-8-last")
    desk.tab.picture("talk-9-jupyterlab")
    console.key("e")
    console.wait("document.getElementById('sure').open")
    console.click("document.querySelector('#sure [value=yes]')")
    console.wait_text("sentence", "The talk has ended")
    assert presenter.accepted and " behind: skip " in presenter.accepted[0]
    acts = room.acts()
    talk = journal.fold(acts)
    took = (talk.ended - talk.began) / 60
    assert room.minutes - SPARE <= took <= room.minutes + 1, presenter.accepted
    assert 60 * BREAK <= talk.breaks(now=talk.ended) < 60 * (BREAK + SPARE)
    sheets = cues.read_all(room.sheets)
    must = {cue.name for sheet in sheets for cue in sheet.cues if cue.priority == "must"}
    assert must <= set(talk.spent(now=talk.ended))
    by_hand = [act.cue for act in acts if act.do == "go" and act.by != "kernel"]
    assert by_hand == ["07-failures", "07-end"]  # pages of text
    rescued = next(
        cue.name for sheet in sheets if sheet.name == FAILS[0] for cue in sheet.cues if FAILS[1] in cue.cells
    )
    assert [act.cue for act in acts if act.do == "stage"] == [rescued]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Turned]:
    house = Turned(tmp_path, scale=1.5, words=("--minutes", "30", "--break", "3"))  # nothing is cut
    house.start()
    yield house
    os.kill(house.process.pid, signal.SIGCONT)
    house.stop()


class Unlucky:
    """Somebody to whom everything happens in one talk of the small lesson."""

    def __init__(self, house: Turned, browser: Browser) -> None:
        self.house = house
        self.desk = Desk(open_page(browser, house, "lab/tree/01_first.ipynb", LAPTOP), house)
        self.console = open_page(browser, house, "presenter", LAPTOP)
        self.console.wait("document.body.dataset.talk === 'ready'")
        self.due = house.now  # when the current cue ought to be over, by the turned clock

    def speak(self, minutes: float) -> None:
        """Let the rest of a cue's minutes pass."""
        self.due += 60 * minutes
        self.house.turn(self.due - self.house.now)

    def ask_of_a_stray_cell(self) -> None:
        self.desk.run("02_second", "last")
        self.console.wait_text("stray-text", "The talk stays here.")
        self.console.click("document.querySelector('[data-act=dismiss]')")
        self.console.wait("!document.getElementById('stray').checkVisibility()")

    def stall(self) -> None:
        """Let the server say nothing for a while, and press a key meanwhile."""
        os.kill(self.house.process.pid, signal.SIGSTOP)
        self.console.wait_text("lost", "No word from the server since")
        self.console.key("ArrowRight")
        self.console.wait_text("problem", "that was not sent")
        os.kill(self.house.process.pid, signal.SIGCONT)
        self.console.wait("!document.getElementById('lost').checkVisibility()")

    def lose_the_kernel(self, book: str) -> None:
        """Let the system end a kernel between two cells; JupyterLab starts another."""
        lines = (self.house.talk / journal.EVENTS).read_text(encoding="utf-8").splitlines()
        events = [one for one in map(json.loads, lines) if book in one["notebook"]]
        os.kill(events[-1]["pid"], signal.SIGKILL)
        self.console.wait_text("alarm-title", f"The kernel of {book} started anew")
        told = "document.querySelector('.jp-Dialog .jp-mod-accept')"
        self.desk.tab.wait(f"{told} !== null")  # JupyterLab tells it, too
        self.desk.tab.click(told)
        self.desk.tab.wait(f"{told} === null")


def test_talk_of_30_minutes_in_which_everything_happens_ends_on_time(house: Turned, browser: Browser) -> None:
    one = Unlucky(house, browser)
    console, desk = one.console, one.desk
    one.due = house.now
    desk.run("01_first", "hello")  # nobody has pressed S
    console.wait("document.getElementById('begin-since').checkVisibility()")
    one.speak(2)
    console.wait_text("begin-since", "Start, counted from the first cell (2:")
    console.click("document.getElementById('begin-since')")
    console.wait("document.body.dataset.talk === 'running'")
    one.ask_of_a_stray_cell()
    one.speak(1)

    desk.run("01_first", "slow")
    console.wait_text("title", "Slow")
    for cell in ("names", "breaks"):  # while `slow` runs
        desk.run("01_first", cell)
    one.speak(4.5)
    assert console.text("title") == "Slow"
    (house.books / GO_ON).touch()
    console.wait_text("alarm-title", "An error in breaks")
    assert console.text("title") == "It breaks"
    one.stall()
    assert console.text("title") == "It breaks"
    one.speak(4.5)

    desk.run("01_first", "extra")
    console.wait_text("title", "Extra")
    console.wait_text("next-pause", "a break of 3 minutes")
    one.speak(6)
    console.key("p")
    console.wait_text("sentence", "the clock stands")
    one.speak(3)
    desk.run("02_second", "base")  # nobody has pressed P
    console.wait_text("notice", "A cell was run, so the break is over")
    console.wait_text("title", "Base")
    console.wait("document.querySelector('#states li').dataset.state === 'done'")
    one.speak(2)
    one.lose_the_kernel("02_second")
    assert console.text("cell-id") == "base"  # `last` needs it
    console.picture("talk-unlucky")
    desk.run("02_second", "base")
    console.wait_text("cell-id", "last")
    one.speak(1)
    desk.run("02_second", "last")
    console.wait_text("title", "Last")
    console.wait_text("run-state", "Ran")
    one.speak(6)
    console.key("e")
    console.wait("document.getElementById('sure').open")
    console.click("document.querySelector('#sure [value=yes]')")
    console.wait_text("sentence", "The talk has ended")

    talk = journal.fold(house.acts())
    took = (talk.ended - talk.began) / 60
    assert 29 <= took <= 32, talk  # what the machine itself takes is in it
    assert list(talk.spent(now=talk.ended)) == [
        *("01-hello", "01-slow", "01-breaks", "01-extra", "02-base", "02-last")
    ]
    assert 180 <= talk.breaks(now=talk.ended) < 300
