// Around the terminal: time left, commands as they happen, the note, and the keys of the session page.

const list = document.getElementById("command-list");
const none = document.getElementById("command-none");

// Time left, in the bar that the server renews; between renewals it counts by itself.
function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = String(seconds % 60).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}
const skew = Date.now() - Date.parse(document.querySelector("[data-server-now]")?.dataset.serverNow ?? new Date().toISOString());
function countDown() {
  for (const place of document.querySelectorAll("[data-ends-at]")) {
    const left = Math.max(0, Math.round((Date.parse(place.dataset.endsAt) - (Date.now() - skew)) / 1000));
    const words = place.querySelector("[data-left]");
    words.textContent = words.dataset.text.replace("TIME", span(left));
    const bar = place.querySelector("progress");
    bar.value = left;
    bar.classList.toggle("fw-bar-warn", left < 180);
  }
}
setInterval(countDown, 1000);

// Text from a machine: characters that would turn, hide or move what is shown are written out.
const visible = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (character) => {
  const code = character.codePointAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
});
const part = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });

function showCommand(command) {
  const key = `${command.channel}-${command.number}`;
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  let row = list.querySelector(`[data-command="${CSS.escape(key)}"]`);
  if (!row) {
    row = document.createElement("li");
    row.dataset.command = key;
    list.append(row);
  }
  const box = part("div", "fw-command");
  const line = part("span", "fw-mono fw-break");
  line.append(command.line === null ? part("span", "fw-dim", list.dataset.silent) : visible(command.line));
  if (command.directory) line.append(part("span", "fw-dim fw-small fw-command-place", visible(command.directory)));
  const known = command.exit_status !== null;
  const running = !known && command.seconds === null;
  const tone = known ? (command.exit_status === 0 ? " fw-tag-ok" : " fw-tag-warn") : (running ? " fw-tag-info" : "");
  box.append(line, part("span", `fw-tag${tone}`, known ? String(command.exit_status) : (running ? list.dataset.running : list.dataset.unknown)));
  row.replaceChildren(box);
  none.hidden = true;
  if (follows) list.scrollTop = list.scrollHeight;
}
document.addEventListener("fernwart:channel", (event) => { if (event.detail.type === "command" && list) showCommand(event.detail); });

// The note is kept in the background: the terminal stays where it is.
document.getElementById("note-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.stopImmediatePropagation();
  const form = event.target;
  const said = form.querySelector("[role=status]");
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "X-Requested-With": "fetch" }, redirect: "manual" });
    if (answer.status === 204) {
      form.querySelector("textarea").value = "";
      sessionStorage.removeItem(`draft:${form.querySelector("textarea").dataset.draft}`);
      said.textContent = form.dataset.kept;
      setTimeout(() => { said.textContent = ""; }, 4000);
    } else form.submit();
  } catch { form.submit(); } finally { button.disabled = false; }
}, { capture: true });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.shiftKey && event.code === "KeyE") {
    const button = document.querySelector('[data-dialog="end"]');
    if (button) { event.preventDefault(); button.click(); }
  }
}, { capture: true });

// When the answer has come, or the session is over, the page is another one.
const stateNow = () => document.querySelector("[data-session-state]")?.dataset.sessionState;
const before = stateNow();
const hasTerminal = Boolean(document.getElementById("terminals"));
let dialogsOf = before;
async function renewDialogs(state) {
  const place = document.getElementById("session-dialogs");
  if (!place || state === dialogsOf || place.querySelector("dialog[open]")) return;
  dialogsOf = state;
  const answer = await fetch(place.dataset.url, { headers: { "HX-Request": "true" } });
  if (answer.ok) place.replaceChildren(document.createRange().createContextualFragment(await answer.text()));
  else dialogsOf = before;
}

document.addEventListener("htmx:after:swap", () => {
  const now = stateNow();
  if (!now) return;
  if (hasTerminal) renewDialogs(now);
  if (now === before) return;
  if (!hasTerminal && ["approved", "live", "ended", "denied", "expired", "cancelled"].includes(now)) location.reload();
});
