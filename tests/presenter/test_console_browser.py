"""The console in a real browser, beside a real JupyterLab: an error, a full memory, a dead kernel, a cut.

Chromium is driven over its DevTools protocol. WORKSHOP_SCREENSHOTS names a folder to keep the pictures in.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from presenter import hook, journal, runtimes
from presenter.console import extension
from presenter.runtimes import Runtime
from tests.support.browser import (
    ALT,
    CHROMIUM,
    LAPTOP,
    NARROW,
    PROJECTOR,
    SHIFT,
    Browser,
    Lab,
    Tab,
    open_page,
)
from tests.support.lesson import GO_ON
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("house"), words=("--minutes", "15"))  # so 01-extra is cut
    draw(server.folder / "pictures" / "dog.png")
    measured = {"01_first": {"slow": Runtime(5.0, 0.2, 3)}, "02_second": {"last": Runtime(1.0, 4096.0, 3)}}
    runtimes.write(runtimes.name_machine(), measured, file=server.folder / "runtimes.json")
    server.start()
    yield server
    server.stop()


def draw(path: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_itxt("alt", "A drawn dog.")
    words.add_itxt("made by", "pocket model")
    Image.linear_gradient("L").resize((512, 512)).save(path, pnginfo=words)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def begin(console: Tab) -> None:
    """Bring the talk to its beginning, whatever was before."""
    if console.js("document.body.dataset.talk") != "ready":
        console.key("e")
        console.wait("document.getElementById('sure').open")
        console.click("document.querySelector('#sure [value=yes]')")
        console.wait("document.body.dataset.talk === 'ended'")
        console.key("s")
        console.wait("document.getElementById('sure').open")
        console.click("document.querySelector('#sure [value=yes]')")
    else:
        console.key("s")
    console.wait("document.body.dataset.talk === 'running'")
    console.wait_text("title", "Hello")


@pytest.fixture(scope="module")
def console(browser: Browser, server: Server) -> Tab:
    tab = open_page(browser, server, "presenter", LAPTOP)
    tab.wait_text("title", "Hello")
    return tab


@pytest.fixture(scope="module")
def stage(browser: Browser, server: Server) -> Tab:
    tab = open_page(browser, server, "presenter/stage", PROJECTOR)
    tab.wait_text("sheet", "01 · First")
    return tab


@pytest.fixture(scope="module")
def lab(browser: Browser, server: Server) -> Lab:
    return Lab(open_page(browser, server, "lab/tree/01_first.ipynb", LAPTOP))


def test_talk_is_followed_through_an_error_to_the_fallback_on_the_projector(
    console: Tab, stage: Tab, lab: Lab, server: Server
) -> None:
    console.picture("1-before")
    begin(console)
    lab.run(0)
    console.wait_text("run-state", "Ran")
    assert console.text("title") == "Hello"  # its own cell does not move the talk
    lab.run(1)
    console.wait_text("title", "Slow")
    console.wait_text("run-state", "Running")
    assert "of 5.0 s expected" in console.text("run-time")
    console.wait("document.body.classList.contains('waiting')")
    assert console.sees("run-bar")
    console.picture("2-waiting")
    (server.books / GO_ON).touch()
    console.wait_text("run-state", "Ran")
    console.wait_text("cell-id", "names")
    lab.run(3)
    console.wait_text("alarm-title", "An error in breaks")
    assert console.text("alarm-message") == "ZeroDivisionError: division by zero"
    assert "what it would have shown" in console.text("alarm-notes")
    console.picture("3-error")
    console.key("f")
    stage.wait_text("title", "It breaks")
    stage.wait("document.querySelector('img').naturalWidth === 512")
    assert stage.js("document.querySelector('img').alt") == "A drawn dog."
    assert "pocket model" in stage.js("document.querySelector('figcaption').innerText")
    stage.picture("4-stage")
    console.key("PageDown")  # a clicker goes on
    console.wait_text("title", "Base")
    stage.wait_text("sheet", "02 · Second")
    assert not console.sees("alarm")


def test_jupyterlab_has_large_print_and_no_file_browser(lab: Lab) -> None:
    size = "getComputedStyle(document.querySelector('.jp-Notebook .cm-content')).fontSize"
    lab.tab.wait(f"{size} === '20px'")
    lab.tab.wait("document.querySelector('.jp-FileBrowser').checkVisibility() === false")
    lab.tab.picture("2-jupyterlab")


@pytest.mark.parametrize("mode", ["command", "edit"])
def test_keys_of_jupyterlab_reach_the_second_screen(console: Tab, lab: Lab, mode: str) -> None:
    begin(console)
    lab.tab.click("document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content')[0]")
    before = lab.tab.js("document.querySelector('.jp-Notebook').innerText")
    if mode == "command":
        lab.tab.key("Escape")
    lab.tab.key("Q", modifiers=ALT + SHIFT)
    console.wait_text("sentence", "Question")
    lab.tab.key("Q", modifiers=ALT + SHIFT)
    console.wait("document.body.dataset.talk === 'running'")
    lab.tab.key("F", modifiers=ALT + SHIFT)
    console.wait_text("projector-state", "fallback")
    lab.tab.key("F", modifiers=ALT + SHIFT)
    console.wait_text("projector-state", "title only")
    lab.tab.key("N", modifiers=ALT + SHIFT)
    console.wait_text("title", "Slow")
    assert lab.tab.js("document.querySelector('.jp-Notebook').innerText") == before


def test_key_of_jupyterlab_that_is_held_acts_once(console: Tab, lab: Lab, server: Server) -> None:
    begin(console)
    lab.tab.click("document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content')[0]")
    before = len(server.acts())
    lab.tab.key("N", modifiers=ALT + SHIFT, repeats=3)
    console.wait_text("title", "Slow")
    lab.tab.key("Q", modifiers=ALT + SHIFT)
    console.wait_text("sentence", "Question")
    assert [act.do for act in server.acts()[before:]] == ["go", "pause"]


def test_key_of_jupyterlab_that_cannot_be_is_told_there(console: Tab, lab: Lab, server: Server) -> None:
    begin(console)
    server.act(do="go", cue="02-last")
    console.wait_text("title", "Last")
    lab.tab.key("N", modifiers=ALT + SHIFT)
    lab.tab.wait("document.body.innerText.includes('This is the last cue.')")


def test_cell_run_again_or_run_all_does_not_move_the_talk(console: Tab, lab: Lab) -> None:
    begin(console)
    lab.run(3)
    console.wait_text("title", "It breaks")
    lab.run(0)
    console.wait_text("run-cell", "hello")
    time.sleep(0.5)
    assert console.text("title") == "It breaks"


def test_interrupted_cell_is_told_and_raises_no_alarm(console: Tab, lab: Lab) -> None:
    begin(console)
    with lab.instead(3, "import time; time.sleep(100)"):
        lab.run(3)
        console.wait_text("run-state", "Running")
        lab.interrupt()
        console.wait_text("run-state", "Interrupted")
    assert not console.sees("alarm")
    assert console.text("title") == "It breaks" and console.text("cell-id") == "breaks"  # to be run again
    console.picture("3-interrupted")


def test_full_memory_is_told_and_the_talk_goes_on_with_the_fallback(
    console: Tab, stage: Tab, lab: Lab
) -> None:
    begin(console)
    with lab.instead(3, "raise MemoryError('one pipeline needs 54 GiB')"):
        lab.run(3)
        console.wait_text("alarm-title", "Out of memory in breaks")
    assert console.text("alarm-message") == "MemoryError: one pipeline needs 54 GiB"
    assert console.text("run-state") == "Out of memory"
    assert console.text("cell-id") == "breaks"  # to be repaired
    console.picture("3-out-of-memory")
    console.key("f")
    stage.wait_text("title", "It breaks")
    console.wait_text("cell-id", "base")


def test_cell_that_does_not_fit_is_told_before_it_runs(console: Tab) -> None:
    begin(console)
    for title in ("Slow", "It breaks", "Base"):
        console.key("ArrowRight")
        console.wait_text("title", title)
    assert not console.js("document.getElementById('memory').classList.contains('late')")
    console.key("ArrowRight")
    console.wait_text("memory-need", "last needs 4096.0 GiB, as rehearsed: does not fit, there are")
    assert console.js("document.getElementById('memory').classList.contains('late')")
    console.picture("3-does-not-fit")


def test_killed_kernel_is_told(console: Tab, lab: Lab, server: Server) -> None:
    (server.books / GO_ON).unlink(missing_ok=True)
    begin(console)
    lab.run(1)
    console.wait_text("run-state", "Running")
    events = [json.loads(line) for line in (server.talk / journal.EVENTS).read_text().splitlines()]
    os.kill(events[-1]["pid"], signal.SIGKILL)
    console.wait_text("alarm-title", "The kernel died in slow")
    assert console.sees("run") and console.text("run-state") == "Kernel died"


def test_late_talk_is_cut_accepted_and_undone(console: Tab) -> None:
    begin(console)
    console.click("document.querySelector('#cuts [data-act=keep]')")
    console.wait_text("sentence", "behind: skip 01-extra, finish")
    assert console.sees("accept") and "behind" in console.text("pace")
    width = "document.getElementById('{}').getBoundingClientRect().width"
    assert console.js(width.format("sentence")) == console.js(width.format("advice"))  # a row of its own
    console.picture("5-behind")
    console.key("a")
    console.wait_text("cuts", "Extra")
    console.wait("!document.getElementById('accept').checkVisibility()")
    assert "Undo: skip 01-extra" in console.text("undo")
    for title in ("Slow", "It breaks", "Base"):
        console.key("ArrowRight")
        console.wait_text("title", title)
    console.key("u")
    console.wait_text("undo", "Undo: take 01-extra back in")
    console.key("ArrowLeft")
    console.wait_text("title", "Extra")


def test_nothing_is_reset_by_one_key(console: Tab) -> None:
    begin(console)
    console.key("ArrowRight")
    console.wait_text("title", "Slow")
    for key in ("s", "e", "u"):
        console.key(key)
        time.sleep(0.3)
        assert console.js("document.body.dataset.talk") == "running" and console.text("title") == "Slow"
        if console.js("document.getElementById('sure').open"):
            console.key("Enter")  # No has the focus
            console.wait("!document.getElementById('sure').open")
    assert console.js("document.body.dataset.talk") == "running" and console.text("title") == "Slow"


def test_page_names_all_that_undo_and_a_phone_can_do(console: Tab) -> None:
    row = "[...document.querySelectorAll('#keys tr')].find((row) => row.innerText.startsWith('U')).innerText"
    console.key("?")
    console.wait("document.getElementById('keys').open")
    assert all(word in console.js(row) for word in ("jump", *(set(journal.UNDOABLE) - {"begin"}), "start"))
    console.key("Escape")
    console.key("m")
    console.wait_text("phone-words", "--phone-next")
    assert all(word in console.text("phone-words") for word in ("go on", "pause", "fallback"))
    console.key("Escape")


def test_question_that_follows_another_at_once_is_answered_by_its_own_button(console: Tab) -> None:
    begin(console)
    console.key("e")
    console.wait("document.getElementById('sure').open")
    console.js(
        "new Promise((told) => { const sure = document.getElementById('sure');"
        " sure.addEventListener('close', told, { once: true });"
        " sure.querySelector('[value=no]').click();"
        " document.dispatchEvent(new KeyboardEvent('keydown', { key: 'e' })) })"
    )
    assert console.js("document.body.dataset.talk") == "running"
    assert console.sees("sure")
    console.click("document.querySelector('#sure [value=yes]')")
    console.wait("document.body.dataset.talk === 'ended'")


def test_question_and_break_are_different(console: Tab) -> None:
    begin(console)
    console.key("q")
    console.wait_text("sentence", "the clock goes on")
    console.key("p")
    console.wait_text("sentence", "the clock stands")
    stands = console.text("elapsed")
    time.sleep(2.5)
    assert console.text("elapsed") == stands
    console.key("p")
    console.wait("document.body.dataset.talk === 'running'")


def test_level_answers_and_outline_work_by_keyboard(console: Tab) -> None:
    begin(console)
    console.wait_text("points", "60 blocks")
    console.key("1")
    console.wait_text("points", "An easy point.")
    assert "Three" not in console.text("questions")
    console.key("h")
    console.wait_text("questions", "Three")
    console.picture("6-answers")
    console.key("2")
    console.key("o")
    console.wait("document.getElementById('outline').open")
    console.picture("7-outline")
    console.key("Tab")
    console.key("Enter")
    console.key("Escape")


def test_page_shows_the_same_after_a_reload_and_after_a_restart_of_the_server(
    console: Tab, server: Server
) -> None:
    begin(console)
    console.key("ArrowRight")
    console.wait_text("title", "Slow")
    console.key("q")
    console.wait_text("sentence", "Question")
    console.call("Page.reload")
    console.wait_text("sentence", "Question")
    assert console.text("title") == "Slow"
    server.stop()
    try:
        console.wait_text("lost", "No word from the server since")
        console.picture("8-lost")
    finally:
        server.start()  # the tests below need it
    console.wait("!document.getElementById('lost').checkVisibility()")
    console.call("Page.reload")
    console.wait_text("title", "Slow")
    console.wait_text("sentence", "Question")


def test_page_shows_the_cells_in_the_order_in_which_they_run(
    console: Tab, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "01_first.ipynb")
    kernel = hook.Hook(str(server.talk / journal.EVENTS))
    console.js(
        "window.seen = []; window.shown = document.getElementById('run-cell');"
        "new MutationObserver(() => seen.push(shown.innerText))"
        ".observe(shown, {childList: true, characterData: true, subtree: true})"
    )
    for number in range(40):  # some come faster than the page shows them
        kernel.write("pre", cell=str(number))
        kernel.write("post", cell=str(number))
        time.sleep(0.02 * (number % 7))
    console.wait("seen.at(-1) === '39'")
    # The page may still show a cell of the test before when the first of these arrives.
    seen = [int(cell) for cell in console.js("seen") if cell.isdigit()]
    assert seen == sorted(seen) and len(set(seen)) > 2
    assert extension.TAIL_MS < extension.LOOK_MS / 10  # so the page need not wait for the clock


@pytest.mark.parametrize("size", [LAPTOP, (1024, 640), (1920, 1080), NARROW])
def test_page_fits_small_and_large_screens(console: Tab, size: tuple[int, int]) -> None:
    console.size(*size)
    console.picture(f"9-{size[0]}x{size[1]}")
    beyond = "(e) => e.getBoundingClientRect().right > innerWidth + 1"
    wide = f"[...document.querySelectorAll('body *')].filter({beyond})"
    clipped = ".filter((e) => !e.closest('pre, .skip')).map((e) => `${e.tagName}#${e.id}`)"
    assert console.js(wide + clipped) == []
    assert console.js("document.scrollingElement.scrollWidth <= innerWidth")
    assert console.js("document.querySelector('footer').getBoundingClientRect().bottom <= innerHeight")
    console.size(*LAPTOP)


def test_light_and_larger_text_are_remembered(console: Tab) -> None:
    console.key("d")
    console.key("+")
    console.key("+")
    console.call("Page.reload")
    console.wait("document.getElementById('title').innerText.length > 1")
    assert console.js("document.documentElement.dataset.light") == "light"
    assert console.js("getComputedStyle(document.documentElement).fontSize") == "19.2px"
    console.picture("10-light")
    for key in ("d", "-", "-"):
        console.key(key)


def test_screen_reader_finds_names_headings_and_landmarks(console: Tab) -> None:
    nodes = [node for node in console.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    named = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes}
    assert {"main", "banner", "complementary", "contentinfo"} <= {role for role, _ in named}
    assert [
        node for node in named if node[0] in ("button", "link", "meter", "progressbar") and not node[1]
    ] == []
    levels = [
        int(property["value"]["value"])
        for node in nodes
        if node["role"]["value"] == "heading"
        for property in node["properties"]
        if property["name"] == "level"
    ]
    assert levels.count(1) == 1 and max(levels) <= 3


def test_text_can_be_read_on_its_ground(console: Tab) -> None:
    contrast = """(() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim().slice(1).replace(/^(.)(.)(.)$/, '$1$1$2$2$3$3');
        const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const inks = ['--ink', '--soft', '--accent', '--good', '--bad', '--hl-comment'].map(light);
      return ['--paper', '--card'].map(light).flatMap((ground) => inks.map((ink) =>
        (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05)));
    })()"""
    for light in ("dark", "light"):
        console.js(f"document.documentElement.dataset.light = '{light}'")
        assert min(console.js(contrast)) >= 4.5  # WCAG AA
    console.js("document.documentElement.dataset.light = 'dark'")


def test_pages_load_nothing_from_elsewhere_and_break_no_rule(
    console: Tab, stage: Tab, server: Server
) -> None:
    for tab in (console, stage):
        tab.js("1")  # takes in what the page has said meanwhile
        assert tab.asked and all(
            address.startswith(f"http://localhost:{server.port}/") for address in tab.asked
        )
        said = [one for one in tab.said if "ERR_" not in json.dumps(one)]  # but for the server's restart
        assert said == []
