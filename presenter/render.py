"""Turn a cue's Markdown and a cell's code into HTML that has only text in it: no script and no picture.

The Markdown renderer escapes every tag, and its output is then cleaned against a short list of tags, so that
a fault of either lets nothing through.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    import mistune

TAGS = {
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h3",
    "h4",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "ul",
}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "input"}
ATTRIBUTES = {"a": {"href", "title"}, "input": {"type", "disabled", "checked", "class"}, "ol": {"start"}}
_CELL_LINK = re.compile(r"\]\((?:(\d\d)_\w+\.md)?#cell:([\w-]+)\)")


@lru_cache(maxsize=2048)
def markdown(text: str, *, sheet: str = "") -> Markup:
    """Render Markdown.

    A link to a cell, `#cell:after`, becomes a link to `#03-after`, where 03 is the number of the sheet that
    the link names, or else of `sheet`.

    >>> print(markdown("*Look* at [it](#cell:after) <b>", sheet="03_lora"))
    <p><em>Look</em> at <a href="#03-after">it</a> &lt;b&gt;</p>
    """
    import nh3

    linked = _CELL_LINK.sub(lambda link: f"](#{link[1] or sheet[:2]}-{link[2]})", text)
    html = nh3.clean(
        str(_renderer()(linked)),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https"},
        link_rel=None,
    )
    return Markup(html.strip())


def line(text: str, *, sheet: str = "") -> Markup:
    """Render Markdown that stands in a list or a sentence: a single paragraph comes without its <p>."""
    html = markdown(text, sheet=sheet)
    inner = str(html).removeprefix("<p>").removesuffix("</p>")
    return html if "<p>" in inner or html == inner else Markup(inner)


@lru_cache(maxsize=512)
def code(source: str) -> Markup:
    """Colour Python code, and shorten several blank lines to one; page/console.css has the classes.

    >>> print(code("1 < 2"))
    <span class="hl-mi">1</span> <span class="hl-o">&lt;</span> <span class="hl-mi">2</span>
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    html = highlight(
        re.sub(r"\n{3,}", "\n\n", source), PythonLexer(), HtmlFormatter(nowrap=True, classprefix="hl-")
    )
    return Markup(re.sub(r'<span class="hl-w">(\s*)</span>', r"\1", html).strip("\n"))


def fill_template(template: Path, **values: Any) -> str:
    """Fill a Jinja2 template. Every value is escaped, except what this module has rendered and cleaned.

    Raises jinja2.UndefinedError for a name in the template that has no value.
    """
    return _templates(template.parent).get_template(template.name).render(values)


def call_macro(template: Path, name: str, *values: object) -> str:
    """Call a macro of a Jinja2 template, with values that are escaped as by `fill_template`."""
    return str(getattr(_templates(template.parent).get_template(template.name).module, name)(*values))


@cache
def _templates(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


@cache
def _renderer() -> mistune.Markdown:
    import mistune

    return mistune.create_markdown(escape=True, plugins=["table", "task_lists", "strikethrough"])
