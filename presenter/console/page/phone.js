import { base, listen, make } from "./stream.js";

const $ = (id) => document.getElementById(id);
const RUNS = { running: "Running", done: "Ran", failed: "Failed", interrupted: "Interrupted", died: "Kernel died", "out of memory": "Out of memory" };
const PAUSES = ["question", "break"];
const NO_LONGER = 403; // the server's status for a key that is no longer valid
let talk = {};
let next = null;

const show = {
  talk(part) {
    talk = part;
    document.body.dataset.talk = part.state;
    for (const kind of PAUSES) {
      $(kind).setAttribute("aria-pressed", part.pause === kind);
      $(kind).textContent = part.pause === kind ? "Go on" : kind[0].toUpperCase() + kind.slice(1);
    }
    $("fallback").setAttribute("aria-pressed", part.staged);
    $("fallback").textContent = part.staged ? "Take it off" : "Fallback";
    ready();
  },

  clock(part) {
    $("elapsed").textContent = part.elapsed;
    $("left").textContent = `${part.left} left`;
    $("ends").textContent = part.ends && `· ends ${part.ends}`;
    $("pace").textContent = part.pace;
    $("clock").dataset.pace = part.late > 0 ? "late" : part.late < 0 ? "early" : "good";
    $("sentence").textContent = part.sentence;
  },

  now(part) {
    const moved = $("title").textContent !== part.title;
    $("where").textContent = part.where;
    $("title").textContent = part.title;
    document.title = `${part.title} · Presenter`;
    fill($("say"), part.say_html);
    $("points").replaceChildren(...part.points.map((point) => plain(make("li", { html: point.html }))));
    if (moved) scrollTo({ top: 0 });
  },

  time(part) {
    $("spent").textContent = `· ${part.text}`;
    $("spent").classList.toggle("late", part.exceeded);
  },

  next(part) {
    next = part;
    $("next-title").textContent = part ? part.title : "This is the last cue";
    $("next-minutes").textContent = part ? `· ${part.minutes}` : "";
    $("next-pause").textContent = part?.pause ?? "";
    ready();
  },

  run(part) {
    $("run").hidden = !part;
    if (!part) return;
    $("run").dataset.state = part.state;
    const time = part.expected ? `${part.seconds} of ${part.expected} expected` : part.seconds;
    $("run").replaceChildren(`${RUNS[part.state] ?? part.state} `, make("code", { text: part.cell }), ` · ${time}`);
  },

  alarm(part) {
    $("alarm").hidden = !part;
    if ($("alarm-title").textContent !== (part?.title ?? "")) $("alarm-title").textContent = part?.title ?? "";
    fill($("alarm-notes"), part?.html ?? "");
  },

  may(part) {
    $("keys").hidden = !part.drive;
  },

  gone,
};

/** Show what the server rendered and cleaned, as text: a link would lead a thumb away from the page. */
function fill(element, html) {
  element.innerHTML = html;
  element.hidden = !html;
  plain(element);
}

function plain(element) {
  for (const link of element.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  return element;
}

function ready() {
  const goes = talk.state === "running" || talk.state === "pause";
  $("go").disabled = !goes || !next;
  for (const kind of PAUSES) $(kind).disabled = !goes;
}

function gone() {
  stream.stop();
  for (const element of document.body.children) element.hidden = element.id !== "gone";
}

function say(text) {
  $("lost").hidden = !text;
  $("lost").textContent = text;
}

/** Find out whether the server is away or the key has expired; the stream's error does not say which. */
async function lost(since) {
  say(since ? `No connection since ${since.toLocaleTimeString()}; trying again.` : "");
  if (!since) return;
  const answer = await fetch(base).catch(() => null);
  if (answer?.status === NO_LONGER) gone();
}

async function act(asked) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) };
  const answer = await fetch(new URL("act", base), options).catch(() => null);
  if (answer?.ok) return;
  const said = await answer?.json().catch(() => null);
  say(said?.message ?? "That did not get through.");
  setTimeout(() => say(""), 5000);
}

$("go").onclick = () => act({ do: "next", cue: next.name });
for (const kind of PAUSES) {
  $(kind).onclick = () => act(talk.pause === kind ? { do: "resume" } : { do: "pause", kind });
}

$("fallback").onclick = () => act({ do: "stage", on: !talk.staged });

const stream = listen(show, lost);

// A phone that was asleep may hold a connection that has long been dead.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && $("gone").hidden) stream.again();
});
