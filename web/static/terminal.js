// The terminals of the session page: tabs, opening, typing, pasting with a question, and saying what happens to the connection.
import { Channel } from "./channel.js";
import { makeScreen } from "./screen.js";

const root = document.getElementById("terminals");
const texts = root.dataset;
const mode = texts.mode;
const tabs = root.querySelector("[role=tablist]");
const panels = document.getElementById("terminal-panels");
const empty = document.getElementById("terminal-empty");
const status = document.getElementById("terminal-status");
const question = document.getElementById("terminal-question");
const encoder = new TextEncoder();
const views = new Map();
let current = null;

function ask(sentence, detail) {
  question.querySelector("p").textContent = sentence;
  question.querySelector("pre").textContent = detail;
  question.returnValue = "no";
  question.showModal();
  return new Promise((answer) => question.addEventListener("close", () => answer(question.returnValue === "yes"), { once: true }));
}

// Characters that would turn, hide or move text are written out.
function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => { const code = character.codePointAt(0); return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`; });
}

function showStatus() {
  const view = views.get(current);
  const shown = view ? [...view.messages.values()] : [];
  status.hidden = shown.length === 0;
  status.replaceChildren(...shown.flatMap(({ text, code, button }) => {
    const parts = [Object.assign(document.createElement("span"), { textContent: text })];
    if (code) parts.push(Object.assign(document.createElement("code"), { textContent: visible(code) }));
    if (button) parts.push(button);
    return parts;
  }));
  status.dataset.tone = shown.at(-1)?.tone ?? "warn";
}

class View {
  constructor(tab) {
    this.tab = tab;
    this.messages = new Map();
    this.replaying = true;
    this.fromPerson = false;
    this.panel = document.createElement("div");
    this.panel.className = "fw-terminal";
    this.panel.setAttribute("role", "tabpanel");
    this.panel.dataset.keys = "off";
    panels.append(this.panel);
    empty.hidden = true;
    const size = { columns: Number(tab?.dataset.columns) || 80, rows: Number(tab?.dataset.rows) || 24 };
    Object.assign(this, makeScreen(this.panel, { ...size, readOnly: mode !== "console", askLink: (url) => ask(texts.textLink, url) }));
    if (mode !== "console") return;
    this.screen.attachCustomKeyEventHandler((event) => this.key(event));
    // Input of the person is told from answers to device queries by the event it comes in: replayed bytes must not answer into the shell.
    for (const name of ["keydown", "input", "compositionend", "paste", "mousedown", "mouseup", "wheel"]) {
      this.panel.addEventListener(name, () => { this.fromPerson = true; setTimeout(() => { this.fromPerson = false; }); }, { capture: true });
    }
    this.panel.addEventListener("paste", (event) => this.paste(event), { capture: true });
    this.screen.onData((data) => this.type(encoder.encode(data)));
    this.screen.onBinary((data) => this.type(Uint8Array.from(data, (character) => character.charCodeAt(0))));
    this.screen.onResize(({ cols, rows }) => this.channel?.resize(cols, rows));
    let due = 0;
    this.observer = new ResizeObserver(() => { clearTimeout(due); due = setTimeout(() => this.fitNow(), 80); });
    this.observer.observe(this.panel);
    this.fitNow();
  }

  fitNow() {
    if (this.panel.offsetParent !== null) this.fit.fit();
  }

  say(key, text, { code = "", tone = "warn", button = null } = {}) {
    if (text) this.messages.set(key, { text, code, tone, button });
    else this.messages.delete(key);
    showStatus();
  }

  connect(path) {
    const channel = this.channel = new Channel(path, { control: mode === "console" });
    if (mode === "console") channel.resize(this.screen.cols, this.screen.rows);
    const on = (name, work) => channel.addEventListener(name, (event) => work(event.detail));
    on("attached", (news) => { if (mode !== "console") this.screen.resize(news.columns, news.rows); });
    on("data", ({ bytes, done }) => this.screen.write(bytes, done));
    on("reset", () => { this.replaying = true; this.screen.reset(); });
    on("caughtup", () => this.screen.write("", () => { this.replaying = false; }));
    on("state", ({ state, reason }) => this.showState(state, reason));
    on("keyboard", ({ yours, by }) => this.say("keyboard", yours ? "" : `${texts.textKeyboard}${by ? ` (${by})` : ""}`, { tone: "info", button: yours ? null : this.takeButton() }));
    on("notsent", ({ text }) => {
      const before = this.messages.get("notsent")?.code ?? "";
      this.messages.delete("unconfirmed");
      this.say("notsent", texts.textNotSent, { code: (before + text).slice(-500), tone: "bad", button: this.closeButton("notsent") });
    });
    on("notconfirmed", ({ text }) => this.say("unconfirmed", texts.textNotConfirmed, { code: text.slice(0, 500), tone: "bad" }));
    on("confirmed", () => this.say("unconfirmed", ""));
    on("news", (news) => this.hear(news));
    on("over", (detail) => this.showEnd(detail));
  }

  takeButton() {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-small", textContent: texts.textTake });
    button.addEventListener("click", () => { this.channel.take(); this.screen.focus(); });
    return button;
  }

  closeButton(key) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-small btn-quiet", textContent: "✕" });
    button.addEventListener("click", () => this.say(key, ""));
    return button;
  }

  type(bytes) {
    if (this.replaying && !this.fromPerson) return;
    this.channel?.type(bytes);
  }

  key(event) {
    if (event.ctrlKey && event.shiftKey && event.code === "KeyE") return false;
    if (event.ctrlKey && event.shiftKey && event.code === "KeyC") {
      if (event.type === "keydown") { event.preventDefault(); navigator.clipboard?.writeText(this.screen.getSelection()); }
      return false;
    }
    return true;
  }

  async paste(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const lines = text.replace(/\s+$/, "").split(/\r\n|\r|\n/);
    if (lines.length < 2) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const shown = lines.slice(0, 30).map(visible).join("\n") + (lines.length > 30 ? "\n…" : "");
    if (await ask(texts.textPaste.replace("COUNT", lines.length), shown)) { this.fromPerson = true; this.screen.paste(text); this.fromPerson = false; }
    this.screen.focus();
  }

  showState(state, reason) {
    const words = { opening: texts.textOpening, away: texts.textAway, stalled: texts.textStalled, offline: texts.textOffline };
    this.say("state", words[state] ?? "", { tone: state === "opening" ? "info" : "warn", code: state === "stalled" ? "" : reason ?? "" });
    this.tab?.toggleAttribute("data-waiting", state !== "live");
  }

  hear(news) {
    if (news.type === "size" && mode !== "console") this.screen.resize(news.columns, news.rows);
    else if (news.type === "size" && this.messages.has("keyboard")) this.screen.resize(news.columns, news.rows);
    else if (news.type === "detached") { this.say("detached", texts.textDetached, { tone: "info" }); setTimeout(() => this.say("detached", ""), 6000); }
    else if (news.type === "marks" && news.event === "marks.lost") this.say("marks", texts.textMarksLost, { tone: "info", button: this.closeButton("marks") });
    document.dispatchEvent(new CustomEvent("fernwart:channel", { detail: news }));
  }

  showEnd({ kind, status: code, reason }) {
    const words = {
      exit: texts.textExit.replace("STATUS", code), ended: texts.textEnded.replace("REASON", reason ?? ""), failed: texts.textFailed.replace("REASON", reason ?? ""),
      login: texts.textLogin, gone: texts.textEnded.replace("REASON", ""),
    };
    for (const key of ["state", "keyboard", "detached"]) this.messages.delete(key);
    this.say("end", words[kind], { tone: kind === "failed" ? "bad" : "info" });
    this.screen.options.disableStdin = true;
    this.screen.options.cursorBlink = false;
    this.tab?.setAttribute("data-over", "");
    this.observer?.disconnect();
    if (kind === "login") setTimeout(() => location.reload(), 1500);
  }
}

function choose(id) {
  current = id;
  for (const tab of tabs.querySelectorAll("[role=tab]")) tab.setAttribute("aria-selected", String(tab.dataset.channel === id));
  for (const [key, view] of views) view.panel.hidden = key !== id;
  showStatus();
  const view = views.get(id);
  view?.fitNow?.();
  view?.screen.focus();
}

function attach(tab) {
  const view = new View(tab);
  view.panel.id = tab.getAttribute("aria-controls");
  view.panel.setAttribute("aria-labelledby", tab.id);
  views.set(tab.dataset.channel, view);
  view.connect(tab.dataset.path);
  return view;
}

// A new terminal is measured first, so that the shell starts with its real size.
async function openTerminal() {
  const buttons = root.querySelectorAll("#open-terminal, [data-open-terminal]");
  buttons.forEach((button) => { button.disabled = true; });
  const view = new View(null);
  views.set("", view);
  choose("");
  view.say("state", texts.textOpening, { tone: "info" });
  try {
    const answer = await fetch(texts.openUrl, {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": texts.csrf, Accept: "application/json" },
      body: JSON.stringify({ kind: "shell", columns: view.screen.cols, rows: view.screen.rows }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.title ?? answer.statusText);
    const number = tabs.querySelectorAll("[role=tab]").length + 1;
    const tab = Object.assign(document.createElement("button"), { type: "button", id: `tab-${body.id}`, textContent: `Terminal ${number}` });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `panel-${body.id}`);
    tab.dataset.channel = body.id;
    tabs.insertBefore(tab, tabs.querySelector("#open-terminal"));
    views.delete("");
    view.tab = tab;
    view.panel.id = `panel-${body.id}`;
    view.panel.setAttribute("aria-labelledby", tab.id);
    views.set(body.id, view);
    view.connect(body.console);
    choose(body.id);
  } catch (error) {
    view.say("state", texts.textFailed.replace("REASON", error.message), { tone: "bad" });
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
}

tabs.addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) choose(tab.dataset.channel);
});
tabs.addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const all = [...tabs.querySelectorAll("[role=tab]")];
  const next = all[(all.indexOf(event.target) + (event.key === "ArrowRight" ? 1 : all.length - 1)) % all.length];
  if (next) { next.focus(); choose(next.dataset.channel); }
});
root.addEventListener("click", (event) => { if (event.target.closest("#open-terminal, [data-open-terminal]")) openTerminal(); });

const first = [...tabs.querySelectorAll("[role=tab]")];
first.forEach(attach);
if (first.length) choose(first.at(-1).dataset.channel);
else if (mode === "console" && location.hash === "#open") openTerminal();
