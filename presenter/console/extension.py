"""The Jupyter server extension: it follows the kernels, keeps the talk's journal and serves the console.

    /presenter          the second screen
    /presenter/stage    the projector: the fallback when a demonstration fails
    /presenter/stream   server-sent events: each part of the page when it changes
    /presenter/act      what the presenter does, as JSON
    /presenter/phone    the phone page's key and address; phone.py serves that page on a listener of its own

students.py serves the students' page on a listener of its own, too.

Every address requires Jupyter's login, and the two that change something its XSRF token as well.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from tornado import ioloop
from traitlets import Bool, Dict, Enum, Int, Unicode

from presenter import cues, journal, kernels, runtimes
from presenter.console import phone
from presenter.console.handlers import (
    ActHandler,
    FileHandler,
    PageHandler,
    PhoneHandler,
    PictureHandler,
    StreamHandler,
    move_page,
)
from presenter.console.students import Students
from presenter.console.talk import Console
from presenter.material import Material
from workshop import files, gallery, notebooks, profiles
from workshop.files import REPO

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

TAIL_MS, LOOK_MS = 50, 1000  # ms between two looks at the kernels' log; between two at clock and memory


class PresenterConsole(ExtensionApp):
    """The console as Jupyter loads it; `presenter lab` sets all of its settings."""

    name = "presenter"
    load_other_extensions = True

    cues = Unicode(str(cues.CUES), help="Folder of the cue sheets.").tag(config=True)
    notebooks = Unicode(str(notebooks.FOLDER), help="Folder of the notebooks.").tag(config=True)
    pictures = Unicode(str(gallery.FALLBACK), help="Folder of the fallback pictures.").tag(config=True)
    runtimes = Unicode(str(runtimes.FILE), help="What each cell takes on each machine.").tag(config=True)
    talk = Unicode(help="Folder of the talk; the last one that has not ended, or else a new one.").tag(
        config=True
    )
    options = Dict(help="How the talk is planned, as for `./scripts/presenter plan`.").tag(config=True)
    new = Bool(False, help="Begin a new talk even if the last one has not ended.").tag(config=True)
    phone = Enum(
        ["", phone.LOOK, phone.DRIVE], "", help="What a phone may do; nothing, and its page is off."
    ).tag(config=True)
    phone_address = Unicode(help="Where phones reach this machine, or the laptop before it.").tag(config=True)
    phone_port = Int(0, help="Port of the phone page; 0: any that is free.").tag(config=True)

    students = Unicode(help="Folder of the students' notebooks; empty: their page is off.").tag(config=True)

    def initialize_settings(self) -> None:
        """Open the talk, and make every kernel that starts from now on report its cells."""
        folder = Path(self.talk) if self.talk else choose_folder(journal.TALKS, now=time.time(), new=self.new)
        material = Material.read(Path(self.cues), Path(self.notebooks))
        self.console = Console(material, folder, options=self.options)
        self.console.pictures, self.console.runtimes = Path(self.pictures), Path(self.runtimes)
        kernels.report_cells(os.environ, log=folder / journal.EVENTS)
        self.settings["presenter_console"] = self.console
        if not self.phone:
            self.console.board.show("phone", phone.OFF)
        self.log.info("The console follows the kernels; the talk is kept in %s", files.shorten(folder))

    def initialize_handlers(self) -> None:
        """Lay out the addresses."""
        self.handlers.extend(
            [
                (r"/presenter/?", PageHandler, {"file": "console.html"}),
                (r"/presenter/stage/?", PageHandler, {"file": "stage.html"}),
                (r"/presenter/page/([\w.-]+)", FileHandler),
                (r"/presenter/picture/([\w.-]+)[.]png", PictureHandler),
                (r"/presenter/stream", StreamHandler),
                (r"/presenter/act", ActHandler),
                (r"/presenter/phone", PhoneHandler),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        self.watches = [
            ioloop.PeriodicCallback(self.console.look, TAIL_MS),
            ioloop.PeriodicCallback(self.console.watch, LOOK_MS),
        ]
        if self.phone:
            self._open_phone()
        if self.students:
            self._open_students()
        for watch in self.watches:
            watch.start()
        self.log.info(describe_addresses(serverapp.public_url))
        self.console.learn_machine(await asyncio.get_running_loop().run_in_executor(None, _name_machine))
        if problem := self.console.times_problem or self.console.plan_problem:
            self.log.warning("%s", problem)

    def _open_phone(self) -> None:
        """Open the phone page, and say on the console how to get there; without it the talk goes on."""
        console = self.console
        act = console.act if self.phone == phone.DRIVE else None
        listener = phone.Phone(console.small, view=lambda: console.view, act=act, port=self.phone_port)
        try:
            move_page(listener, self.phone_address, name="phone")
        except ValueError as error:
            self.log.error("%s", error)
            console.board.show("phone", phone.OFF | {"trouble": str(error)})
            return
        console.phone = listener
        self.watches.append(ioloop.PeriodicCallback(console.show_phone, LOOK_MS))
        if listener.trouble:
            self.log.warning("%s On /presenter, the key M says how to let one in.", listener.trouble)
        else:
            self.log.info("The phone page is open on %s; M on /presenter shows its code", listener.host)

    def _open_students(self) -> None:
        """Open the students' page, and say how to get there; without it the talk goes on."""
        try:
            listener = Students(Path(self.students), material=lambda: self.console.material)
            listener.listen(self.phone_address)
        except (OSError, ValueError) as error:
            self.log.error("The students' page cannot be opened: %s", error)
            return
        self.console.students = listener
        if listener.advice:
            self.log.warning("%s", listener.advice)
            return
        self.log.info("The students' page is open on http://%s/", listener.host)
        if listener.tunnel:
            self.log.info("On your laptop: %s", listener.tunnel)

    async def stop_extension(self) -> None:
        """Stop following the kernels and close the pages for the room."""
        for watch in getattr(self, "watches", []):
            watch.stop()
        for listener in (self.console.phone, self.console.students):
            if listener:
                await listener.close()


def choose_folder(talks: Path, *, now: float, new: bool) -> Path:
    """Choose where the talk is kept: in the last talk's folder, unless that has ended or `new` is asked for.

    now: s since 1970
    returns: the folder; a new one is made, so that another start at the same time gets another

    Raises ValueError, with what to do, for one that cannot be made.
    """
    unfinished = None if new else journal.find_unfinished(talks, now=now)
    return unfinished or journal.make_new_folder(talks, now=now)


def describe_addresses(server: str) -> str:
    """Write where the two screens are, without the token: whoever has JupyterLab open is logged in.

    server: its address, perhaps with the token

    >>> print(describe_addresses("http://localhost:8888/lab?token=abc"))
    Your screen: http://localhost:8888/presenter
    The projector's: http://localhost:8888/presenter/stage
    """
    base = server.partition("?")[0].removesuffix("/").removesuffix("/lab")
    return f"Your screen: {base}/presenter\nThe projector's: {base}/presenter/stage"


def _name_machine() -> str:
    """Name this machine as runtimes are filed, without importing torch into the server."""
    if not any(Path(sign).exists() for sign in profiles.GPU_SIGNS):
        return runtimes.name_machine()  # needs no torch where there is no GPU driver
    ask = "from presenter import runtimes; print(runtimes.name_machine())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd=REPO)
    return (done.stdout.splitlines() or [""])[-1]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "presenter.console.extension", "app": PresenterConsole}]
