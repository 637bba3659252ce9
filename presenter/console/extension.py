"""The Jupyter server extension: it follows the kernels, keeps the talk's journal and serves the console.

    /presenter          the second screen
    /presenter/stage    the projector: the fallback when a demonstration fails
    /presenter/stream   server-sent events: each part of the page when it changes
    /presenter/act      what the presenter does, as JSON
    /presenter/phone    the phone page's key and address, which phone.py serves on a listener of its own

Everything is behind Jupyter's own login; what changes something needs its XSRF token, too.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.application import ExtensionApp
from tornado import ioloop, iostream, web
from traitlets import Bool, Dict, Enum, Int, Unicode

from presenter import cues, runtimes
from presenter import journal as state
from presenter import kernels as follow
from presenter.console import card, guide, phone
from presenter.console.guide import Material, View
from presenter.console.pages import HEADERS, KINDS, PAGE, Board
from presenter.journal import Act
from workshop import gallery, notebooks, profiles

TAIL_MS, LOOK_MS = 50, 1000  # between two looks at the log; at clock, memory and kernels


class Console:
    """One talk: takes in what the kernels and the presenter do, and keeps the board up to date."""

    def __init__(
        self,
        material: Material,
        folder: Path,
        *,
        options: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Go on with the talk in a folder, or begin one there.

        options: minutes, level, start, breaks, skip; empty: as the talk was planned before

        Raises ValueError for a plan that cannot be made.
        """
        self.clock = clock
        self.journal = state.Journal(folder)
        self.tail = follow.Tail(folder / state.EVENTS)
        self.kernels = follow.Kernels()
        self.board, self.small = Board(), Board()  # the second screen's, and a phone's
        self.phone: phone.Phone | None = None  # where phones look, if that was asked for
        self.memory: tuple[str, card.Reading] = ("", card.Reading(note="not read yet"))
        self.treatments: Mapping[str, str] = {}  # what the sentence on the page proposes
        self.pictures, self.runtimes = gallery.FALLBACK, runtimes.FILE
        self.material = material
        self._plan(options)
        for event in self.tail.read():  # what happened before a restart of the server moves nothing
            self.kernels.see(event)

    def _plan(self, options: Mapping[str, Any]) -> None:
        planned = dict(options) or dict(self.journal.talk.plan) or {"minutes": guide.MINUTES}
        level = planned.pop("level", self.journal.talk.level)
        self.base = self.material.plan(planned, level=level)
        if options or not self.journal.talk.plan:
            self.journal.add(Act(self.clock(), "plan", plan=planned, level=level))

    def learn(self, label: str) -> None:
        """Take in which machine this is: runtimes are filed by it."""
        self.material = self.material.measured_on(label, file=self.runtimes)
        self._plan({})
        self.refresh()

    @property
    def view(self) -> View:
        return View(self.material, self.base, self.journal.talk, self.kernels, self.clock())

    def look(self) -> None:
        """Read what the kernels wrote since the last look."""
        events = self.tail.read()
        for event in events:
            begun = self.kernels.see(event)
            if event.event == "pre" and begun:
                self._move(begun)
        if events:
            self.refresh()

    def _move(self, begun: follow.Run) -> None:
        target = guide.moved(self.view, begun)
        if target:
            self.journal.add(Act(self.clock(), "go", cue=target, by="kernel"))

    def watch(self) -> None:
        """Once a second: kernels that died, the memory, and the clock."""
        self.kernels.lost(now=time.time())
        self.memory = card.reading()
        self.refresh()

    def act(self, asked: Mapping[str, Any]) -> None:
        """Do what the presenter asks for.

        Raises ValueError, with what would be right, for anything else.
        """
        self.journal.add(understood(asked, self.view, proposed=self.treatments, now=self.clock()))
        self.refresh()

    def refresh(self) -> None:
        """Show every part as it is now."""
        view, show = self.view, self._show
        clock = guide.clock_part(view)
        self.treatments = view.advice.treatments if clock["accept"] else {}
        show("talk", guide.talk_part(view, self.journal.acts, problem=self.journal.problem))
        show("clock", clock)
        show("now", guide.now_part(view))
        show("time", guide.time_part(view))
        show("cells", guide.cells_part(view))
        show("next", guide.next_part(view))
        show("run", guide.run_part(view))
        show("alarm", guide.alarm_part(view))
        show("outline", guide.outline_part(view))
        show("stage", guide.stage_part(view) | {"picture_words": self._picture_words(view)})
        need, held = guide.needs(view)
        show("memory", card.part(*self.memory, need_gib=need, held_gib=held))

    def _show(self, name: str, part: Any) -> None:
        self.board.show(name, part)
        if name in phone.SHOWN:
            self.small.show(name, phone.glimpse(name, part))

    def _picture_words(self, view: View) -> dict[str, str]:
        cue = next((cue for cue in self.material.cues if cue.name == view.talk.staged), None)
        return picture_words(self.pictures / f"{cue.fallback}.png") if cue and cue.fallback else {}


def understood(asked: Mapping[str, Any], view: View, *, proposed: Mapping[str, str], now: float) -> Act:
    """Turn what a page sends into an act, or raise ValueError and say what would be right."""
    do = asked.get("do")
    if do in ("resume", "end", "undo"):
        return Act(now, do)
    if do == "begin":
        return Act(now, "begin", cue=view.path[0].cue.name)
    if do == "accept":
        if not proposed:
            raise ValueError("There is no proposal to accept now.")
        return Act(now, "cut", treatments=proposed)
    if do in ("go", "keep"):
        name = _cue(asked.get("cue"), view)
        return Act(now, "go", cue=name) if do == "go" else Act(now, "cut", treatments={name: guide.FULL})
    if do == "stage":
        return Act(now, "stage", cue=view.here.cue.name if _flag(asked) else "")
    if do == "follow":
        return Act(now, "follow", on=_flag(asked))
    if do == "level":
        return Act(now, "level", level=_one_of(asked, "level", cues.LEVELS))
    if do == "pause":
        return Act(now, "pause", kind=_one_of(asked, "kind", state.PAUSES))
    known = "begin, go, pause, resume, accept, keep, stage, level, follow, end, undo"
    raise ValueError(f"There is nothing to do for {do!r}. These are: {known}.")


def _cue(asked: Any, view: View) -> str:
    """Find a cue by its name, or by any of its cells as links do."""
    for cue in view.material.cues:
        if asked in [f"{cue.sheet[:2]}-{cell}" for cell in cue.cells]:
            return cue.name
    raise ValueError(f"There is no cue {asked!r}. They are named as 03-after: notebook and cell.")


def _one_of(asked: Mapping[str, Any], key: str, values: Any) -> str:
    if asked.get(key) not in values:
        raise ValueError(f"{key} is {asked.get(key)!r}. It must be one of: {', '.join(values)}.")
    return asked[key]


def _flag(asked: Mapping[str, Any]) -> bool:
    if not isinstance(asked.get("on"), bool):
        raise ValueError(f"on is {asked.get('on')!r}. It must be true or false.")
    return asked["on"]


def picture_words(path: Path) -> dict[str, str]:
    """Read from a fallback picture what it shows and which model drew it, as workshop.gallery wrote it."""
    if not path.is_file():
        return {"missing": f"{profiles.shown(path)} is not there: presenter rehearse --apply makes it"}
    from PIL import Image

    with Image.open(path) as image:
        image.load()
    facts = {key: str(image.info[key]) for key in ("alt", "prompt", "made by") if key in image.info}
    return {"alt": facts.get("alt") or facts.get("prompt") or path.stem, "caption": facts.get("made by", "")}


class Private:
    """What all handlers of the console share: Jupyter's login and a policy that lets nothing foreign in."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in HEADERS.items():  # here, because server-wide ones would take their place
            self.set_header(name, value)

    @property
    def console(self) -> Console:
        return self.settings["presenter_console"]


class PageHandler(Private, JupyterHandler):
    """One of the two pages."""

    def initialize(self, file: str) -> None:
        self.file = file

    @web.authenticated
    def get(self) -> None:
        self.xsrf_token  # noqa: B018  sets the cookie that the page sends back with what it does
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish((PAGE / self.file).read_bytes())


class FileHandler(Private, JupyterHandler):
    """The pages' style, code and icon."""

    @web.authenticated
    def get(self, name: str) -> None:
        path = PAGE / name
        if path.suffix not in KINDS or path.suffix == ".html" or not path.is_file():
            raise web.HTTPError(404)
        self.set_header("Content-Type", f"{KINDS[path.suffix]}; charset=utf-8")
        self.finish(path.read_bytes())


class PictureHandler(Private, JupyterHandler):
    """The fallback picture of a cue, by its name."""

    @web.authenticated
    def get(self, name: str) -> None:
        names = {cue.fallback for cue in self.console.material.cues}
        path = self.console.pictures / f"{name}.png"
        if name not in names or not path.is_file():
            raise web.HTTPError(404)
        self.set_header("Content-Type", "image/png")
        self.finish(path.read_bytes())


class StreamHandler(Private, APIHandler):
    """Everything on the board, and then every change, until the page goes away."""

    @web.authenticated
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        queue = self.console.board.join()
        try:
            while True:
                name, text = await queue.get()
                self.write(f"event: {name}\ndata: {text}\n\n")
                if queue.empty():
                    await self.flush()
        except iostream.StreamClosedError:
            pass
        finally:
            self.console.board.queues.discard(queue)


class ActHandler(Private, APIHandler):
    """What the presenter does on the page."""

    @web.authenticated
    def post(self) -> None:
        asked = self.get_json_body()
        if not isinstance(asked, dict):
            raise web.HTTPError(400, 'What to do must come as a JSON object, such as {"do": "resume"}.')
        try:
            self.act(asked)
        except ValueError as error:
            raise web.HTTPError(400, str(error)) from error
        self.finish({})

    def act(self, asked: dict[str, Any]) -> None:
        self.console.act(asked)


class PhoneHandler(ActHandler):
    """What the presenter does about the phone page: another key, or another address."""

    def act(self, asked: dict[str, Any]) -> None:
        listener = self.console.phone
        if listener is None:
            raise ValueError("The phone page is off. Start the server with: presenter lab --phone")
        if asked.get("do") == "renew":
            listener.renew()
        elif asked.get("do") == "address":
            move(listener, phone.local(str(asked.get("address", ""))))
        else:
            raise ValueError(f"There is nothing to do for {asked.get('do')!r}. These are: renew, address.")
        self.console.board.show("phone", listener.part())


def move(listener: phone.Phone, address: str) -> None:
    """Open the phone page on another address; raises ValueError if that cannot be."""
    try:
        listener.listen(address)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"The phone page cannot be opened on port {listener.port}: {why}.") from error


class PresenterConsole(ExtensionApp):
    """The console as Jupyter loads it; `presenter lab` sets all of it."""

    name = "presenter"
    load_other_extensions = True

    cues = Unicode(str(cues.CUES), help="Folder of the cue sheets.").tag(config=True)
    notebooks = Unicode(str(notebooks.FOLDER), help="Folder of the notebooks.").tag(config=True)
    pictures = Unicode(str(gallery.FALLBACK), help="Folder of the fallback pictures.").tag(config=True)
    runtimes = Unicode(str(runtimes.FILE), help="What each cell takes on each machine.").tag(config=True)
    talk = Unicode(help="Folder of the talk; the last one that has not ended, or else a new one.").tag(
        config=True
    )
    options = Dict(help="How the talk is planned, as for `presenter plan`.").tag(config=True)
    new = Bool(False, help="Begin a new talk even if the last one has not ended.").tag(config=True)
    phone = Enum(
        ["", phone.LOOK, phone.DRIVE], "", help="What a phone may do; nothing, and its page is off."
    ).tag(config=True)
    phone_address = Unicode(help="Where phones reach this machine, or the laptop before it.").tag(config=True)
    phone_port = Int(0, help="Port of the phone page; 0: any that is free.").tag(config=True)

    def initialize_settings(self) -> None:
        """Open the talk, and make every kernel that starts from now on report its cells."""
        folder = Path(self.talk) if self.talk else talk_folder(state.TALKS, now=time.time(), new=self.new)
        material = Material.read(Path(self.cues), Path(self.notebooks))
        self.console = Console(material, folder, options=self.options)
        self.console.pictures, self.console.runtimes = Path(self.pictures), Path(self.runtimes)
        follow.watch(os.environ, log=folder / state.EVENTS)
        self.settings["presenter_console"] = self.console
        if not self.phone:
            self.console.board.show("phone", phone.OFF)
        self.log.info("The console follows the kernels; the talk is kept in %s", profiles.shown(folder))

    def initialize_handlers(self) -> None:
        self.handlers.extend(
            [
                (r"/presenter/?", PageHandler, {"file": "console.html"}),
                (r"/presenter/stage", PageHandler, {"file": "stage.html"}),
                (r"/presenter/page/([\w.-]+)", FileHandler),
                (r"/presenter/picture/([\w.-]+)[.]png", PictureHandler),
                (r"/presenter/stream", StreamHandler),
                (r"/presenter/act", ActHandler),
                (r"/presenter/phone", PhoneHandler),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        self.watches = [
            ioloop.PeriodicCallback(self.console.look, TAIL_MS),
            ioloop.PeriodicCallback(self.console.watch, LOOK_MS),
        ]
        if self.phone:
            self._open_phone()
        for watch in self.watches:
            watch.start()
        self.console.learn(await asyncio.get_running_loop().run_in_executor(None, machine))

    def _open_phone(self) -> None:
        """Open the phone page, and say on the console how to get there; a talk goes on without it."""
        console = self.console
        act = console.act if self.phone == phone.DRIVE else None
        listener = phone.Phone(console.small, view=lambda: console.view, act=act, port=self.phone_port)
        try:
            move(listener, self.phone_address)
        except ValueError as error:
            self.log.error("%s", error)
            console.board.show("phone", phone.OFF | {"trouble": str(error)})
            return
        console.phone = listener
        self.watches.append(
            ioloop.PeriodicCallback(lambda: console.board.show("phone", listener.part()), LOOK_MS)
        )
        if listener.trouble:
            self.log.warning("%s On /presenter, the key M says how to let one in.", listener.trouble)
        else:
            self.log.info("The phone page is open on %s; M on /presenter shows its code", listener.host)

    async def stop_extension(self) -> None:
        for watch in getattr(self, "watches", []):
            watch.stop()
        if self.console.phone:
            await self.console.phone.close()


def machine() -> str:
    """Name this machine as runtimes are filed, without importing torch into the server."""
    if not any(Path(sign).exists() for sign in profiles.GPU_SIGNS):
        return runtimes.here()  # finds out without torch
    ask = "from presenter import runtimes; print(runtimes.here())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd=profiles.REPO)
    return (done.stdout.splitlines() or [""])[-1]


def talk_folder(talks: Path, *, now: float, new: bool) -> Path:
    """Choose where the talk is kept: the last one goes on unless it has ended or a new one is wanted."""
    going = None if new else state.newest(talks, now=now)
    return going or talks / time.strftime("%Y-%m-%d_%H%M%S", time.localtime(now))


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "presenter.console.extension", "app": PresenterConsole}]
