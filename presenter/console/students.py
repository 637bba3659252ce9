"""The students' page: the notebooks without solutions, and the links of the closing sheet.

    /                   the page
    /notebooks/NAME     a notebook, or the glossary that they link to
    /page/NAME          the page's style and icon

Whoever is in the room may read it, so it has no key. It has nothing to protect either: it serves the files
that were written for students and the section "Links" of the cue sheets, and nothing else of the presenter's.
It answers to its own address only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado import web

from presenter import render
from presenter.console.listener import Listener, Plain, draw_code
from presenter.console.pages import PAGE
from presenter.material import Material
from workshop import glossary

LINKS = "Links"  # the title of the section whose links students get
FILES = ("students.css", "icon.svg")
_ADDRESS = re.compile(r"`?(https?://[^\s`]*[^\s`.,:;])`?")


class Students(Listener):
    """The listener of the students' page."""

    def __init__(self, folder: Path, *, material: Callable[[], Material], port: int = 0) -> None:
        """Read the talk's notebooks as they lie in a folder now, for students, and their glossary.

        What else lies there, or leads elsewhere, is not served. Raises OSError for one that cannot be read.
        """
        super().__init__(port=port)
        self.material = material
        names = [*(book.path.name for book in material().books), glossary.PAGE.name]
        found = [folder / name for name in names]
        self.files = {
            path.name: path.read_bytes() for path in found if path.is_file() and not path.is_symlink()
        }

    def make_application(self) -> web.Application:
        """Lay out the addresses."""
        routes = [(r"/", Page), (r"/notebooks/([\w.-]+)", Notebook), (r"/page/([\w.]+)", File)]
        return web.Application(
            [(route, handler, {"students": self}) for route, handler in routes],
            default_handler_class=Reader,
            default_handler_args={"students": self},
            log_function=lambda handler: None,
        )

    def describe(self) -> dict[str, Any] | None:
        """Return the address with its QR code, for the projector; None if nobody in the room can reach it."""
        url = f"http://{self.host}/"
        return {"url": url, "code": draw_code(url)} if self.shown_address else None

    @property
    def advice(self) -> str:
        """What to do if nobody in the room can reach the page; "" if it has a code on the projector."""
        if not self.trouble:
            return ""
        return (
            f"{self.trouble} So the students' page has no code on the projector. If you reach this machine "
            "by ssh, start again with --phone-address and the laptop's address in the room's network, as "
            "192.168.1.20, and run on the laptop the ssh command that lab prints then."
        )

    def write_page(self) -> str:
        """Write the page."""
        material = self.material()
        titles = {f"{sheet.name}.ipynb": sheet.title for sheet in material.sheets}
        books = [(name, titles.get(name, name)) for name in self.files]
        return render.fill_template(PAGE / "students.html.j2", books=books, links=render_links(material))


def render_links(material: Material) -> str:
    """Render the sections with links; every address in them can be followed."""
    texts = [one.text for sheet in material.sheets for one in sheet.sections if one.title == LINKS]
    lists = [text[text.find("- ") :] for text in texts if "- " in text]  # without the words to the presenter
    return render.markdown(_ADDRESS.sub(r"<\1>", "\n".join(lists)))


class Reader(Plain):
    """What all handlers share. By itself, it finds nothing."""

    def initialize(self, students: Students) -> None:
        """Take the listener from the application."""
        self.students = students
        self.refused = f"This page is at http://{students.host}/\n"

    def prepare(self) -> None:
        """Refuse a request with another Host."""
        if not self.students.knows(self.request):
            raise web.HTTPError(403)


class Page(Reader):
    """The page."""

    def get(self, *_: str) -> None:
        """Send it."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.students.write_page())


class Notebook(Reader):
    """A notebook to keep."""

    def get(self, *path: str) -> None:
        """Send one of the files that were written for students."""
        name = path[0]
        if name not in self.students.files:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(self.students.files[name])


class File(Reader):
    """The page's style and icon."""

    def get(self, *path: str) -> None:
        """Send one of FILES."""
        if path[0] not in FILES:
            raise web.HTTPError(404)
        self.send(path[0])
