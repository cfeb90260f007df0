// Keys, menus, dialogs and lists of the desk. Everything here is convenience: each thing also works by click and without it.
import { connect } from "./live.js";

const field = (element) => element instanceof HTMLElement && (element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select") || element.isContentEditable);

function openDialog(id, opener) {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  document.querySelectorAll("details.fw-menu[open]").forEach((menu) => menu.removeAttribute("open"));
  dialog.showModal();
  dialog.addEventListener("close", () => opener?.focus?.(), { once: true });
}

// A list that is walked with j and k: its items carry data-item, the link inside is what Enter opens.
function walkList(step) {
  const items = [...document.querySelectorAll("[data-item]")].filter((item) => item.offsetParent !== null);
  if (items.length === 0) return;
  const current = items.findIndex((item) => item.contains(document.activeElement) || item.getAttribute("aria-selected") === "true");
  const next = current < 0 ? (step > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, current + step));
  items.forEach((item, index) => { item.toggleAttribute("data-current", index === next); item.classList.toggle("fw-selected", index === next); });
  const link = items[next].querySelector("a[href]") ?? items[next];
  link.focus({ preventScroll: true });
  items[next].scrollIntoView({ block: "nearest" });
}

function pressKey(key) {
  const targets = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)];
  const target = targets.find((element) => element.checkVisibility?.() ?? true) ?? targets[0];
  if (!target) return false;
  const focus = target.getAttribute("data-key-focus");
  if (target.dataset.dialog) openDialog(target.dataset.dialog, target);
  else target.click();
  if (focus) document.querySelector(focus)?.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") {
    const menu = document.querySelector("details.fw-menu[open]");
    if (menu) { menu.removeAttribute("open"); menu.querySelector("summary")?.focus(); } else if (field(document.activeElement)) document.activeElement.blur();
    return;
  }
  if (field(event.target) || event.target.closest?.("dialog[open], [data-keys=off]")) return;
  let done = true;
  if (event.key === "/") {
    const box = document.getElementById("search");
    if (box?.checkVisibility?.()) { box.focus(); box.select(); } else document.querySelector(".fw-search-link")?.click();
  } else if (event.key === "?") openDialog("keys", document.activeElement);
  else if (event.key === "j") walkList(1);
  else if (event.key === "k") walkList(-1);
  else if (event.key.length === 1) done = pressKey(event.key.toLowerCase());
  else done = false;
  if (done) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return;
  document.querySelectorAll("details.fw-menu[open]").forEach((menu) => { if (!menu.contains(target)) menu.removeAttribute("open"); });
  const opener = target.closest("[data-dialog]");
  if (opener) { event.preventDefault(); openDialog(opener.dataset.dialog, opener); }
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  if (target instanceof HTMLDialogElement && target.open) {
    const box = target.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom) target.close();
  }
  const tab = target.closest("[data-show]");
  if (tab) {
    showPanel(tab);
    const wanted = tab.dataset.keyFocus ?? (tab.hash || "");
    if (wanted) document.querySelector(wanted)?.focus();
  }
  const copy = target.closest("[data-copy]");
  if (copy) copyText(copy);
});

// Tabs inside a page: <button role="tab" data-show="panel-id" aria-controls="panel-id">. Another button may open a panel too
// when it names the tab: data-show="panel-id" data-tab="tab-id" data-key-focus="#field".
function showPanel(tab) {
  const list = tab.closest("[role=tablist]") ?? document.getElementById(tab.dataset.tab)?.closest("[role=tablist]");
  const chosenTab = tab.dataset.tab ? document.getElementById(tab.dataset.tab) : tab;
  const tabs = list ? [...list.querySelectorAll("[data-show]")] : [];
  for (const other of tabs) {
    const chosen = other === chosenTab;
    other.setAttribute("aria-selected", String(chosen));
    const panel = document.getElementById(other.dataset.show);
    if (panel) panel.hidden = !chosen;
  }
}

async function copyText(button) {
  await navigator.clipboard?.writeText(button.dataset.copy);
  const words = button.querySelector("span");
  if (!words || !button.dataset.copied) return;
  const before = words.textContent;
  words.textContent = button.dataset.copied;
  setTimeout(() => { words.textContent = before; }, 1500);
}

// A form that must be confirmed asks first; a form that was sent cannot be sent twice by a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) { event.preventDefault(); return; }
  if (form.method === "post" && !form.hasAttribute("hx-post")) {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 5000);
  }
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// A filter sends itself when something is chosen.
document.addEventListener("change", (event) => {
  if (event.target.closest?.("form[data-auto]")) event.target.form.requestSubmit();
});

// What was typed and not sent is kept in this tab until it is sent: <textarea data-draft="name">.
for (const area of document.querySelectorAll("textarea[data-draft]")) {
  const name = `draft:${area.dataset.draft}`;
  if (!area.value) area.value = sessionStorage.getItem(name) ?? "";
  area.addEventListener("input", () => sessionStorage.setItem(name, area.value));
  area.form?.addEventListener("submit", () => sessionStorage.removeItem(name));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); area.form?.requestSubmit(); }
  });
}

if (document.body.dataset.live) connect(document.body.dataset.live);
