"""`presenter lab`: JupyterLab with the console, on a talk that is planned as by `presenter plan`.

    presenter lab --minutes 75 --level intermediate --start 10:00 --break 10 --skip 04-mixing
    presenter lab --phone                          a page for your phone; M on /presenter shows its code
    presenter lab --students                       a page for the room; the projector shows its code
    presenter lab --keys                           a clicker runs the cells of the notebook that has the focus
    presenter lab -- --no-browser --port 8889      what follows the two dashes goes to JupyterLab

JupyterLab opens clean copies of the notebooks, without stored outputs, from the talk's folder, in large
print; --originals opens the notebooks themselves. A talk that has not ended goes on where it stood, with its
copies as they are; --new begins another. In JupyterLab Alt Shift N goes to the next cue, Alt Shift Q begins
or ends a question, and Alt Shift F puts the fallback on the projector or takes it off.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from presenter import cues, journal, schedule
from presenter.console import addresses, copies, extension, phone
from presenter.handout import export
from presenter.material import Material
from presenter.schedule import DEFAULT_MINUTES
from workshop import amounts, files, notebooks, profiles
from workshop.files import REPO

# Folders of settings in the layout that Jupyter expects.
QUIET = Path(__file__).with_name("quiet")  # one notebook at a time, and no questions about news
DESK = Path(__file__).with_name("desk")  # JupyterLab's extension: large print, and keys for the second screen
KEYS = Path(__file__).with_name("keys")  # a clicker's keys run cells
ROOT = (
    "You are root here, as in a container. JupyterLab then starts only with --allow-root, because whoever "
    "has its token can do everything on this machine. Take another user, or add --allow-root in a container "
    "that holds nothing else."
)


def main(argv: Sequence[str]) -> int:
    """Start JupyterLab with the console; return 1 if the talk cannot be planned or kept."""
    ours, jupyter = make_parser().parse_known_args([word for word in argv if word != "--"])
    options = collect_options(ours)
    try:
        profiles.find_name()  # the console asks for it when the server is up already
        if ours.talk:
            files.demand_folder(ours.talk, remedy="Take another --talk.")
        material = Material.read(ours.cues, ours.notebooks)
        material.plan({"minutes": DEFAULT_MINUTES} | options, level=options.get("level", cues.LEVELS[0]))
        arguments = make_arguments(ours, options, now=time.time())
    except OSError as error:
        remedy = "Free some space or make the folder writable, or take another --talk."
        print(f"presenter lab: {error}. {remedy}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"presenter lab: {error}", file=sys.stderr)
        return 1
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not any("allow" in word for word in jupyter):
        print(f"presenter lab: {ROOT}", file=sys.stderr)
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # a kernel of the same name elsewhere must not win
    add_settings(os.environ, [QUIET, *([KEYS] if ours.keys else [])])
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance([*arguments, *jupyter])
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line, in the words of `presenter plan`."""
    made = argparse.ArgumentParser(
        prog="presenter lab",
        description="Open JupyterLab with the presenter's second screen. Other arguments go to JupyterLab.",
        allow_abbrev=False,
    )
    minutes = amounts.decimal(above=True, most=schedule.DAY)
    made.add_argument("--minutes", type=minutes, help=f"from start to end; default {DEFAULT_MINUTES:g}")
    made.add_argument("--level", choices=cues.LEVELS, help="default intermediate")
    made.add_argument("--start", type=schedule.parse_time, help="as 10:00; the room's clock does not wait")
    made.add_argument("--break", type=minutes, action="append", dest="breaks", metavar="MINUTES")
    made.add_argument("--skip", action="append", metavar="CUE", help="as 04-mixing, or 04")
    made.add_argument(
        "--new", action="store_true", help="begin a new talk even if the last one has not ended"
    )
    made.add_argument("--phone", action="store_true", help="open a page for a phone, which can only look")
    made.add_argument(
        "--phone-next", action="store_true", help="the same, with keys for next, pause and the fallback on it"
    )
    made.add_argument(
        "--students",
        action="store_true",
        help="open a page with notebooks and links for the room; the projector shows its code",
    )
    made.add_argument(
        "--phone-address",
        type=_local,
        metavar="ADDRESS",
        help="the one that phones reach: this machine's, or your laptop's if you reach this one by ssh",
    )
    made.add_argument(
        "--phone-port",
        type=amounts.whole(least=1, most=65535),
        metavar="PORT",
        help="default any that is free",
    )
    made.add_argument(
        "--keys",
        action="store_true",
        help="let a clicker drive JupyterLab: Page Down is Shift Enter, Page Up goes back a cell",
    )
    made.add_argument(
        "--originals", action="store_true", help="open the notebooks themselves, with their stored outputs"
    )
    made.add_argument("--talk", type=Path, metavar="FOLDER", help="keep the talk there")
    made.add_argument("--cues", type=Path, default=cues.CUES, metavar="FOLDER", help="other cue sheets")
    made.add_argument(
        "--notebooks", type=Path, default=notebooks.FOLDER, metavar="FOLDER", help="their notebooks"
    )
    return made


def _local(text: str) -> str:
    try:
        return addresses.check_local(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def collect_options(ours: argparse.Namespace) -> dict[str, Any]:
    """Collect the options of the plan; none: a talk that goes on keeps the plan that it has."""
    given = {
        name: getattr(ours, name)
        for name in ("minutes", "level", "breaks", "skip")
        if getattr(ours, name) is not None
    }
    if ours.start:
        given["start"] = ours.start.isoformat()
    return {"minutes": DEFAULT_MINUTES} | given if given else {}


def make_arguments(ours: argparse.Namespace, options: dict[str, Any], *, now: float) -> list[str]:
    """Return the arguments for JupyterLab's command line that set the console's settings.

    The clean copies of the notebooks are written on the way, unless the originals are asked for.

    now: s since 1970
    """
    books = ours.notebooks.resolve()  # Jupyter takes no path with `..` in it for one of its own
    chosen = ours.talk or extension.choose_folder(journal.TALKS, now=now, new=ours.new)
    talk = journal.make_folder(chosen.resolve())
    there = notebooks.select([], folder=books)
    opened = there if ours.originals else copies.write_copies(there, talk)
    shown = opened[0].parent
    root = REPO if shown.is_relative_to(REPO) else shown
    own: dict[str, Any] = {
        "options": options,
        "cues": str(ours.cues.resolve()),
        "notebooks": str(books),
        "talk": str(talk),
    }
    own |= collect_phone_settings(ours)
    if ours.students:
        own |= {"students": str(write_students(there, talk))}
    settings = [f"--PresenterConsole.{name}={value}" for name, value in own.items()]
    return [
        "--ServerApp.jpserver_extensions={'presenter.console.extension': True}",
        f"--LabApp.extra_labextensions_path={DESK}",
        f"--ServerApp.root_dir={root}",
        "--IdentityProvider.cookie_options={'samesite': 'Strict'}",  # no other site's page brings the login
        *settings,
        str(opened[0]),
    ]


def collect_phone_settings(ours: argparse.Namespace) -> dict[str, Any]:
    """Collect the console's settings of the phone page; any option about the page opens it.

    An address alone is the students' page's, where that is asked for.
    """
    asked = ours.phone or ours.phone_next or ours.phone_port or (ours.phone_address and not ours.students)
    may = (phone.DRIVE if ours.phone_next else phone.LOOK) if asked else ""
    own = {"phone": may, "phone_address": ours.phone_address, "phone_port": ours.phone_port}
    return {name: value for name, value in own.items() if value}


def write_students(books: Sequence[Path], talk: Path) -> Path:
    """Write the notebooks for students into the talk's folder, and return where they are.

    Raises ValueError for a folder that cannot be written, and for a notebook that is not valid.
    """
    into = talk / "students"
    journal.make_folder(talk)
    files.make_folder(into, remedy="Take another --talk.")
    export.write_student_notebooks(books, into=into)
    return into


def add_settings(environment: MutableMapping[str, str], folders: Sequence[Path]) -> None:
    """Let JupyterLab find the settings in `folders`; a person's own settings still win."""
    before = environment.get("JUPYTER_CONFIG_PATH", "")
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [before, *map(str, folders)]))
