"""Cue sheets: what the presenter says and shows at which cell, read from Markdown.

A sheet belongs to the notebook of the same name. It has a title, a paragraph, sections, and cues. A cue is a
section whose heading begins with the ids of its cells:

    ## `after`, `zoom` · Same seed, before and after

    | minutes | least | priority | if cut | fallback |
    |---|---|---|---|---|
    | 3 | 1.5 | must | run | `image_face` |

    **Say.** What is the same in both?

    ### Beginner
    - The person is the same, the light is not.

This module only reads sheets; presenter.check compares them with the notebooks.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workshop import files

CUES = Path(__file__).with_name("cues")
COLUMNS = ("minutes", "least", "priority", "if cut", "fallback")
PRIORITIES = ("must", "should", "nice")
IF_CUT = ("run", "skip")
LEVELS = ("beginner", "intermediate", "advanced")
LABELS = ("Show", "Say", "Point at", "Do", "While it runs", "If it fails")
TOPICS = (*(level.capitalize() for level in LEVELS), "Ask", "In practice")
NO_FALLBACK = "–"
# Titles of the sections that stand before the first cue and after the last.
OPENING = ("Before you start", "Opening")
CLOSING = ("Closing", "Questions you will get (Q&A)", "Questions you will get")

_IDS = re.compile(r"((?:`[^`]*`,? *)+)(?:· *(.*))?$")
_LABEL = re.compile(rf"\*\*({'|'.join(LABELS)})\.\*\*")
_SOME_LABEL = re.compile(r"\*\*([^*]+)\.\*\*")
_TABLE = f"| {' | '.join(COLUMNS)} |"

Line = tuple[int, str]  # its number in the file, from 1, and its text


@dataclass(frozen=True)
class Question:
    """A question to the audience and the answer to expect."""

    question: str
    answer: str


@dataclass(frozen=True)
class Section:
    """A part of a sheet that belongs to no cell, such as "Before you start"."""

    title: str
    text: str  # Markdown
    line: int


@dataclass(frozen=True)
class Cue:
    """What to show, say and do at one cell, or at several that belong together."""

    sheet: str  # the notebook's name, without .ipynb
    cells: tuple[str, ...]  # ids, in the notebook's order
    title: str
    line: int  # of its heading in the sheet
    minutes: float  # that are planned for it, with the time that its cells run
    least: float  # minutes to which it can be shortened
    priority: str  # one of PRIORITIES
    if_cut: str  # one of IF_CUT
    fallback: str  # a picture's name, or ""
    notes: Mapping[str, str] = field(default_factory=dict, hash=False)  # a label to Markdown, as written
    points: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)  # a level to its points
    questions: tuple[Question, ...] = ()
    practice: str = ""  # Markdown

    @property
    def name(self) -> str:
        """Its notebook's number and its first cell, as 03-after."""
        return f"{self.sheet[:2]}-{self.cells[0] if self.cells else ''}"

    @property
    def takes_time(self) -> bool:
        """Whether it has minutes in the talk; what people do at home has none."""
        return self.minutes > 0


@dataclass(frozen=True)
class Sheet:
    """The cue sheet of one notebook."""

    name: str  # the notebook's, without .ipynb
    path: Path
    title: str
    lead: str  # Markdown: what people take home
    sections: tuple[Section, ...]
    cues: tuple[Cue, ...]

    @property
    def opening(self) -> list[Section]:
        """The sections that stand before the first cue."""
        return [one for one in self.sections if one.title in OPENING]

    @property
    def after_opening(self) -> list[Section]:
        """All other sections."""
        return [one for one in self.sections if one.title not in OPENING]

    def cue_of(self, cell: str) -> Cue | None:
        """Find the cue that a cell belongs to."""
        return next((cue for cue in self.cues if cell in cue.cells), None)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a sheet or a notebook, where it is, and what to do."""

    file: Path
    line: int  # 0: it concerns the whole file
    cue: str  # the cue's cells; "": it concerns no cue
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{files.shorten(self.file)}{f':{self.line}' if self.line else ''}"
        return f"{place}: {f'{self.cue}: ' if self.cue else ''}{self.what}. {self.remedy}"


class CueError(ValueError):
    """Cue sheets that cannot be read, with all their faults."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        count = f"{len(faults)} fault{'s' * (len(faults) > 1)} in the cue sheets:"
        super().__init__("\n".join([count, *(f"  {fault}" for fault in faults)]))


def read(path: Path) -> Sheet:
    """Read one sheet.

    Raises CueError with all its faults, each with file, line, cue and remedy.
    """
    sheet, faults = parse(path)
    if faults:
        raise CueError(faults)
    return sheet


def read_all(folder: Path = CUES) -> list[Sheet]:
    """Read every sheet of a folder, in the notebooks' order.

    Raises CueError with the faults of all sheets.
    """
    parsed = [parse(path) for path in list_paths(folder)]
    faults = [fault for _, found in parsed for fault in found]
    if faults:
        raise CueError(faults)
    return [sheet for sheet, _ in parsed]


def list_paths(folder: Path = CUES) -> list[Path]:
    """List the sheets of a folder; their names begin with a number."""
    return sorted(folder.glob("[0-9]*.md"))


def stamp(folder: Path) -> dict[Path, int]:
    """Return when each sheet of a folder was changed last, in ns since 1970; it differs if any sheet does."""
    changed = {}
    for path in list_paths(folder):
        with contextlib.suppress(OSError):  # an editor may replace a sheet at this moment
            changed[path] = path.stat().st_mtime_ns
    return changed


def parse(path: Path) -> tuple[Sheet, list[Fault]]:
    """Read one sheet as far as it can be read, and list the faults of the rest."""
    found = _Faults(path)
    try:
        lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    except (OSError, UnicodeDecodeError) as error:
        why, remedy = files.find_remedy(error)
        found.add(0, f"the sheet cannot be read ({why})", remedy=remedy)
        return Sheet(path.stem, path, "", "", (), ()), found.faults
    top, *parts = _split(lines, "## ")
    title, lead = _top(top[2], found)
    sections, cues = [], []
    for number, heading, body in parts:
        if heading.startswith("`"):
            cues.append(_cue(path.stem, number, heading, body=body, found=found))
        else:
            sections.append(Section(heading, _text(body), number))
    return Sheet(path.stem, path, title, lead, tuple(sections), tuple(cues)), found.faults


class _Faults:
    """The faults of one sheet; `cue` is the one that is being read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.cue = ""
        self.faults: list[Fault] = []

    def add(self, line: int, what: str, *, remedy: str) -> None:
        self.faults.append(Fault(self.file, line, self.cue, what, remedy))


def _split(lines: list[Line], mark: str) -> Iterator[tuple[int, str, list[Line]]]:
    """Cut lines at the headings that begin with a mark; yield each heading's line, text and what follows.

    What stands before the first heading comes first, without a heading. Lines of code blocks are no headings.
    """
    number, heading, in_code = 0, "", False
    body: list[Line] = []
    for line in lines:
        in_code ^= line[1].lstrip().startswith("```")
        if line[1].startswith(mark) and not in_code:
            yield number, heading, body
            number, heading, body = line[0], line[1].removeprefix(mark).strip(), []
        else:
            body.append(line)
    yield number, heading, body


def _text(lines: list[Line]) -> str:
    return "\n".join(text for _, text in lines).strip()


def _top(lines: list[Line], found: _Faults) -> tuple[str, str]:
    before, *titles = _split(lines, "# ")
    number = found.file.stem[:2]
    if len(titles) != 1 or _text(before[2]) or not titles[0][1].startswith(f"{number} · "):
        remedy = f"Begin the sheet with one line such as: # {number} · What it is about"
        found.add(1, f"the title must be the first line and begin with {number} ·", remedy=remedy)
        return "", ""
    _, title, body = titles[0]
    if not _text(body):
        found.add(1, "there is no text below the title", remedy="Say in a paragraph what people take home.")
    return title, _text(body)


def _cue(sheet: str, number: int, heading: str, *, body: list[Line], found: _Faults) -> Cue:
    cells, title = _heading(number, heading, found)
    main, *topics = _split(body, "### ")
    rows = [line for line in main[2] if line[1].startswith("|")]
    values = _values(number, rows, found)
    cue = Cue(
        sheet=sheet,
        cells=cells,
        title=title,
        line=number,
        **values,
        notes=_notes([line for line in main[2] if line not in rows], found),
        **_topics(topics, found),
    )
    found.cue = ""
    return cue


def _heading(number: int, heading: str, found: _Faults) -> tuple[tuple[str, ...], str]:
    found.cue = heading.partition(" · ")[0]
    match = _IDS.match(heading)
    ids = tuple(re.findall(r"`([^`]+)`", match[1])) if match else ()
    title = match[2] if match else None
    if not ids or not title:
        remedy = "Write: ## `cell-id`, `another-id` · Title"
        found.add(number, "the heading must be cell ids in backticks, then · and a title", remedy=remedy)
    return ids, title or ""


def _values(number: int, rows: list[Line], found: _Faults) -> dict:
    """Read the cue's table; a value that cannot be read gets a harmless one in its place."""
    nothing = {"minutes": 0.0, "least": 0.0, "priority": "nice", "if_cut": "skip", "fallback": ""}
    table = [[text.strip() for text in row.strip().strip("|").split("|")] for _, row in rows]
    if len(table) != 3 or tuple(table[0]) != COLUMNS or len(table[2]) != len(COLUMNS):
        remedy = f"Put below the heading: {_TABLE}, a line |---|---|---|---|---|, and one row of values."
        found.add(rows[0][0] if rows else number, "there is no table with five values", remedy=remedy)
        return nothing
    line, (minutes, least, priority, if_cut, fallback) = rows[2][0], table[2]
    picture = re.fullmatch(r"`(\w[\w.-]*)`", fallback)
    if not picture and fallback != NO_FALLBACK:
        remedy = f"Name a picture in backticks, without folder and .png, or write {NO_FALLBACK}"
        found.add(line, f"fallback is {fallback!r}", remedy=remedy)
    times = [_minutes(*one, line, found=found) for one in (("minutes", minutes), ("least", least))]
    values = {
        "priority": _one_of("priority", priority, PRIORITIES, line=line, found=found),
        "if_cut": _one_of("if cut", if_cut, IF_CUT, line=line, found=found),
        "fallback": picture[1] if picture else "",
    }
    if None not in times:
        values |= {"minutes": times[0], "least": times[1]}
        _judge_minutes(values, line, found)
    return nothing | values


def _minutes(column: str, given: str, line: int, *, found: _Faults) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", given):
        return float(given)
    found.add(line, f"{column} is {given!r}", remedy="Write minutes as a number, such as 3 or 1.5.")
    return None


def _one_of(column: str, given: str, words: tuple[str, ...], *, line: int, found: _Faults) -> str:
    if given not in words:
        found.add(line, f"{column} is {given!r}", remedy=f"Write one of: {', '.join(words)}.")
        return words[-1]
    return given


def _judge_minutes(values: dict, line: int, found: _Faults) -> None:
    minutes, least = values["minutes"], values["least"]
    at_home = minutes == least == 0 and values["priority"] == "nice"
    if not at_home and not 0 < least <= minutes:
        remedy = "Let least be above 0 and at most minutes; both are 0 only where the priority is nice."
        what = f"minutes {minutes:g} and least {least:g} with priority {values['priority']}"
        found.add(line, what, remedy=remedy)


def _notes(lines: list[Line], found: _Faults) -> dict[str, str]:
    """Read the text of each label; a paragraph without a label belongs to the label before it."""
    for number, text in lines:
        begins = _SOME_LABEL.match(text)
        if begins and not _LABEL.match(text):
            remedy = f"These are: {', '.join(LABELS)}. Bold words without a full stop are no label."
            found.add(number, f"{begins[1]!r} is no label", remedy=remedy)
    before, *pairs = _LABEL.split(_text(lines))
    if before.strip():
        first = next(number for number, text in lines if text.strip())
        found.add(first, "text without a label", remedy=f"Begin it with a label, such as **{LABELS[1]}.**")
    notes: dict[str, str] = {}
    for label, text in zip(pairs[::2], pairs[1::2], strict=True):
        notes[label] = "\n\n".join(filter(None, [notes.get(label), text.strip()]))
    return notes


def _topics(topics: list[tuple[int, str, list[Line]]], found: _Faults) -> dict:
    points, questions, practice = {}, [], []
    for number, topic, body in topics:
        if topic not in TOPICS:
            found.add(number, f"there is no topic {topic!r}", remedy=f"These are: {', '.join(TOPICS)}.")
        elif topic == "In practice":
            practice.append(_text(body))
        elif topic == "Ask":
            questions += [_question(line, item, found) for line, item in _items(topic, body, found)]
        elif topic.lower() in points:
            found.add(number, f"{topic} is there twice", remedy="Make one list of the two.")
        else:
            points[topic.lower()] = tuple(item for _, item in _items(topic, body, found))
    return {"points": points, "questions": tuple(questions), "practice": "\n\n".join(practice)}


def _items(topic: str, lines: list[Line], found: _Faults) -> list[Line]:
    """Read a list: an item begins with a dash, and the indented lines below belong to it."""
    items: list[Line] = []
    for number, text in lines:
        if text.startswith("- "):
            items.append((number, text[2:].strip()))
        elif items and (text.startswith("  ") or not text.strip()):
            items[-1] = (items[-1][0], f"{items[-1][1]}\n{text.strip()}".strip())
        elif text.strip():
            remedy = "Begin each point with a dash, and indent what goes on in the next line."
            found.add(number, f"{topic} is a list, and this line is no part of it", remedy=remedy)
    return items


def _question(line: int, item: str, found: _Faults) -> Question:
    question, dash, answer = item.partition(" — ")
    if not (dash and question.endswith("?") and answer.strip()):
        what = f"a question needs a question mark and an answer, got {item!r}"
        found.add(line, what, remedy="Write: - Question? — expected answer")
    return Question(question.strip(), answer.strip())
