"""Markdown and code as HTML: only text gets out."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from presenter import render


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        '<a href="x" onclick="alert(1)">x</a>',
        "[x](data:text/html,<script>alert(1)</script>)",
    ],
)
def test_rendered_markdown_has_no_script_no_picture_and_no_foreign_scheme(text: str) -> None:
    tags = tags_of(render.markdown(text))
    assert {name for name, _ in tags} <= {"p", "a"}
    assert {key for _, attributes in tags for key in attributes} <= {"href", "title"}
    links = [attributes["href"] for _, attributes in tags if "href" in attributes]
    assert not any(link.startswith(("javascript:", "data:")) for link in links)


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Parse HTML as a browser does and list its tags with their attributes."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(html)
    return found


def test_a_tag_that_slips_past_the_renderer_is_cleaned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_renderer", lambda: lambda text: text)
    dirty = '<p onclick="x()"><a href="javascript:x()" onclick="x()">a</a><script>x()</script><b>b</b></p>'
    assert render.markdown(dirty) == "<p><a>a</a>b</p>"
