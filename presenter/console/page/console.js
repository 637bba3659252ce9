import { build, draw, fit, point } from "./scene.js";
import { act as ask, listen, make } from "./stream.js";

const $ = (id) => document.getElementById(id);
const store = (name, value) => localStorage.setItem(`presenter.${name}`, value);
const stored = (name) => localStorage.getItem(`presenter.${name}`);
const CHECKLIST = "Before you start"; // open until the talk begins
const ANSWER = 2000; // ms in which the server answers an act; the presenter is told when it does not
const LATER = ["While it runs", "If it fails"]; // below the points, until they are needed
const LEVELS = ["beginner", "intermediate", "advanced"];
const RUNS = { running: "Running", done: "Ran", failed: "Failed", interrupted: "Interrupted",
  "out of memory": "Out of memory", died: "Kernel died" };
let talk = {};
let staged; // what the projector shows, and what F would show
let ahead;

// --- what the server shows ---

const show = {
  talk(part) {
    talk = part;
    forgetTicks();
    document.body.dataset.talk = part.state;
    for (const details of $("before").children) {
      if (details.dataset.title === CHECKLIST) details.open = part.state === "ready";
    }
    $("begin").hidden = part.state === "running" || part.state === "pause";
    $("begin").firstChild.data = part.state === "ended" ? "Start again " : "Start the talk ";
    $("end").hidden = $("question").hidden = $("break").hidden = !$("begin").hidden;
    press("question", part.pause === "question", "Question", "Go on");
    press("break", part.pause === "break", "Break", "Go on");
    press("follow", part.follows);
    press("stage", part.staged);
    press("black", part.screen === "black");
    press("freeze", part.screen === "freeze");
    $("break-minutes").hidden = part.pause !== "break";
    stageWord();
    $("undo").hidden = !part.undo;
    $("undo").firstChild.textContent = $("undo").title = part.undo || "Undo";
    for (const button of document.querySelectorAll("[data-level]")) {
      button.setAttribute("aria-pressed", button.dataset.level === part.level);
    }
    say("problem", part.problem);
    say("notice", part.notice);
    $("begin-since").hidden = !part.ran_since;
    $("begin-since").textContent = `Start, counted from the first cell (${part.ran_since})`;
  },

  stray(part) {
    $("stray").hidden = !part;
    if (!part) return;
    $("stray-text").textContent = part.text;
    $("stray-go").dataset.cue = part.cue;
  },

  clock(part) {
    $("elapsed").textContent = part.elapsed;
    $("left").textContent = part.left;
    $("ends").textContent = part.ends || "–";
    $("pace").textContent = part.pace || "–";
    $("clock").dataset.pace = part.late > 0 ? "late" : part.late < 0 ? "early" : "good";
    if ($("sentence").textContent !== part.sentence) $("sentence").textContent = part.sentence;
    // A screen reader speaks each new advice, but not the seconds of a pause, which it can read when asked.
    $("sentence").setAttribute("aria-live", talk.state === "pause" ? "off" : "polite");
    $("accept").hidden = !part.accept;
  },

  now(part) {
    const moved = $("now").dataset.cue !== part.name;
    $("now").dataset.cue = part.name;
    $("now").dataset.fallback = part.fallback;
    stageWord();
    $("where").textContent = part.where + (part.treatment === "as planned" ? "" : ` · ${part.treatment}`);
    $("title").textContent = part.title;
    document.title = `${part.title} · Presenter`;
    $("before").replaceChildren(...part.before.map(section));
    $("after").replaceChildren(...part.after.map(section));
    $("notes").replaceChildren(...part.notes.filter((one) => !LATER.includes(one.label)).map(note));
    $("later").replaceChildren(...part.notes.filter((one) => LATER.includes(one.label)).map(note));
    $("points").replaceChildren(...part.points.map((point) => make("li", { html: point.html })));
    $("ask").hidden = !part.questions.length;
    $("questions").replaceChildren(...part.questions.map(question));
    if (moved) answers(false);
    $("practice").hidden = !part.practice_html;
    $("practice").lastElementChild.innerHTML = part.practice_html;
    tame($("now"));
    if (moved) for (const top of [document.scrollingElement, $("now")]) top.scrollTo({ top: 0 });
  },

  time(part) {
    $("spent").textContent = `· ${part.text}`;
    $("spent").classList.toggle("late", part.exceeded);
  },

  cells(part) {
    const chip = (cell) =>
      make("li", { "data-state": cell.state }, make("code", { text: cell.id }), ` ${RUNS[cell.state]?.toLowerCase() ?? cell.state}`);
    $("states").replaceChildren(...part.cells.map(chip));
    $("again").hidden = !part.again.length;
    $("again-takes").textContent = part.again_takes;
    $("again").lastElementChild.replaceChildren(...part.again.map((cell) =>
      make("li", {}, make("code", { text: cell.id }), ` ${cell.expected}`)));
    $("cell").hidden = !part.next;
    if (!part.next) return;
    $("cell-id").textContent = part.next.id;
    $("cell-notebook").textContent = part.next.elsewhere ? `in ${part.next.notebook}` : "";
    $("cell-expected").textContent = part.next.expected;
    $("cell-code").innerHTML = part.next.code_html;
  },

  next(part) {
    $("next-title").textContent = part ? part.title : "This is the last cue";
    $("next-minutes").textContent = part ? `· ${[part.sheet, part.minutes].filter(Boolean).join(" · ")}` : "";
    $("next-pause").textContent = part?.pause ?? "";
    $("next-first").innerHTML = part?.first_html ?? "";
    tame($("next-first"));
    $("next-hand").hidden = !part?.by_hand;
    const silent = part?.silent ?? [];
    $("silent").hidden = !silent.length;
    $("silent").lastElementChild.replaceChildren(...silent.map((cell) =>
      make("li", { "data-state": cell.done ? "done" : "" }, `${cell.notebook} `, make("code", { text: cell.id }), cell.done ? " ran" : "")));
  },

  run(part) {
    $("run").hidden = !part;
    document.body.classList.toggle("waiting", Boolean(part?.waiting));
    if (!part) return;
    $("run").dataset.state = part.state;
    $("run-state").textContent = RUNS[part.state] ?? part.state;
    $("run-cell").textContent = part.cell;
    $("run-time").textContent = part.expected ? `${part.seconds} of ${part.expected} expected` : part.seconds;
    $("run-bar").hidden = part.share === null || part.state !== "running";
    $("run-bar").value = part.share ?? 0;
  },

  alarm(part) {
    $("alarm").hidden = !part;
    document.body.classList.toggle("alarmed", Boolean(part));
    if (!part) return;
    say("alarm-title", part.title);
    say("alarm-message", part.message);
    $("alarm-notes").innerHTML = part.html;
    tame($("alarm"));
  },

  outline(part) {
    let sheet = "";
    const items = [];
    for (const item of part) {
      if (item.sheet !== sheet) items.push(make("li", { class: "sheet", text: (sheet = item.sheet) }));
      items.push(line(item));
    }
    $("outline").querySelector("ol").replaceChildren(...items);
    const here = part.findIndex((item) => item.here);
    const cut = part.slice(here + 1).filter((item) => item.treatment === "cut" || item.treatment === "short");
    $("cuts").hidden = !cut.length;
    $("cuts").lastElementChild.replaceChildren(...cut.map(line));
  },

  phone(part) {
    say("phone-trouble", part.trouble);
    $("phone-code").hidden = !part.url;
    $("phone-reach").hidden = !part.on;
    $("phone-reach").open ||= Boolean(part.trouble);
    $("phone-words").textContent = phoneWords(part);
    if (!part.on) return;
    const drawing = $("phone-code").firstElementChild;
    drawing.toggleAttribute("hidden", !part.code);
    if (part.code) {
      drawing.setAttribute("viewBox", `0 0 ${part.code.size} ${part.code.size}`);
      drawing.firstElementChild.setAttribute("d", part.code.path);
    }
    $("phone-url").href = $("phone-url").textContent = part.url;
    $("phone-addresses").replaceChildren(...part.addresses.map((address) => make("option", { value: address })));
    $("phone-how").textContent = PHONE_HOW;
    $("phone-tunnel").hidden = !part.tunnel;
    $("phone-tunnel").textContent = part.tunnel;
  },

  stage(part) {
    staged = part;
    draw($("shown"), part);
    $("projector-state").textContent = stageState(part);
    $("projector").classList.toggle("late", part.frozen || part.kind === "black");
    showAhead();
  },

  preview(part) {
    $("ahead").dataset.missing = part.picture_words.missing ?? "";
    ahead = part;
    draw($("preview"), part);
    showAhead();
  },

  pointer: (part) => point($("shown"), part),

  memory(part) {
    $("memory").hidden = false;
    $("memory-name").textContent = part.name;
    $("memory-text").textContent = part.text;
    $("memory-bar").hidden = part.share === null;
    $("memory-bar").value = part.share ?? 0;
    $("memory-need").textContent = part.need;
    $("memory").classList.toggle("late", !part.fits);
  },
};

const PHONE_HOW = "Type the address that this computer has in the phone's network. If this computer is elsewhere and you reach "
  + "it by ssh, type your laptop's address instead, and on the laptop run the command that then stands here, with your own login.";

function phoneWords(part) {
  if (!part.on) return "The phone page is off. Start with ./scripts/presenter lab --phone, or with --phone-next for a phone that can also go on, pause and put the fallback up.";
  if (!part.until) return "The key has expired. Make a new code for another four hours.";
  const may = part.drives ? "It can go to the next cue, pause and put the fallback up; keep the code to yourself." : "It can only look.";
  const scan = part.code ? `Scan this with the phone's camera. ${may}` : "This address works on this computer alone.";
  return `${scan} The key is good until ${part.until}.`;
}

const STAGES = { cue: "fallback", break: "countdown of the break", black: "black", idle: "title only" };

function stageState(part) {
  const trouble = part.kind === "cue" ? part.picture_words.missing : "";
  return `· ${STAGES[part.kind]}${part.frozen ? ", frozen: it does not follow you" : ""}${trouble ? ` · ${trouble}` : ""}`;
}

/** Show what F would put on the projector, unless it is there. */
function showAhead() {
  $("ahead").hidden = staged?.kind === "cue" && staged.name === ahead?.name;
  for (const scene of [$("shown"), $("preview")]) fit(scene);
}

function stageWord() {
  const on = $("now").dataset.fallback === "true" ? "Fallback on the projector" : "Points on the projector";
  for (const word of document.querySelectorAll(".stage-word")) word.textContent = talk.staged ? "Take it off the projector" : on;
}

function say(id, text) {
  $(id).hidden = !text;
  if ($(id).textContent !== text) $(id).textContent = text;
}

function press(id, on, off, going) {
  $(id).setAttribute("aria-pressed", on);
  if (off) $(id).firstChild.textContent = on ? going : off;
}

const section = (part) =>
  make("details", { "data-title": part.title, open: part.title !== CHECKLIST || talk.state === "ready" ? "" : null },
    make("summary", { text: part.title }), make("div", { html: part.html }));

const note = (part) =>
  make("section", { class: "note", "data-label": part.label }, make("h2", { text: part.label }), make("div", { html: part.html }));

const question = (part) =>
  make("li", {}, make("p", { html: part.html }), make("p", { class: "answer", html: part.answer_html }));

function line(item) {
  const go = make("button", { "data-act": "go", "data-cue": item.name, text: item.title });
  if (item.here) go.setAttribute("aria-current", "step");
  const keep = make("button", { "data-act": "keep", "data-cue": item.name, text: "take back", "aria-label": `Take back in: ${item.title}` });
  const words = [item.minutes, item.words === "as planned" ? "" : item.words, item.silent.length ? "runs silently" : ""];
  return make("li", { "data-treatment": item.treatment }, go,
    make("small", { text: words.filter(Boolean).join(" · ") }), ...(item.treatment === "cut" || item.treatment === "short" ? [keep] : []));
}

/** Let links to cells lead to their cue, let other links open in a new tab, and let checklists be ticked. */
function tame(element) {
  for (const link of element.querySelectorAll("a")) {
    const inside = link.getAttribute("href")?.startsWith("#");
    if (inside) Object.assign(link.dataset, { act: "go", cell: link.getAttribute("href").slice(1) });
    else Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
  }
  for (const box of element.querySelectorAll("input[type=checkbox]")) {
    const name = `done.${talk.made}.${box.parentElement.textContent.trim().slice(0, 60)}`;
    box.disabled = false;
    box.checked ||= stored(name) === "yes";
    box.setAttribute("aria-label", box.parentElement.textContent.trim());
    box.onchange = () => store(name, box.checked ? "yes" : "no");
  }
}

/** Forget which points of a checklist were ticked for an earlier talk. */
function forgetTicks() {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith("presenter.done.") && !name.startsWith(`presenter.done.${talk.made}.`)) localStorage.removeItem(name);
  }
}

function answers(on) {
  $("ask").classList.toggle("open", on);
  $("answers-word").textContent = on ? "Hide answers" : "Show answers";
}

// --- what the presenter does ---

const ACTS = {
  begin: async () => {
    if (talk.state === "ready" || await sure("Start the talk over? The clock and all cuts begin anew; Undo brings them back.")) await act({ do: "begin" });
  },
  since: () => act({ do: "begin", since: true }),
  dismiss: () => act({ do: "dismiss" }),
  end: async () => { if (await sure("End the talk? Undo lets it go on.")) await act({ do: "end" }); },
  accept: () => act({ do: "accept" }),
  undo: async () => {
    if (!talk.undo_resets || await sure("Undo the start? The clock goes back to what it was before.")) await act({ do: "undo" });
  },
  next: () => talk.next && act({ do: "go", cue: talk.next }),
  back: () => talk.back && act({ do: "go", cue: talk.back }),
  go: (from) => act({ do: "go", cue: from.cue ?? from.cell }),
  keep: (from) => act({ do: "keep", cue: from.cue }),
  question: () => act(talk.pause === "question" ? { do: "resume" } : { do: "pause", kind: "question" }),
  break: () => act(talk.pause === "break" ? { do: "resume" } : { do: "pause", kind: "break" }),
  minutes: (from) => act({ do: "pause", kind: "break", minutes: Number(from.minutes) }),
  stage: () => act({ do: "stage", on: !talk.staged }),
  black: () => act({ do: "screen", kind: talk.screen === "black" ? "" : "black" }),
  freeze: () => act({ do: "screen", kind: talk.screen === "freeze" ? "" : "freeze" }),
  follow: () => act({ do: "follow", on: !talk.follows }),
  level: (from) => act({ do: "level", level: from.level }),
  answers: () => answers(!$("ask").classList.contains("open")),
  outline: () => $("outline").showModal(),
  keys: () => $("keys").showModal(),
  phone: () => $("phone").showModal(),
  renew: () => phone({ do: "renew" }),
  light: () => paint(document.documentElement.dataset.light === "light" ? "dark" : "light"),
  larger: () => size(Number(stored("size") ?? 100) + 10),
  smaller: () => size(Number(stored("size") ?? 100) - 10),
};

const KEYS = {
  ArrowRight: "next", PageDown: "next", ArrowLeft: "back", PageUp: "back",
  a: "accept", u: "undo", q: "question", p: "break", f: "stage", b: "black", ".": "black", z: "freeze", h: "answers",
  g: "follow", o: "outline", m: "phone", "+": "larger", "=": "larger", "-": "smaller", d: "light", s: "begin", e: "end", "?": "keys",
};

const SCROLLS = { " ": 0.8, ArrowDown: 0.15, ArrowUp: -0.15 }; // of the notes' height

/** Scroll the notes, wherever the focus is; on a low or narrow window the whole page scrolls. */
function scrollNotes(share) {
  const alone = getComputedStyle(document.body).display === "block";
  const notes = alone ? document.scrollingElement : $("now");
  notes.scrollBy({ top: share * notes.clientHeight });
}

/** Ask the server to do something, and tell the presenter when the answer takes long. */
async function act(asked, route) {
  const late = setTimeout(() => say("problem", "The server has not answered for 2 s. Look whether it was done before you press again."), ANSWER);
  try {
    await ask(asked, route);
    say("problem", talk.problem);
  } finally {
    clearTimeout(late);
  }
}

async function doIt(name, from = {}) {
  try {
    await ACTS[name](from);
  } catch (error) {
    say("problem", error.message);
    setTimeout(() => say("problem", talk.problem), 6000);
  }
}

/** Ask for another key or address of the phone page; if the server refuses, the dialog shows its reason. */
async function phone(asked) {
  say("phone-no", "");
  try {
    await act(asked, "phone");
  } catch (error) {
    say("phone-no", error.message);
  }
}

$("phone-move").onsubmit = (event) => {
  event.preventDefault();
  phone({ do: "address", address: $("phone-address").value.trim() });
};

/**
 * Ask before something is lost. The buttons answer, not the dialog's close event, which comes a little later: it
 * would answer the next question, if one is asked at once.
 */
function sure(text) {
  const dialog = $("sure");
  $("sure-text").textContent = text;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = (event) => resolve(event.submitter.value === "yes");
    dialog.oncancel = () => resolve(false);
  });
}

document.addEventListener("click", (event) => {
  const from = event.target.closest("[data-act], [data-level]");
  if (!from) return;
  if (from.tagName === "A") event.preventDefault();
  if (from.dataset.act === "go") $("outline").close();
  doIt(from.dataset.act ?? "level", from.dataset);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.repeat && !(event.key in SCROLLS)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const level = LEVELS["123".indexOf(key)];
  if (SCROLLS[key] && !event.target.closest("button, summary, input, a, pre")) {
    event.preventDefault();
    scrollNotes(key === " " && event.shiftKey ? -SCROLLS[key] : SCROLLS[key]);
    return;
  }
  if (!level && !KEYS[key]) return;
  event.preventDefault();
  doIt(level ? "level" : KEYS[key], { level });
});

// --- pointing on the projector ---

const POINTING = 60; // ms between two places that are sent
const RENEW = 2000; // ms after which a mouse that rests is told again, and an answer that did not come is asked for again
const OFF = { x: null, y: null };
let aim = OFF; // where the mouse is
let told = true; // whether the server knows
let telling = false;

const wait = (ms) => new Promise((go) => setTimeout(go, ms));

/**
 * Send where the mouse is until the server knows; it shows it on the projector. One place is on its way at a time: a
 * browser has few connections, and on a line that stalls waiting places would take those of the keys.
 */
async function tell() {
  if (telling) return;
  telling = true;
  while (!told) {
    told = true;
    try {
      await ask({ do: "point", ...aim });
      await wait(POINTING);
    } catch {
      told = false;
      await wait(RENEW);
    }
  }
  telling = false;
}

function aimAt(place) {
  aim = place;
  told = false;
  tell();
}

// The server takes off a pointer of which it hears nothing, as when this page was closed.
setInterval(() => { if (aim.x !== null) aimAt(staged?.kind === "cue" ? aim : OFF); }, RENEW);

function follow(event) {
  const box = $("shown").querySelector("img").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const inside = staged?.kind === "cue" && box.width && x >= 0 && x <= 1 && y >= 0 && y <= 1;
  aimAt(inside ? { x, y, spot: event.buttons === 1 } : OFF);
}

for (const kind of ["pointermove", "pointerdown", "pointerup"]) $("shown").addEventListener(kind, follow);
$("shown").addEventListener("pointerleave", () => aimAt(OFF));
$("shown").addEventListener("dragstart", (event) => event.preventDefault());

// --- what belongs to this screen only ---

for (const name of ["shown", "preview"]) {
  build($(name));
  new ResizeObserver(() => fit($(name))).observe($(name));
}

function paint(light) {
  document.documentElement.dataset.light = light;
  store("light", light);
}

function size(percent) {
  const kept = Math.min(200, Math.max(60, percent));
  store("size", kept);
  document.documentElement.style.fontSize = `${kept}%`;
}

paint(stored("light") ?? "dark");
size(Number(stored("size") ?? 100));

listen(show, (since) => say("lost", since &&
  `No word from the server since ${since.toLocaleTimeString()}. What you see is from then; trying again.`));
