// What both pages share: the stream of parts from the server, and the way back to it.

const SILENT = 5000; // ms without a pulse, which comes each second: the line is dead
const GIVE_UP = 20000; // ms for which an act waits for its answer

let silent = false; // whether there is no connection

// A held key acts once: a browser presses the button that has the focus again at each repeat of Enter.
addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); });

export const base = new URL("../", import.meta.url);

/**
 * Call `show[name](part)` for each part that changes, and `lost(since)` while there is no connection (null: there is).
 * Returns `again`, which connects anew, and `stop`.
 */
export function listen(show, lost) {
  let since = null;
  let source;
  let later;
  let heard = Date.now();
  const connect = () => {
    heard = Date.now();
    source = new EventSource(new URL("stream", base));
    source.onopen = hear;
    source.onerror = () => {
      miss();
      if (source.readyState === EventSource.CLOSED) later = setTimeout(connect, 2000);
    };
    for (const [name, render] of Object.entries(show)) {
      source.addEventListener(name, (event) => { hear(); render(JSON.parse(event.data)); });
    }
    source.addEventListener("pulse", hear);
  };
  const hear = () => {
    heard = Date.now();
    silent = false;
    if (since === null) return; // a pulse says nothing new, and must not wipe what the page says
    since = null;
    lost(null);
  };
  const miss = () => { since ??= new Date(heard); silent = true; lost(since); };
  let stopped = false;
  const stop = () => { stopped = true; clearTimeout(later); source.close(); };
  const again = () => { stop(); stopped = false; connect(); };
  // A line that stalls (a tunnel, Wi-Fi) ends nothing and says nothing: only the missing pulse tells.
  setInterval(() => {
    if (stopped || Date.now() - heard < SILENT) return;
    miss();
    again();
  }, 1000);
  connect();
  return { stop, again };
}

/**
 * Ask the server to do something; throws the server's reason if it refuses. While there is no connection nothing is
 * sent: else everything that was pressed meanwhile would be done at once when the line is back.
 */
export async function act(asked, route = "act") {
  const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
  if (silent) throw new Error("No word from the server: that was not sent.");
  const answer = await fetch(new URL(route, base), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-XSRFToken": decodeURIComponent(xsrf) },
    body: JSON.stringify(asked),
    signal: AbortSignal.timeout(GIVE_UP),
  }).catch(() => { throw new Error("The server gave no answer. Look whether it was done before you press again."); });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.message || `The server answered ${answer.status}. Log in to JupyterLab again.`);
  }
}

export const picture = (name) => new URL(`picture/${encodeURIComponent(name)}.png`, base).href;

/** Make an element: text is shown as it is; only fields that the server rendered and cleaned go into `html`. */
export function make(tag, { text, html, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  if (html !== undefined) element.innerHTML = html;
  element.append(...children);
  return element;
}
