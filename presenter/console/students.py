"""The students' page: the notebooks without solutions, and the links of the closing sheet.

    /                   the page
    /notebooks/NAME     a notebook, or the glossary that they link to
    /page/NAME          the page's style and icon

Whoever is in the room may read it, so it has no key. It has nothing to protect either: it serves the files
that were written for students and the section "Links" of the cue sheets, and nothing else of the presenter's.
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
        """Serve the notebooks that lie in a folder, and the links of the talk's material."""
        super().__init__(port=port)
        self.material = material
        found = [*sorted(folder.glob("*.ipynb")), folder / glossary.PAGE.name]
        self.files = {path.name: path for path in found if path.is_file()}

    def make_application(self) -> web.Application:
        """Lay out the addresses."""
        routes = [(r"/", Page), (r"/notebooks/([\w.-]+)", Notebook), (r"/page/([\w.]+)", File)]
        return web.Application(
            [(route, handler, {"students": self}) for route, handler in routes],
            default_handler_class=Plain,
            log_function=lambda handler: None,
        )

    def describe(self) -> dict[str, Any] | None:
        """Return the address with its QR code, for the projector; None if nobody in the room can reach it."""
        url = f"http://{self.host}/"
        return {"url": url, "code": draw_code(url)} if self.shown_address else None

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
    """What all handlers share."""

    def initialize(self, students: Students) -> None:
        """Take the listener from the application."""
        self.students = students


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
        file = self.students.files.get(path[0])
        if file is None:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{file.name}"')
        self.finish(file.read_bytes())


class File(Reader):
    """The page's style and icon."""

    def get(self, *path: str) -> None:
        """Send one of FILES."""
        if path[0] not in FILES:
            raise web.HTTPError(404)
        self.send(path[0])
