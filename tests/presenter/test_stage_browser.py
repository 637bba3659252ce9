"""The projector's page in a real browser: every cue of the workshop, at every level, on three projectors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from presenter import cues
from presenter.console import stage
from presenter.console.listener import draw_code
from presenter.console.talk import Console, read_picture_words
from presenter.console.view import View
from presenter.journal import Talk
from presenter.kernels import Kernels
from presenter.material import Material
from tests.support.browser import CHROMIUM, LAPTOP, PROJECTOR, Browser, Tab
from tests.support.lesson import write_lesson
from tests.support.room import Room
from workshop import gallery, notebooks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
SIZES = [(1024, 768), (1280, 720), (1920, 1080)]
BARE = b"<!doctype html><link rel=stylesheet href=page/scene.css><style>body{margin:0}</style><div id=scene>"

# Draws every part in a box of every size, and returns what is clipped, small, or not there.
WALK = """(async (parts, sizes) => {
  const { build, draw } = await import('/presenter/page/scene.js');
  const root = build(document.getElementById('scene'), { alone: true });
  const img = root.querySelector('img'), found = [], shares = {};
  for (const { name, part } of parts) {
    for (const [width, height] of sizes) {
      Object.assign(root.style, { width: `${width}px`, height: `${height}px` });
      draw(root, part);
      if (part.picture) await img.decode();
      const waits = () => part.picture && root.querySelector('figure').hidden;
      while (waits()) await new Promise((go) => setTimeout(go, 5));
      const where = `${name} ${width}x${height}`, box = root.getBoundingClientRect();
      const shown = [...root.querySelectorAll('h1, p, li, img, svg, figcaption, section')]
        .filter((one) => one.checkVisibility() && (one.innerText || /IMG|svg/.test(one.tagName)));
      if (!shown.length) found.push(`${where}: nothing is shown`);
      for (const one of shown) {
        const own = one.getBoundingClientRect();
        const what = `${where}: ${one.tagName} ${[own.left, own.top, own.right, own.bottom].map(Math.round)}`;
        const beyond = own.right > width + 1 || own.bottom > height + 1;
        if (own.left < 0 || own.top < 0 || beyond) found.push(`${what} is clipped`);
        const hidden = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
        if (hidden) found.push(`${what} hides its right side`);
        const letters = parseFloat(getComputedStyle(one).fontSize) / height;
        if (/H1|LI/.test(one.tagName) && letters < 0.03) found.push(`${what} has letters of ${letters}`);
      }
      if (!part.picture) continue;
      const own = img.getBoundingClientRect();
      const words = root.querySelector('section').getBoundingClientRect();
      const apart = words.left >= own.right || words.top >= own.bottom;
      if (!apart) found.push(`${where}: the words lie over the picture`);
      const ratio = img.naturalWidth / img.naturalHeight;
      if (Math.abs(own.width / own.height - ratio) > 0.02) found.push(`${where}: stretched`);
      const alone = Math.min(width, height * ratio);
      if (own.width < 0.6 * alone) found.push(`${where}: the picture has ${own.width} of ${alone} px`);
    }
  }
  return found;
})(%s, %s)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def wall() -> Iterator[Room]:
    """Serve the workshop's own pictures, and a page without a talk."""
    room = Room(None, pictures=gallery.FALLBACK, bare=BARE)
    yield room
    room.close()


@pytest.fixture(scope="module")
def tab(browser: Browser, wall: Room) -> Tab:
    tab = browser.open(wall.address("presenter/"), (1920, 1080))
    tab.wait("document.getElementById('scene') !== null")
    return tab


@pytest.fixture(scope="module")
def view() -> View:
    """Look at the workshop's own talk, with every cue in it."""
    material = Material.read(cues.CUES, notebooks.FOLDER)
    return View(material, material.plan({"minutes": 300}, level="beginner"), Talk(), Kernels(), 0.0)


def walk(tab: Tab, parts: list[dict[str, Any]], sizes: list[tuple[int, int]]) -> list[str]:
    """Draw the parts, a few at a time so that a slow machine answers, and return what is wrong with them."""
    few = (parts[place : place + 9] for place in range(0, len(parts), 9))
    return [found for some in few for found in tab.js(WALK % (json.dumps(some), json.dumps(sizes)))]


def describe(view: View, cue: cues.Cue, level: str) -> dict[str, Any]:
    seen = replace(view, talk=Talk(cue=cue.name, staged=cue.name, level=level))
    part = stage.describe_stage(seen)
    words = read_picture_words(gallery.FALLBACK / f"{cue.fallback}.png") if cue.fallback else {}
    return {"name": f"{cue.name} {level}", "part": part | {"picture_words": words}}


def test_every_cue_fits_every_projector_at_every_level(tab: Tab, view: View) -> None:
    parts = [describe(view, cue, level) for cue in view.material.cues for level in cues.LEVELS]
    assert len(parts) > 200 and sum(bool(one["part"]["picture"]) for one in parts) > 80
    assert walk(tab, parts, SIZES) == []


def test_code_of_the_students_page_fits_the_quiet_page(tab: Tab, view: View) -> None:
    url = "http://192.168.100.200:54321/"
    part = stage.describe_stage(view, students={"url": url, "code": draw_code(url)})
    shown = {
        "name": "idle",
        "part": part
        | {
            "title": "07 · A title that takes more than one line of the projector",
            "start": "We begin at 10:00.",
        },
    }
    assert walk(tab, [shown], SIZES) == []
    side = tab.js("document.querySelector('.invite svg').getBoundingClientRect().height")
    assert side > 0.2 * SIZES[-1][1]  # a phone reads it from the back row
    tab.picture("stage-students")
    assert walk(tab, [{"name": "idle", "part": part | {"students": None}}], SIZES) == []
    assert not tab.js("document.querySelector('.invite').checkVisibility()")


def test_walk_finds_what_is_clipped(tab: Tab, view: View) -> None:
    cue = next(cue for cue in view.material.cues if cue.fallback)
    made = describe(view, cue, "advanced")
    made["part"]["points"] = []
    made["part"]["title"] = "word " * 400
    assert any("clipped" in one or "letters" in one for one in walk(tab, [made], SIZES))


def test_words_stand_alone_until_their_picture_has_come(tab: Tab, view: View) -> None:
    shown, next_one = [cue for cue in view.material.cues if cue.fallback][:2]
    assert walk(tab, [describe(view, shown, "advanced")], [(1280, 720)]) == []
    late = describe(view, next_one, "advanced")
    late["part"]["picture"] = "not-there"
    drawn = tab.js(
        f"""(async (part) => {{
          const {{ draw }} = await import('/presenter/page/scene.js');
          const root = document.getElementById('scene');
          draw(root, part);
          const picture = root.querySelector('figure').checkVisibility();
          return [root.dataset.layout, picture, root.querySelector('.title').innerText];
        }})({json.dumps(late["part"])})"""
    )
    assert drawn == ["words", False, next_one.title]
    assert walk(tab, [describe(view, shown, "advanced")], [(1280, 720)]) == []  # and back again


def test_picture_that_comes_late_is_not_shown_beside_another_cues_words(tab: Tab, view: View) -> None:
    slow, plain = [describe(view, cue, "advanced")["part"] for cue in view.material.cues if cue.fallback][:2]
    slow["picture"] = next(cue.fallback for cue in reversed(view.material.cues) if cue.fallback)
    plain |= {"picture": "", "picture_words": {}}
    shown = tab.js(
        f"""(async (slow, plain) => {{
          const {{ build, draw }} = await import('/presenter/page/scene.js');
          const root = document.getElementById('scene');
          build(root, {{ alone: true }});
          const img = root.querySelector('img');
          const come = new Promise((go) => img.addEventListener('load', go, {{ once: true }}));
          draw(root, slow);
          draw(root, plain);
          await come;
          return [root.querySelector('figure').checkVisibility(), root.querySelector('.title').innerText];
        }})({json.dumps(slow)}, {json.dumps(plain)})"""
    )
    assert shown == [False, plain["title"]]


def test_picture_that_comes_after_the_next_cue_began_is_shown_with_its_own_cue(
    tab: Tab, view: View, wall: Room
) -> None:
    fallbacks = {cue.fallback: cue for cue in view.material.cues if cue.fallback}
    slow, quick = [describe(view, fallbacks[name], "advanced")["part"] for name in list(fallbacks)[3:5]]
    tab.js(
        "(async () => { const { build, draw } = await import('/presenter/page/scene.js');"
        " window.redraw = draw; build(document.getElementById('scene'), { alone: true }); })()"
    )
    seen = (
        "[document.querySelector('figure').checkVisibility() ? document.querySelector('img').src : '',"
        " document.querySelector('.title').innerText]"
    )

    def show(part: dict[str, Any]) -> None:
        tab.js(f"redraw(document.getElementById('scene'), {json.dumps(part)})")

    def expect(part: dict[str, Any], *, picture: bool = True) -> None:
        source = wall.address(f"presenter/picture/{part['picture']}.png") if picture else ""
        tab.wait(f"{seen}.join() === {json.dumps(','.join([source, part['title']]))}")

    wall.late = f"{slow['picture']}.png"
    show(slow)
    expect(slow, picture=False)
    show(quick)
    expect(quick)
    show(slow)  # back, while its picture is still on its way
    show(quick)
    wall.late = ""
    time.sleep(0.5)  # the late one comes
    expect(quick)
    show(slow)
    expect(slow)


@pytest.mark.parametrize(
    "name", ["02-guidance-grid", "05-f2p-load", "07-train", "02-bill", "05-identity-seeds"]
)
def test_pictures_of_some_cues_are_kept(tab: Tab, view: View, name: str) -> None:
    cue = next(cue for cue in view.material.cues if cue.name == name)
    assert walk(tab, [describe(view, cue, "advanced")], [(1920, 1080)]) == []
    tab.picture(f"stage-{name}")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Serve a running talk."""
    folder = tmp_path_factory.mktemp("talk")
    material = Material.read(*write_lesson(folder))
    pictures = folder / "pictures"
    pictures.mkdir()
    Image.linear_gradient("L").resize((512, 512)).save(pictures / "dog.png")
    console = Console(material, folder / "talk", options={"minutes": 15})
    console.pictures = pictures
    console.act({"do": "begin"})
    room = Room(console, pictures=pictures)
    yield room
    room.close()


@pytest.fixture(scope="module")
def screens(browser: Browser, room: Room) -> Iterator[tuple[Tab, Tab]]:
    """Open a talk's second screen and its projector page."""
    second = browser.open(room.address("presenter"), LAPTOP)
    projector = browser.open(room.address("presenter/stage"), PROJECTOR)
    second.wait_text("title", "Hello")
    projector.wait_text("sheet", "01 · First")
    yield second, projector
    assert [said for tab in (second, projector) for said in tab.said] == []


def write_event(log: Path, event: str, **more: str) -> None:
    """Write an event as a kernel does."""
    line = {"at": time.time(), "event": event, "pid": os.getpid(), **more}
    with log.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")


def go(second: Tab, key: str, title: str) -> None:
    second.key(key)
    second.wait_text("title", title)


def test_second_screen_previews_and_points_on_the_projector(screens: tuple[Tab, Tab]) -> None:
    second, projector = screens
    assert second.js("document.querySelector('#preview .title').innerText") == "Hello"  # before F does it
    second.wait("document.querySelector('#preview img').naturalWidth === 512")
    second.key("f")
    projector.wait_text("title", "Hello")
    projector.wait("document.querySelector('img').naturalWidth === 512")
    second.wait("document.querySelector('#shown img').getBoundingClientRect().width > 50")
    second.wait("!document.getElementById('ahead').checkVisibility()")
    second.js("document.getElementById('shown').scrollIntoView()")
    box = second.js("document.querySelector('#shown img').getBoundingClientRect().toJSON()")
    where = {"x": box["x"] + box["width"] / 4, "y": box["y"] + box["height"] / 2}
    second.call("Input.dispatchMouseEvent", type="mouseMoved", **where)
    projector.wait("document.querySelector('.dot').checkVisibility()")
    left = projector.js("document.querySelector('.dot').style.getPropertyValue('--x')")
    assert abs(float(left.rstrip("%")) - 25) < 2
    second.picture("console-pointing")
    projector.picture("stage-pointing")
    held = {"button": "left", "buttons": 1, "clickCount": 1}
    second.call("Input.dispatchMouseEvent", type="mousePressed", **where, **held)
    projector.wait("document.querySelector('.spot').checkVisibility()")
    projector.picture("stage-spotlight")
    second.call("Input.dispatchMouseEvent", type="mouseReleased", **where, button="left", clickCount=1)
    second.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    projector.wait("!document.querySelector('.dot').checkVisibility()")
    second.key("f")
    projector.wait_text("sheet", "01 · First")


@pytest.fixture
def pointing(screens: tuple[Tab, Tab]) -> Iterator[dict[str, float]]:
    """Put a picture on the projector; the middle of its small one, in px of the second screen."""
    second, projector = screens
    second.wait_text("stage", "Fallback on the projector")
    second.key("f")
    second.wait_text("stage", "Take it off the projector")
    projector.wait("document.getElementById('title').checkVisibility()")
    second.wait("document.querySelector('#shown img').getBoundingClientRect().width > 50")
    second.js("document.getElementById('shown').scrollIntoView()")
    box = second.js("document.querySelector('#shown img').getBoundingClientRect().toJSON()")
    yield {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    if second.js("document.getElementById('stage').ariaPressed") == "true":
        second.key("f")
    projector.wait("document.getElementById('sheet').checkVisibility()")


def point(second: Tab, x: float, y: float) -> None:
    second.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def test_pointer_that_was_not_taken_off_is_taken_off_again(
    screens: tuple[Tab, Tab], room: Room, pointing: dict[str, float]
) -> None:
    second, projector = screens
    point(second, **pointing)
    projector.wait("document.querySelector('.dot').checkVisibility()")
    time.sleep(0.3)
    room.deaf = True
    try:
        point(second, x=5, y=5)
        second.wait("performance.getEntriesByType('resource').at(-1).responseStatus === 503")
    finally:
        room.deaf = False
    projector.wait("!document.querySelector('.dot').checkVisibility()")
    second.said.clear()  # the browser tells the 503


def test_pointer_on_a_slow_line_leaves_the_keys_their_connections(
    screens: tuple[Tab, Tab], room: Room, pointing: dict[str, float]
) -> None:
    second, _ = screens
    room.holding = True
    try:
        for step in range(10):
            point(second, pointing["x"] + step, pointing["y"])
            time.sleep(0.1)  # longer than the page collects places
        assert room.held == 1  # a browser has six connections to a server, and each of its streams takes one
        go(second, "ArrowRight", "Slow")
    finally:
        room.holding = False
    point(second, x=5, y=5)
    go(second, "ArrowLeft", "Hello")


def test_projector_is_frozen_black_and_counts_down_a_break(screens: tuple[Tab, Tab]) -> None:
    second, projector = screens
    second.key("f")
    projector.wait_text("title", "Hello")
    second.key("z")
    second.wait_text("projector-state", "frozen")
    go(second, "ArrowRight", "Slow")
    assert projector.text("title") == "Hello"
    second.key("z")
    projector.wait_text("sheet", "01 · First")
    second.key("b")
    projector.wait("document.body.innerText.trim() === ''")
    assert (
        projector.js("getComputedStyle(document.querySelector('.scene')).backgroundColor") == "rgb(0, 0, 0)"
    )
    second.key(".")
    projector.wait_text("sheet", "01 · First")
    second.key("p")
    projector.wait_text("word", "Break")
    second.click("document.querySelector('[data-minutes=\"10\"]')")
    projector.wait_text("countdown", "9:")
    projector.picture("stage-break")
    second.picture("console-break")
    second.key("p")
    projector.wait_text("sheet", "01 · First")
    go(second, "ArrowLeft", "Hello")


def test_preview_is_seen_though_the_projector_shows_another_cue_of_the_same_title(
    browser: Browser, room: Room, tmp_path: Path
) -> None:
    sheets, books = write_lesson(tmp_path)
    sheet = sheets / "01_first.md"
    sheet.write_text(sheet.read_text("utf-8").replace("· Slow\n", "· Hello\n"), encoding="utf-8")
    before = room.console
    console = Console(Material.read(sheets, books), tmp_path / "talk", options={"minutes": 15})
    console.pictures = room.pictures
    for asked in ({"do": "begin"}, {"do": "stage", "on": True}, {"do": "screen", "kind": "freeze"}):
        console.act(asked)
    console.act({"do": "go", "cue": "01-slow"})
    room.console = console
    try:
        second = browser.open(room.address("presenter"), LAPTOP)
        second.wait_text("projector-state", "frozen")
        second.wait("document.querySelector('#preview .title').innerText === 'Hello'")
        assert second.sees("ahead")
    finally:
        room.console = before
    second.call("Page.navigate", url="about:blank")


def test_ticks_of_the_checklist_are_this_talks(browser: Browser, room: Room, tmp_path: Path) -> None:
    before = room.console
    assert before
    second = browser.open(room.address("presenter"), LAPTOP)
    box = "document.querySelector('#before input[type=checkbox]')"
    second.wait(f"{box} !== null")
    second.js(f"{box}.closest('details').open = true")
    second.click(box)
    second.call("Page.reload")
    second.wait(f"{box}?.checked === true")
    with room.lock:
        room.console = Console(before.material, tmp_path / "another", options={"minutes": 15})
    try:
        second.wait("document.body.dataset.talk === 'ready'")
        second.call("Page.reload")
        second.wait(f"{box}?.checked === false")
        assert second.js("Object.keys(localStorage).filter((name) => name.includes('done')).length") == 0
    finally:
        room.console = before
    second.call("Page.navigate", url="about:blank")


def test_key_that_is_held_acts_once(browser: Browser, room: Room) -> None:
    assert room.console
    second = browser.open(room.address("presenter"), LAPTOP)  # in front, for the button needs the focus
    second.wait("document.body.dataset.talk === 'running'")
    second.wait_text("title", "Hello")
    before = len(room.console.journal.acts)
    second.js("document.getElementById('question').focus()")
    second.key("Enter", repeats=3)  # which presses the button that has the focus
    second.wait_text("sentence", "Question")
    second.key("PageDown", repeats=3)  # as a clicker does
    second.wait_text("title", "Slow")
    second.key("q")
    second.wait("document.body.dataset.talk === 'running'")
    go(second, "ArrowLeft", "Hello")
    assert [act.do for act in room.console.journal.acts[before:]] == ["pause", "go", "resume", "go"]
    second.call("Page.navigate", url="about:blank")


def test_keys_scroll_the_notes_wherever_the_focus_is(screens: tuple[Tab, Tab]) -> None:
    second, _ = screens
    second.size(1366, 560)
    second.js("document.activeElement.blur()")
    where = "document.getElementById('now').scrollTop"
    assert second.js(where) == 0
    second.key("ArrowDown")
    second.wait(f"{where} > 20")
    first = second.js(where)
    second.key(" ")
    second.wait(f"{where} > {first}")
    assert second.text("title") == "Hello"
    second.size(*LAPTOP)


def test_bars_give_way_on_a_low_window_and_undo_leaves_the_header_low(screens: tuple[Tab, Tab]) -> None:
    second, _ = screens
    second.wait("document.querySelector('#cuts [data-act=keep]') !== null")
    second.click("document.querySelector('#cuts [data-act=keep]')")
    second.wait_text("undo", "Undo: take 01-extra back in")
    second.picture("console-undo")
    height = second.js("document.querySelector('header').getBoundingClientRect().height")
    assert height < 0.17 * LAPTOP[1]
    second.size(683, 384)  # 1366×768 at a zoom of 200 %
    second.picture("console-zoom")
    position = "getComputedStyle(document.querySelector('{}')).position"
    assert [second.js(position.format(bar)) for bar in ("header", "footer")] == ["static", "static"]
    assert second.js("document.scrollingElement.scrollWidth <= innerWidth")
    second.size(*LAPTOP)


def test_line_that_stalls_is_told_and_takes_no_key(screens: tuple[Tab, Tab], room: Room) -> None:
    second, _ = screens
    assert room.console
    before = list(room.console.journal.acts)
    room.stalled = True
    try:
        second.wait_text("lost", "No word from the server since")
        second.key("ArrowRight")
        second.wait_text("problem", "that was not sent")
        second.picture("console-stalled")
    finally:
        room.stalled = False
    second.wait("!document.getElementById('lost').checkVisibility()")
    assert room.console.journal.acts == before
    go(second, "ArrowRight", "Slow")
    go(second, "ArrowLeft", "Hello")


def test_banners_take_the_whole_width_and_the_next_cell_is_seen(screens: tuple[Tab, Tab], room: Room) -> None:
    """A stray cell asks over the whole page; a small screen still shows the next cell and the projector."""
    second, _ = screens
    assert room.console
    log = room.console.tail.log
    for event in ("pre", "post"):
        write_event(log, event, cell="last", notebook="02_second.ipynb")
    with room.lock:
        room.console.look()
    second.wait_text("stray-text", "The talk stays here.")
    for size in SIZES:
        second.size(*size)
        box = "document.getElementById('{}').getBoundingClientRect()"
        second.wait(f"{box.format('stray')}.width === innerWidth")
        for part in ("cell-code", "projector-title"):
            assert second.js(f"{box.format(part)}.bottom") < size[1], (size, part)
        second.picture(f"console-stray-{size[0]}")
    second.click("document.querySelector('[data-act=dismiss]')")
    second.wait("!document.getElementById('stray').checkVisibility()")
    second.size(*LAPTOP)


def test_small_pictures_lie_above_a_footer_of_one_row(browser: Browser, room: Room) -> None:
    """On a laptop's screen, with the advice and its button in the header."""
    second = browser.open(room.address("presenter"), LAPTOP)  # a page of its own, for it is filled with words
    second.wait_text("title", "Hello")
    second.wait("document.getElementById('end').checkVisibility()")
    if second.js("document.querySelector('#cuts [data-act=keep]') !== null"):
        second.click("document.querySelector('#cuts [data-act=keep]')")
    second.wait("document.getElementById('accept').checkVisibility()")
    second.picture("console-advice")
    buttons = "[...document.querySelectorAll('footer > *')].map((one) => one.getBoundingClientRect())"
    middles = second.js(f"{buttons}.map((box) => Math.round(box.top + box.height / 2))")
    second.js("document.getElementById('run').hidden = false")  # and more above them than there is room for
    second.js("document.getElementById('run-time').innerText = 'A long time. '.repeat(9)")
    second.js("document.getElementById('next-title').innerText = 'A long title. '.repeat(9)")
    second.js("document.getElementById('next-first').innerText = 'A long sentence. '.repeat(20)")
    second.js("document.getElementById('cell-code').innerText = 'a line\\n'.repeat(9)")
    second.picture("console-full")
    pictures = second.js("document.querySelector('.screens').getBoundingClientRect().bottom")
    footer = second.js("document.querySelector('footer').getBoundingClientRect().top")
    assert max(middles) - min(middles) <= 1, middles
    assert pictures <= footer, (pictures, footer)
