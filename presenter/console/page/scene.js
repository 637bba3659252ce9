// The scene: what the projector shows. It is drawn into a box of any size: the projector's page, or a small picture of
// it on the second screen. Nothing in it scrolls, so everything in it is made to fit.

import { make, picture } from "./stream.js";

const TEXT = { most: 0.075, beside: 0.046, least: 0.031 }; // heights of letters, as shares of the box's height
const PAD = 0.03; // the margin, as a share of the box's height
const BESIDE = 0.27; // of the box's width, for words beside the picture
const ENOUGH = 0.75; // words may cost the picture a quarter of the width that it would have alone
const STEP = 0.94; // by which letters shrink until they fit
const TITLES = 1.25; // a title's letters beside a point's

/** Make the scene's elements; alone: it is the page's only scene, so its parts get ids and its titles are headings. */
export function build(root, { alone = false } = {}) {
  const named = (tag, name, ...children) => make(tag, { class: name, id: alone ? name : null }, ...children);
  const title = alone ? "h1" : "p";
  root.classList.add("scene");
  root.replaceChildren(
    named("div", "idle",
      make("p", { class: "name", text: "Qwen-Image Workshop" }), named(title, "sheet"), named("p", "start"),
      make("div", { class: "invite" }, drawing(), make("p", { class: "url" }))),
    named("div", "on",
      make("figure", {}, make("div", { class: "frame" }, make("img", { alt: "" }), make("i", { class: "spot", hidden: "" }),
        make("i", { class: "dot", hidden: "" })), make("figcaption")),
      named("section", "words", named(title, "title"), named("ul", "points"))),
    named("div", "pause", named(title, "word"), named("p", "countdown"), named("p", "until")));
  const img = root.querySelector("img");
  img.onload = () => {
    if (img.src !== img.dataset.wanted) return; // another cue's, which has come late
    root.querySelector("figure").hidden = false;
    fit(root);
  };
  return root;
}

/** Make the frame of a QR code. */
function drawing() {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.append(path);
  return svg;
}

/** Show the code of the students' page; null: there is no such page. */
function invite(box, students) {
  box.hidden = !students;
  if (!students) return;
  const svg = box.querySelector("svg");
  svg.setAttribute("viewBox", `0 0 ${students.code.size} ${students.code.size}`);
  svg.firstChild.setAttribute("d", students.code.path);
  box.querySelector(".url").textContent = students.url;
}

/** Show a part named "stage" or "preview" of the stream. */
export function draw(root, part) {
  const find = (selector) => root.querySelector(selector);
  root.dataset.kind = part.kind;
  for (const [name, kind] of [["idle", "idle"], ["on", "cue"], ["pause", "break"]]) find(`.${name}`).hidden = part.kind !== kind;
  if (part.kind === "idle") {
    find(".sheet").textContent = part.title;
    find(".start").textContent = part.start;
    invite(find(".invite"), part.students);
  }
  if (part.kind === "break") {
    find(".word").textContent = part.title;
    find(".countdown").textContent = part.left;
    find(".until").textContent = part.until;
  }
  if (part.kind === "cue") {
    const words = part.picture_words;
    const img = find("img");
    const source = words.alt ? picture(part.picture) : "";
    const other = source && img.src !== source;
    img.dataset.wanted = source;
    if (other) img.src = source;
    // Until its picture is there the words stand alone, and not beside the picture of the cue before.
    find("figure").hidden = !source || other || !img.complete || !img.naturalWidth;
    img.alt = words.alt ?? "";
    find("figcaption").textContent = words.caption ?? "";
    find(".title").textContent = part.title;
    find(".points").replaceChildren(...part.points.map((point) => make("li", { html: point.html })));
    for (const link of find(".points").querySelectorAll("a")) link.replaceWith(...link.childNodes);
  }
  fit(root);
}

/** Show where the presenter points; null: nowhere. */
export function point(root, part) {
  const dot = root.querySelector(".dot");
  const spot = root.querySelector(".spot");
  dot.hidden = !part || part.spot;
  spot.hidden = !part?.spot;
  if (!part) return;
  for (const element of [dot, spot]) {
    element.style.setProperty("--x", `${100 * part.x}%`);
    element.style.setProperty("--y", `${100 * part.y}%`);
  }
}

/** Make everything that is shown fit into the box. */
export function fit(root) {
  const box = { width: root.clientWidth, height: root.clientHeight };
  if (!box.width || !box.height) return;
  root.style.setProperty("--pad", `${PAD * box.height}px`);
  if (root.dataset.kind === "cue") fitCue(root, box);
  else if (root.dataset.kind !== "black") {
    const shown = root.querySelector(root.dataset.kind === "idle" ? ".idle" : ".pause");
    shrink(shown, TEXT.most * box.height, 1, () => shown.scrollHeight <= box.height && shown.scrollWidth <= box.width);
  }
}

/** Set an element's letters to `size` px or as much smaller as it takes to fit, but not below `least` px. */
function shrink(element, size, least, fits) {
  for (let px = size; ; px *= STEP) {
    element.style.fontSize = `${Math.max(px, least)}px`;
    if (fits()) return true;
    if (px <= least) return false;
  }
}

function fitCue(root, box) {
  const words = root.querySelector(".words");
  const img = root.querySelector("img");
  const points = [...root.querySelectorAll(".points li")];
  const room = { width: box.width * (1 - 2 * PAD * box.height / box.width), height: box.height * (1 - 2 * PAD) };
  const show = (count) => points.forEach((one, place) => { one.hidden = place >= count; });
  const place = (layout, width) => {
    root.dataset.layout = layout;
    words.style.width = `${width}px`;
  };
  const inside = (height) => () => words.scrollHeight <= Math.ceil(height) && words.scrollWidth <= Math.ceil(words.clientWidth);
  const least = TEXT.least * box.height;
  if (root.querySelector("figure").hidden) {
    place("words", room.width);
    for (let count = points.length; count >= 0; count--) {
      show(count);
      if (shrink(words, TEXT.most * box.height, least, inside(room.height))) return;
    }
    shrink(words, least, 1, inside(room.height));
    return;
  }
  const ratio = img.naturalWidth / img.naturalHeight;
  const caption = 2 * least;
  const gap = PAD * box.height;

  /** The picture's width, px, in a layout; 0 if the words do not fit there. */
  const measure = (layout) => {
    const beside = layout === "beside";
    const width = beside ? BESIDE * box.width : room.width;
    place(layout, width);
    const size = beside ? TEXT.beside * box.height : least;
    if (!shrink(words, size, least, inside(beside ? room.height : room.height / 2))) return 0;
    return beside
      ? Math.min(room.width - width - gap, (room.height - caption) * ratio)
      : Math.min(room.width, (room.height - caption - gap - words.offsetHeight) * ratio);
  };

  const alone = Math.min(room.width, (room.height - caption) * ratio);
  for (let count = points.length; count >= 0; count--) {
    show(count);
    const [wide, tall] = [measure("beside"), measure("below")];
    const best = Math.max(wide, tall);
    if (best < ENOUGH * alone && count) continue;
    const layout = wide > tall ? "beside" : "below";
    measure(layout);
    const width = best || alone / 2;
    img.style.width = `${width}px`;
    const left = room.height - caption - gap - width / ratio;
    if (layout === "below") shrink(words, TEXT.beside * box.height, best ? least : 1, inside(left));
    else if (!best) shrink(words, least, 1, inside(room.height));
    return;
  }
}
