"""Check the cue sheets against the notebooks, so that neither changes without the other.

    presenter check

Every code cell must have a cue, and every cue its cells. Times, fallback pictures, facts and links must be
right. What is pointed at must be there: names, cells and pictures, rows and columns. A number of the model,
of memory or of time must be computed, not typed. All faults are reported at once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from presenter import cues, facts, pointing, runtimes, spoken
from presenter.cues import Cue, Fault, Sheet
from workshop import gallery, notebooks
from workshop.notebooks import Notebook

# The seven notebooks; totals are checked only if all are there.
SERIES = ("01", "02", "03", "04", "05", "06", "07")
SHORTEST, LONGEST = 60.0, 90.0  # minutes of all cues together
MUST = 45.0  # minutes of all must cues, at most
WITH_IDS = (4, 5)  # first format with cell ids
OFTEN = ("a hundred", "a thousand")
WRITE_WORDS = "Let a fact say it: {fact:NAME|words}; presenter/facts.py has the names."
LONG = 20.0  # s; a cue whose cell runs longer on some machine needs "While it runs"

_CODE = re.compile(r"(`+).+?\1")
_TARGET = re.compile(r"\]\([^)]*\)")
_ITEM = re.compile(r"^\d+\.\s")
_BEGINS = re.compile(r"\s*(?:#+ |[-*] |\d+\. )")  # a heading or a point of a list
_LINK = re.compile(r"\]\(([^)#]*)#cell:([^)]*)\)")
_NUMBER = re.compile(r"(?<![\w.,·-])\d[\d,.]*(?<![.,])")
_UNIT = re.compile(
    r"[ -]?(%|×|°|B\b|M\b|[kMGTP]i?B\b|m?s\b|px\b|dB\b|[TP]?FLOP|per cent|(milli|micro)?seconds?\b|minutes?\b"
    r"|hours?\b|[mb]illion|thousand)"
)


MILLION = 10**6
SMALL = 10  # number words below it count what everybody can count: two people, three models
# What the sheets count in words, and the facts whose numbers that may be; a fraction may be any share.
COUNTED = {
    "block": ("dit.blocks",),
    "step": ("picture.steps", "training.steps"),
    "pass": ("picture.passes",),
    "runs of the dit": ("picture.passes",),
    "head": ("dit.heads",),
    "layer": ("lora.targets", "lora.modules"),
    "tensor": ("lora.targets",),
    "direction": ("lora.rank",),
    "knob": ("lora.rank",),
    "channel": ("vae.channels",),
    "token": ("tokens.128", "tokens.1024", "tokens.1328"),
    "time": ("training.repeat", "picture.passes", "vae.compression"),
    "percent": ("lora.share", "gpu.busy", "gib.excess"),
    "gigabyte": (),
}
UNITS = ("percent", "gigabyte")  # before them, a small number is a fact, too
_COUNTED = re.compile(rf"[- ](?:of |equal )*({'|'.join(COUNTED)})(?:e?s)?\b", re.IGNORECASE)
_SHARE = re.compile(
    r"\b(?:two thirds|three quarters|nine in ten|(?:a|one) (?:quarter|third|tenth) of the (?:work|price"
    r"|weights|parameters|memory|time)|(?:half|quarters? of) a (?:mega|giga|gibi)byte)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Prose:
    """A paragraph or a point of a list as one line, and the cue it stands in."""

    lines: tuple[tuple[int, str], ...]  # the number of each of its lines, and its text
    cue: Cue | None

    @property
    def text(self) -> str:
        """Its lines, joined by blanks: what is searched for may run over the end of a line."""
        return " ".join(text for _, text in self.lines)

    def line_at(self, place: int) -> int:
        """Return the number of the line in which a place of the text is."""
        ends = accumulate(len(text) + 1 for _, text in self.lines)
        return next(number for (number, _), end in zip(self.lines, ends, strict=True) if place < end)


def check(sheets: Sequence[Sheet], books: Sequence[Notebook]) -> list[Fault]:
    """Find all faults of sheets and notebooks, sheet by sheet.

    While a notebook of the series is missing, totals of the talk and links to that notebook are not checked.
    """
    by_name = {book.name: book for book in books}
    whole = {sheet.name[:2] for sheet in sheets} & {name[:2] for name in by_name} >= set(SERIES)
    faults = [fault for book in books for fault in _find_format_faults(book)]
    faults += _find_unpaired(sheets, by_name)
    for sheet in sheets:
        if sheet.name in by_name:
            faults += _find_cell_faults(sheet, by_name[sheet.name])
            faults += _find_prose_faults(sheet, by_name, whole=whole)
            faults += _find_pointing_faults(sheet, by_name[sheet.name])
        faults += [fault for cue in sheet.cues for fault in _find_cue_faults(sheet, cue)]
    if whole:
        faults += _find_sum_faults(sheets)
    return faults


def check_all(folder: Path = cues.CUES, *, books: Path = notebooks.FOLDER) -> tuple[list[Sheet], list[Fault]]:
    """Read all sheets and notebooks and check them; parts that cannot be read are faults, too.

    A folder without sheets or notebooks is one fault, and what cannot be read is compared with nothing.
    """
    paths, found = cues.list_paths(folder), notebooks.find(folder=books)
    empty = [
        Fault(where, 0, "", f"{_lack(where)} {what}", f"Name another folder with {flag}.")
        for where, there, what, flag in (
            (folder, paths, "cue sheet (01_name.md)", "--cues"),
            (books, found, "notebook (01_name.ipynb)", "--notebooks"),
        )
        if not there
    ]
    parsed = [cues.parse(path) for path in paths]
    sheets = [sheet for sheet, _ in parsed]
    if empty:
        return sheets, empty
    faults = [fault for _, found in parsed for fault in found]
    whole = []
    for path in found:
        try:
            whole.append(notebooks.read(path))
        except ValueError as error:
            what, _, remedy = str(error).partition("). ")
            faults.append(Fault(path, 0, "", what.partition(" ")[2] + ")" * bool(remedy), remedy))
    legible = {sheet.name for sheet in sheets if sheet.cues or sheet.sections}
    illegible = {sheet.name for sheet in sheets} - legible
    broken = {path.stem for path in found} - {book.name for book in whole}
    return sheets, faults + check(
        [sheet for sheet in sheets if sheet.name not in illegible | broken],
        [book for book in whole if book.name not in illegible],
    )


def _lack(folder: Path) -> str:
    if folder.is_dir():
        return "the folder has no"
    return "this is a file, not a folder with a" if folder.exists() else "there is no such folder, and no"


def _find_format_faults(book: Notebook) -> Iterator[Fault]:
    if book.version < WITH_IDS:
        got = ".".join(map(str, book.version))
        remedy = "Open it in JupyterLab and save it, then give its cells speaking ids."
        yield Fault(book.path, 0, "", f"the format is {got}; cells have ids from 4.5 on", remedy)
    for cell, count in Counter(cell.id for cell in book.cells).items():
        if count > 1 or not cell:
            what = f"{count} cells have the id `{cell}`" if cell else "a cell has no id"
            yield Fault(book.path, 0, "", what, "Give each cell an id of its own.")


def _find_unpaired(sheets: Sequence[Sheet], books: dict[str, Notebook]) -> Iterator[Fault]:
    for sheet in sheets:
        if sheet.name not in books:
            remedy = f"Rename the sheet, or add notebooks/{sheet.name}.ipynb"
            yield Fault(sheet.path, 0, "", "there is no notebook of this name", remedy)
    for name in sorted(books.keys() - {sheet.name for sheet in sheets}):
        remedy = f"Write presenter/cues/{name}.md"
        yield Fault(books[name].path, 0, "", "there is no cue sheet for this notebook", remedy)


def _find_cell_faults(sheet: Sheet, book: Notebook) -> Iterator[Fault]:
    """Compare a sheet's cells and their order with the notebook's."""
    ids = [cell.id for cell in book.cells]
    used = Counter(cell for cue in sheet.cues for cell in cue.cells)
    after = "the beginning"
    for one in book.code:
        if one.id not in used:
            remedy = f"Add it to a cue, or write one for it after `{after}`."
            yield Fault(sheet.path, 0, f"`{one.id}`", "this code cell has no cue", remedy)
        after = one.id
    latest = -1
    for cue in sheet.cues:
        for cell in cue.cells:
            place = ids.index(cell) if cell in ids else None
            if place is None:
                yield _fault(sheet, cue, f"{book.path.name} has no cell `{cell}`", _nearest(cell, ids))
            elif used[cell] > 1:
                yield _fault(sheet, cue, f"`{cell}` is in {used[cell]} cues", "Leave it in one of them.")
            elif place < latest:
                remedy = "Put cues and their cells into the notebook's order."
                yield _fault(sheet, cue, f"`{cell}` stands before the cell above it", remedy)
            latest = max(latest, place if place is not None else -1)


def _nearest(cell: str, ids: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(cell, ids, n=1)
    return f"Is it `{near[0]}`?" if near else "Remove it from the sheet, or put the cell back."


def _find_cue_faults(sheet: Sheet, cue: Cue) -> Iterator[Fault]:
    for level in cues.LEVELS:
        if cue.priority == "must" and not cue.points.get(level):
            remedy = f"Write a list below ### {level.capitalize()}"
            yield _fault(sheet, cue, f"a must cue has nothing to say to {level} listeners", remedy)
    if cue.fallback and not (gallery.FALLBACK / f"{cue.fallback}.png").is_file():
        remedy = "Make it with `./scripts/presenter rehearse --apply`, or name a picture of data/fallback."
        yield _fault(sheet, cue, f"there is no fallback picture `{cue.fallback}`", remedy)
    took = max((_slowest(cue.sheet, cell) for cell in cue.cells), default=0.0)
    if cue.takes_time and took > LONG and "While it runs" not in cue.notes:
        remedy = "Say what to talk about meanwhile, after **While it runs.**"
        yield _fault(sheet, cue, f"a cell of it ran for {took:.0f} s", remedy)


def _find_pointing_faults(sheet: Sheet, book: Notebook) -> Iterator[Fault]:
    for cue in sheet.cues:
        for what, remedy in pointing.find_faults(cue, book):
            yield _fault(sheet, cue, what, remedy)


def _slowest(notebook: str, cell: str) -> float:
    table = runtimes.read()
    found = [runtimes.find_expected(notebook, cell, label=label, table=table) for label in table]
    return max((one.seconds for one in found if one), default=0.0)


def _find_prose_faults(sheet: Sheet, books: dict[str, Notebook], *, whole: bool) -> Iterator[Fault]:
    for prose in _paragraphs(sheet):
        yield from _find_placeholder_faults(sheet, prose, books)
        yield from _find_link_faults(sheet, prose, books, whole=whole)
        yield from _find_typed_numbers(sheet, prose, books[sheet.name])
        yield from _find_number_words(sheet, prose, books[sheet.name])


def _paragraphs(sheet: Sheet) -> Iterator[Prose]:
    """Yield the prose of a sheet; a blank line, a heading or a point of a list begins another paragraph."""
    lines: list[tuple[int, str]] = []
    cue = None
    for number, text, here in _lines(sheet):
        if lines and (number > lines[-1][0] + 1 or not text.strip() or _BEGINS.match(text)):
            yield Prose(tuple(lines), cue)
            lines = []
        cue = here
        if text.strip():
            lines.append((number, text.strip()))
    if lines:
        yield Prose(tuple(lines), cue)


def _lines(sheet: Sheet) -> Iterator[tuple[int, str, Cue | None]]:
    """Yield the lines of a sheet that are neither in a code block nor in a cue's table, and their cue."""
    starts = {cue.line: cue for cue in sheet.cues} | {section.line: None for section in sheet.sections}
    cue, in_code, in_head = None, False, False
    for number, text in enumerate(sheet.path.read_text(encoding="utf-8").splitlines(), start=1):
        if number in starts:
            cue = starts[number]
            in_head = cue is not None
        in_head = in_head and (number in starts or not text.strip() or text.startswith("|"))
        if text.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not (in_head and text.startswith("|")):
            yield number, text, cue


def _find_placeholder_faults(sheet: Sheet, prose: Prose, books: dict[str, Notebook]) -> Iterator[Fault]:
    for match in facts.PLACEHOLDER.finditer(prose.text):
        kind, name, _ = match.groups()
        at = partial(_at, sheet, prose, match.start())
        try:
            facts.fill(match[0], notebook=sheet.name, label="")
        except ValueError as error:
            yield at(str(error).rstrip("."), "Mend the name.")
            continue
        if kind == "fact" and facts.find_fact(name).number is None:
            remedy = "Measure it (.venv/bin/python -m workshop.pocket.measure), or leave the sentence out."
            yield at(f"the fact {name} has no value yet", remedy)
        if kind == "runtime":
            ids = _list_runnable(sheet, books)
            if name not in ids:
                yield at(f"there is no code cell `{name}` to run", _nearest(name, sorted(ids)))


def _list_runnable(sheet: Sheet, books: dict[str, Notebook]) -> set[str]:
    """List how a sheet can name code cells: its own by their ids, and all with their notebook's number."""
    ids = {one.id for one in books[sheet.name].code}
    return ids | {f"{name[:2]}-{one.id}" for name, book in books.items() for one in book.code}


def _find_link_faults(
    sheet: Sheet, prose: Prose, books: dict[str, Notebook], *, whole: bool
) -> Iterator[Fault]:
    for match in _LINK.finditer(prose.text):
        file, cell = match.groups()
        name = file.removesuffix(".md") if file else sheet.name  # a sheet in another folder is none of these
        if name not in books and "/" not in name and not whole:
            continue
        ids = [one.id for one in books[name].cells] if name in books else []
        if cell not in ids:
            what = f"the link to `{cell}` leads nowhere" if ids else f"there is no sheet {file!r} to link to"
            yield _at(sheet, prose, match.start(), what, _nearest(cell, ids))


def _find_typed_numbers(sheet: Sheet, prose: Prose, book: Notebook) -> Iterator[Fault]:
    """Find typed numbers with several digits or a unit; one from the code of the cue's cells is right."""
    own = _numbers_of(prose, book)
    text = _blank(prose.text, _ITEM, facts.PLACEHOLDER, _CODE, _TARGET)
    for match in _NUMBER.finditer(text):
        unit = _UNIT.match(text, match.end())
        short = len(re.sub(r"\D", "", match[0])) == 1
        if (short and not unit) or match[0] in SERIES:
            continue
        if _parse_number(match[0]) not in own:
            typed = match[0] + (unit[0] if unit else "")
            remedy = "Name a fact ({fact:…}, {runtime:…}), put code into backticks, or leave the number out."
            yield _at(sheet, prose, match.start(), f"the number {typed!r} is typed", remedy)


def _find_number_words(sheet: Sheet, prose: Prose, book: Notebook) -> Iterator[Fault]:
    """Find number words before what COUNTED names, and fractions, that say no fact's number any more.

    Right is a number from the code of the cue's cells or of this paragraph. "A hundred times" is "often".
    """
    text = _blank(prose.text, facts.PLACEHOLDER, _CODE)
    own = _numbers_of(prose, book) | _numbers_in(" ".join(one[0] for one in _CODE.finditer(prose.text)))
    for number, match in spoken.find_numbers(text):
        noun = _COUNTED.match(text, match.end())
        kind = noun[1].lower() if noun else ""
        judged = number >= MILLION or (noun and (number >= SMALL or kind in UNITS))
        known = number in own or match[0].lower() in {*OFTEN, *_said(kind)}
        if judged and not known:
            what = f"{match[0] + (noun[0] if noun else '')!r} is what no fact says"
            yield _at(sheet, prose, match.start(), what, WRITE_WORDS)
    for match in _SHARE.finditer(text):
        yield _at(sheet, prose, match.start(), f"{match[0]!r} is a share in words", WRITE_WORDS)


def _blank(text: str, *found: re.Pattern[str]) -> str:
    """Return a text with blanks over what is found, so that the rest keeps its place."""
    for pattern in found:
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    return text


def _said(noun: str) -> set[str]:
    """Return the words of the facts that a noun can follow, without a unit of their own; of all, for none."""
    names = COUNTED[noun] if noun else facts.list_names()
    return {facts.find_fact(name).words.removesuffix(f" {noun}") for name in names}


def _numbers_of(prose: Prose, book: Notebook) -> set[float]:
    """Return the numbers in the code of the cue's cells."""
    ids = prose.cue.cells if prose.cue else ()
    code = " ".join(cell.source for cell in book.cells if cell.id in ids)
    return _numbers_in(code)


def _numbers_in(code: str) -> set[float]:
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", code.replace("_", ""))}


def _parse_number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:  # a version, as 2.1.12
        return None


def _find_sum_faults(sheets: Sequence[Sheet]) -> Iterator[Fault]:
    every = [cue for sheet in sheets for cue in sheet.cues]
    total = sum(cue.minutes for cue in every)
    must = sum(cue.minutes for cue in every if cue.priority == "must")
    where = sheets[0].path.parent
    if not SHORTEST <= total <= LONGEST:
        what = f"the minutes of all cues sum to {total:g}, not to {SHORTEST:g}–{LONGEST:g}"
        yield Fault(where, 0, "", what, _by_sheet(sheets, "minutes"))
    if must > MUST:
        what = f"the must cues take {must:g} minutes, more than {MUST:g}"
        yield Fault(where, 0, "", what, _by_sheet(sheets, "must"))


def _by_sheet(sheets: Sequence[Sheet], which: str) -> str:
    sums = {
        sheet.name[:2]: sum(cue.minutes for cue in sheet.cues if which in ("minutes", cue.priority))
        for sheet in sheets
    }
    return "Change some of: " + ", ".join(f"{name} has {minutes:g}" for name, minutes in sums.items()) + "."


def _fault(sheet: Sheet, cue: Cue, what: str, remedy: str) -> Fault:
    return Fault(sheet.path, cue.line, _named(cue), what, remedy)


def _at(sheet: Sheet, prose: Prose, place: int, what: str, remedy: str) -> Fault:
    cue = _named(prose.cue) if prose.cue else ""
    return Fault(sheet.path, prose.line_at(place), cue, what, remedy)


def _named(cue: Cue) -> str:
    return ", ".join(f"`{cell}`" for cell in cue.cells)


def summarize_sheets(sheets: Sequence[Sheet]) -> str:
    """Write in one line what was checked."""
    every = [cue for sheet in sheets for cue in sheet.cues]
    minutes = sum(cue.minutes for cue in every)
    must = sum(cue.minutes for cue in every if cue.priority == "must")
    missing = sorted(set(SERIES) - {sheet.name[:2] for sheet in sheets})
    sums = f"{len(sheets)} sheets, {len(every)} cues, {minutes:g} minutes, of which {must:g} must"
    return sums + (f"; {', '.join(missing)} missing, so the sums are not judged" if missing else "")


def main(argv: list[str]) -> int:
    """Check from the command line; return 1 if there is a fault, or something to check with is damaged."""
    parser = argparse.ArgumentParser(
        prog="presenter check", description="Check the cue sheets against the notebooks."
    )
    parser.add_argument("--cues", type=Path, default=cues.CUES, help="folder of the sheets")
    parser.add_argument("--notebooks", type=Path, default=notebooks.FOLDER, help="folder of the notebooks")
    options = parser.parse_args(argv)
    try:
        sheets, faults = check_all(options.cues, books=options.notebooks)
    except ValueError as error:  # of the runtimes or of the pocket model's report
        print(f"presenter check: {error}", file=sys.stderr)
        return 1
    for fault in faults:
        print(f"✗ {fault}", file=sys.stderr)
    print(f"{f'{len(faults)} faults:' if faults else '✓'} {summarize_sheets(sheets)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
