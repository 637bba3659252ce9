"""Turn a cue's Markdown and a cell's code into HTML that carries no script and no picture, only text.

Two locks on one door: the Markdown renderer escapes every tag, and what it makes is cleaned against a short
list of tags.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

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
def markdown(text: str, *, sheet: str = "") -> str:
    """Render Markdown; a link to a cell leads to #NN-cell, where NN is its sheet's number or the given one's.

    >>> markdown("*Look* at [it](#cell:after) <b>", sheet="03_lora")
    '<p><em>Look</em> at <a href="#03-after">it</a> &lt;b&gt;</p>'
    """
    import nh3

    linked = _CELL_LINK.sub(lambda link: f"](#{link[1] or sheet[:2]}-{link[2]})", text)
    html: str = nh3.clean(
        _renderer()(linked), tags=TAGS, attributes=ATTRIBUTES, url_schemes={"http", "https"}, link_rel=None
    )
    return html.strip()


def line(text: str, *, sheet: str = "") -> str:
    """Render Markdown that stands in a list or a sentence: one paragraph comes without its <p>."""
    html = markdown(text, sheet=sheet)
    inner = html.removeprefix("<p>").removesuffix("</p>")
    return html if "<p>" in inner or html == inner else inner


@lru_cache(maxsize=512)
def code(source: str) -> str:
    """Colour Python code, with at most one blank line in a row; the classes are in page/console.css.

    >>> code("1 < 2")
    '<span class="hl-mi">1</span> <span class="hl-o">&lt;</span> <span class="hl-mi">2</span>'
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    html = highlight(
        re.sub(r"\n{3,}", "\n\n", source), PythonLexer(), HtmlFormatter(nowrap=True, classprefix="hl-")
    )
    return re.sub(r'<span class="hl-w">(\s*)</span>', r"\1", html).strip("\n")


@cache
def _renderer():  # mistune has no name for what it makes
    import mistune

    return mistune.create_markdown(escape=True, plugins=["table", "task_lists", "strikethrough"])
