"""`presenter lab`: JupyterLab with the console, planned as `presenter plan` plans.

    presenter lab --minutes 75 --level intermediate --start 10:00 --break 10 --skip 04-mixing
    presenter lab --phone                          a page for your phone; M on /presenter shows its code
    presenter lab --keys                           a clicker runs the cells of the notebook that has the focus
    presenter lab -- --no-browser --port 8889      what follows the two dashes goes to JupyterLab

A talk that has not ended goes on where it was; --new begins another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from presenter import cues, schedule
from presenter.console import guide, phone
from workshop import notebooks, profiles

# Folders of settings, as Jupyter looks for them.
QUIET = Path(__file__).with_name("quiet")  # no question about news over the lesson
KEYS = Path(__file__).with_name("keys")  # those of a clicker


def lab(argv: Sequence[str]) -> int:
    """Start JupyterLab with the console; ends with 1 if the talk cannot be planned."""
    ours, jupyter = parser().parse_known_args([word for word in argv if word != "--"])
    options = planned(ours)
    try:
        material = guide.Material.read(ours.cues, ours.notebooks)
        material.plan({"minutes": guide.MINUTES} | options, level=options.get("level", cues.LEVELS[0]))
    except ValueError as error:
        print(f"presenter lab: {error}", file=sys.stderr)
        return 1
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # a kernel of the same name elsewhere must not win
    add_settings(os.environ, [QUIET, *([KEYS] if ours.keys else [])])
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance([*settings(ours, options), *jupyter])
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line, in the words of `presenter plan`."""
    made = argparse.ArgumentParser(
        prog="presenter lab",
        description="Open JupyterLab with the presenter's second screen. Other arguments go to JupyterLab.",
        allow_abbrev=False,
    )
    made.add_argument("--minutes", type=float, help=f"from start to end; default {guide.MINUTES:g}")
    made.add_argument("--level", choices=cues.LEVELS, help="default intermediate")
    made.add_argument("--start", type=schedule.clock_time, help="as 10:00; the room's clock does not wait")
    made.add_argument("--break", type=float, action="append", dest="breaks", metavar="MINUTES")
    made.add_argument("--skip", action="append", metavar="CUE", help="as 04-mixing, or 04")
    made.add_argument(
        "--new", action="store_true", help="begin a new talk even if the last one has not ended"
    )
    made.add_argument("--phone", action="store_true", help="open a page for a phone, which can only look")
    made.add_argument(
        "--phone-next", action="store_true", help="the same, with keys for next and pause on it"
    )
    made.add_argument(
        "--phone-address",
        type=_local,
        metavar="ADDRESS",
        help="the one that phones reach: this machine's, or your laptop's if you reach this one by ssh",
    )
    made.add_argument("--phone-port", type=int, metavar="PORT", help="default any that is free")
    made.add_argument(
        "--keys",
        action="store_true",
        help="let a clicker drive JupyterLab: Page Down is Shift Enter, Page Up goes back a cell",
    )
    made.add_argument("--talk", type=Path, metavar="FOLDER", help="keep the talk there")
    made.add_argument("--cues", type=Path, default=cues.CUES, metavar="FOLDER", help="other cue sheets")
    made.add_argument(
        "--notebooks", type=Path, default=notebooks.FOLDER, metavar="FOLDER", help="their notebooks"
    )
    return made


def _local(text: str) -> str:
    try:
        return phone.local(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def planned(ours: argparse.Namespace) -> dict[str, Any]:
    """Collect what was said about the plan; nothing said means that a talk goes on as it was planned."""
    said = {
        name: getattr(ours, name) for name in ("minutes", "level", "breaks", "skip") if getattr(ours, name)
    }
    if ours.start:
        said["start"] = ours.start.isoformat()
    return {"minutes": guide.MINUTES} | said if said else {}


def settings(ours: argparse.Namespace, options: dict[str, Any]) -> list[str]:
    """Write for JupyterLab's command line what the console is to know."""
    books = ours.notebooks.absolute()
    root = profiles.REPO if books.is_relative_to(profiles.REPO) else books
    own = {"options": options, "new": ours.new, "cues": str(ours.cues.absolute()), "notebooks": str(books)}
    if ours.talk:
        own["talk"] = str(ours.talk.absolute())
    own |= phone_settings(ours)
    said = [f"--PresenterConsole.{name}={value}" for name, value in own.items()]
    return [
        "--ServerApp.jpserver_extensions={'presenter.console.extension': True}",
        f"--ServerApp.root_dir={root}",
        *said,
        str(notebooks.select([], folder=books)[0]),
    ]


def phone_settings(ours: argparse.Namespace) -> dict[str, Any]:
    """Say what the console is to know about the phone; any word about its page opens it."""
    if not (ours.phone or ours.phone_next or ours.phone_address or ours.phone_port):
        return {}
    may = phone.DRIVE if ours.phone_next else phone.LOOK
    own = {"phone": may, "phone_address": ours.phone_address, "phone_port": ours.phone_port}
    return {name: value for name, value in own.items() if value}


def add_settings(environment: MutableMapping[str, str], folders: Sequence[Path]) -> None:
    """Let JupyterLab find the settings in `folders`; what somebody has set for themselves still wins."""
    before = environment.get("JUPYTER_CONFIG_PATH", "")
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [before, *map(str, folders)]))
