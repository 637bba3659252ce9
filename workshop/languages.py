"""Which language a stretch of text is in, by its script, so that a screen reader pronounces it."""

from __future__ import annotations

import html
import re

# The workshop's languages that are not written in Latin letters: code to the script's ranges.
SCRIPTS = {
    "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3",
    "kn": "\u0c80-\u0cff",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
}
BETWEEN = r"\s\u200c\u200d,.!?·…\-，。、！？"  # may stand between two words of a stretch


def mark(text: str) -> str:
    """Return a text as HTML in which Korean, Kannada and Chinese stretches carry their `lang`.

    >>> mark("a man, 남자 & more")
    'a man, <span lang="ko">남자</span> &amp; more'
    """
    parts, end = [], 0
    for start, stop, code in _stretches(text):
        stretch = html.escape(text[start:stop], quote=False)
        parts += [html.escape(text[end:start], quote=False), f'<span lang="{code}">{stretch}</span>']
        end = stop
    return "".join([*parts, html.escape(text[end:], quote=False)])


def find(text: str) -> str | None:
    """Find the language of which most of a text's letters are; None for one in Latin letters.

    >>> find("그는 책상 앞에 앉아"), find("a prompt: 남자")
    ('ko', None)
    """
    letters = sum(letter.isalpha() for letter in text)
    counts = {code: len(re.findall(f"[{ranges}]", text)) for code, ranges in SCRIPTS.items()}
    code = max(counts, key=counts.__getitem__)
    return code if 2 * counts[code] > letters else None


def _stretches(text: str) -> list[tuple[int, int, str]]:
    found = [
        (*match.span(), code)
        for code, ranges in SCRIPTS.items()
        for match in re.finditer(f"[{ranges}](?:[{ranges}{BETWEEN}]*[{ranges}])?", text)
    ]
    return sorted(found)
