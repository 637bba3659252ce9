// One slide at a time, by arrows, a clicker or the space bar; the speaker's words in a second window.
"use strict";
const slides = [...document.querySelectorAll(".slide")];
const levels = ["beginner", "intermediate", "advanced"];
const SIZE = [1280, 720], HIGH = 616, SMALLEST = 0.5; // px; HIGH is what the borders leave
let here = 0, began = null, speaker = null, level = "intermediate";

function wrap(slide) {
  const content = document.createElement("div");
  content.className = "content";
  content.append(...[...slide.childNodes].filter((node) => !(node.classList && node.classList.contains("notes"))));
  slide.prepend(content);
}

function fit() {
  const scale = Math.min(innerWidth / SIZE[0], innerHeight / SIZE[1]);
  const left = (innerWidth - SIZE[0] * scale) / 2, top = (innerHeight - SIZE[1] * scale) / 2;
  for (const slide of slides) slide.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  shrink(slides[here]);
}

function shrink(slide) { // make what is too large for a slide smaller, but not so small that nobody can read it
  const content = slide.firstElementChild;
  content.style.zoom = 1;
  content.style.zoom = Math.max(SMALLEST, Math.min(1, HIGH / content.scrollHeight));
}

function go(to) {
  const next = Math.max(0, Math.min(slides.length - 1, to));
  if (began === null && next !== here) began = Date.now();
  here = next;
  slides.forEach((slide, number) => slide.classList.toggle("here", number === here));
  document.querySelector("progress").value = slides.length > 1 ? here / (slides.length - 1) : 1;
  document.getElementById("place").textContent = `${here + 1} of ${slides.length}`;
  document.body.classList.toggle("bare", here > 0);
  history.replaceState(null, "", `#${here + 1}`);
  shrink(slides[here]);
  tell();
}

function words(slide) {
  return [...slide.querySelectorAll(".notes")].map((note) => note.innerHTML).join("") || "<p>No words for this slide.</p>";
}

function title(slide) {
  const heading = slide && slide.querySelector("h1, h2, h3");
  return heading ? heading.textContent.replace("¶", "") : slide ? "goes on" : "the end";
}

function tell() {
  document.body.dataset.speaks = level;
  if (!speaker || speaker.closed) return;
  const page = speaker.document;
  page.body.dataset.speaks = level;
  page.getElementById("words").innerHTML = words(slides[here]);
  page.getElementById("next").textContent = title(slides[here + 1]);
  page.getElementById("at").textContent = `${here + 1} of ${slides.length}`;
  page.getElementById("level").textContent = level;
}

function tick() {
  if (!speaker || speaker.closed || began === null) return;
  const total = Math.floor((Date.now() - began) / 1000);
  speaker.document.getElementById("clock").textContent = `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
}

function speak() {
  speaker = window.open("", "speaker", "width=760,height=820");
  if (!speaker) return document.body.classList.toggle("with-notes"); // the browser blocked the window
  speaker.document.documentElement.innerHTML = `<head><title>Speaker</title><style>
body { margin: 0; padding: 1rem 1.6rem; background: #101316; color: #eceae5; font: 21px/1.5 system-ui, "Noto Sans", sans-serif; }
#top { display: flex; gap: 1.6rem; align-items: baseline; border-bottom: 1px solid #333a42; padding-bottom: .5rem; color: #a3abb4; }
#clock { font-size: 2.4rem; font-weight: 600; color: #eceae5; font-variant-numeric: tabular-nums; }
h2 { margin: .8rem 0 .2rem; } h4 { margin: .7rem 0 .1rem; color: #a3abb4; font-size: .8em; } p { margin: .3rem 0; }
code { font-family: ui-monospace, monospace; font-size: .86em; } a { color: #e9a36b; }
.meta { color: #a3abb4; font-size: .85em; } .say { border-left: 4px solid #e9a36b; padding-left: .7em; font-size: 1.12em; }
.answer { color: #6cc99a; } [data-level] { display: none; } td, th { text-align: left; padding-right: 1em; }
[data-speaks="beginner"] [data-level="beginner"], [data-speaks="intermediate"] [data-level="intermediate"],
[data-speaks="advanced"] [data-level="advanced"] { display: block; }
</style></head><body><div id="top"><span id="clock">0:00</span><span id="at"></span>
<span>next: <b id="next"></b></span><span><b id="level"></b>, keys 1 2 3</span></div><div id="words"></div></body>`;
  speaker.document.addEventListener("keydown", key);
  tell();
}

const KEYS = {
  ArrowRight: () => go(here + 1), PageDown: () => go(here + 1), " ": () => go(here + 1), Enter: () => go(here + 1),
  ArrowLeft: () => go(here - 1), PageUp: () => go(here - 1), Backspace: () => go(here - 1),
  Home: () => go(0), End: () => go(slides.length - 1), s: speak,
  n: () => document.body.classList.toggle("with-notes"),
  f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  1: () => { level = levels[0]; tell(); }, 2: () => { level = levels[1]; tell(); }, 3: () => { level = levels[2]; tell(); },
};

function key(event) {
  const act = KEYS[event.key] || KEYS[event.key.toLowerCase()];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
}

slides.forEach(wrap);
document.body.classList.add("live");
document.addEventListener("keydown", key);
addEventListener("resize", fit);
addEventListener("load", fit);
addEventListener("hashchange", () => go(Number(location.hash.slice(1)) - 1 || 0));
addEventListener("beforeprint", () => slides.forEach(shrink));
setInterval(tick, 500);
go(Number(location.hash.slice(1)) - 1 || 0);
fit();
