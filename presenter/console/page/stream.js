// What both pages share: the stream of parts from the server, and the way back to it.

export const base = new URL("../", import.meta.url);

/**
 * Call `show[name](part)` for each part that changes, and `lost(since)` while there is no connection (null: there is).
 * Returns `again`, which connects anew, and `stop`.
 */
export function listen(show, lost) {
  let since = null;
  let source;
  let later;
  const connect = () => {
    source = new EventSource(new URL("stream", base));
    source.onopen = () => { since = null; lost(null); };
    source.onerror = () => {
      since ??= new Date();
      if (source.readyState === EventSource.CLOSED) later = setTimeout(connect, 2000);
      lost(since);
    };
    for (const [name, render] of Object.entries(show)) {
      source.addEventListener(name, (event) => render(JSON.parse(event.data)));
    }
  };
  const stop = () => { clearTimeout(later); source.close(); };
  connect();
  return { stop, again() { stop(); connect(); } };
}

/** Ask the server to do something; throws the server's reason if it refuses. */
export async function act(asked, route = "act") {
  const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
  const answer = await fetch(new URL(route, base), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-XSRFToken": decodeURIComponent(xsrf) },
    body: JSON.stringify(asked),
  });
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
