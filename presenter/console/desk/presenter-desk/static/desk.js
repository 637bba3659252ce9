// JupyterLab on the projector: large print, no file browser, and keys for the second screen. This is a module as JupyterLab
// loads it, written by hand: nothing is built.
(() => {
  const NAME = "presenter-desk";
  // A size that is set in the Settings menu stands on the page's root element itself, and wins.
  const PRINT = ":root:root { --jp-code-font-size: 20px; --jp-content-font-size1: 20px; }";
  const TOLD = 8000; // ms for which the reason of a refusal is shown
  const CLICKER = ["PageDown", "PageUp"]; // keys that ../../../keys binds, for `lab --keys`
  const KEYS = [
    { id: "next", label: "Presenter: next cue", keys: ["Alt Shift N"] },
    { id: "question", label: "Presenter: a question, or go on", keys: ["Alt Shift Q"] },
    { id: "fallback", label: "Presenter: fallback on the projector, or off it", keys: ["Alt Shift F"] },
  ];

  /** Ask the second screen's server to do something; throws its reason if it refuses. */
  async function act(asked) {
    const base = JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
    const answer = await fetch(`${base}presenter/act`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-XSRFToken": decodeURIComponent(xsrf) },
      body: JSON.stringify(asked),
      signal: AbortSignal.timeout(20000),
    }).catch(() => { throw new Error("The server gave no answer. Look whether it was done before you press again."); });
    if (answer.ok) return;
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.message || `The server answered ${answer.status}.`);
  }

  /**
   * Keep a held key from JupyterLab, which takes each repeat for another press. Page Down scrolls while it is held,
   * unless a clicker runs cells with it.
   */
  function dropRepeat(app, event) {
    const ours = event.altKey && event.shiftKey && event.code.startsWith("Key");
    const clicker = CLICKER.includes(event.key) && app.commands.keyBindings.some((one) => CLICKER.includes(one.keys.join()));
    if (!event.repeat || !(ours || clicker)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  function activate(app) {
    addEventListener("keydown", (event) => dropRepeat(app, event), true);
    const style = document.createElement("style");
    style.textContent = PRINT;
    document.head.append(style);
    app.restored.then(() => { app.shell.collapseLeft?.(); app.shell.collapseRight?.(); });
    for (const { id, label, keys } of KEYS) {
      const command = `presenter:${id}`;
      app.commands.addCommand(command, {
        label,
        execute: () => act({ do: id }).catch((error) =>
          app.commands.execute("apputils:notify", { message: error.message, type: "error", options: { autoClose: TOLD } })),
      });
      app.commands.addKeyBinding({ command, keys, selector: "body" });
    }
  }

  const plugin = { id: `${NAME}:plugin`, description: "Large print and the presenter's keys", autoStart: true, activate };
  const module = { __esModule: true, default: plugin };
  (window._JUPYTERLAB ??= {})[NAME] = { init: () => {}, get: async () => () => module };
})();
