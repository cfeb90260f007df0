// Replay: an asciicast played on the same screen as the live terminal. Seek, speed, long pauses skipped, a list of commands that jumps.
// Every element with data-cast-url becomes a player. No answer to a device query leaves this page: there is nowhere to send it.
import { makeScreen } from "./screen.js";

const LONGEST_PAUSE_SECONDS = 2;
const FRAME_MS = 33;
const part = (name, fields) => Object.assign(document.createElement(name), fields);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function readCast(text) {
  const lines = text.split("\n").filter(Boolean);
  const header = JSON.parse(lines[0]);
  const events = [];
  for (const line of lines.slice(1)) {
    // A recording that is still being written may end within a line.
    try { events.push(JSON.parse(line)); } catch { break; }
  }
  return { columns: header.width, rows: header.height, events };
}

class Player {
  constructor(place, cast) {
    this.cast = cast;
    this.speed = 1;
    this.skips = true;
    this.at = 0;
    this.next = 0;
    this.playing = false;
    this.duration = cast.events.at(-1)?.[0] ?? 0;
    const stage = part("div", { className: "fw-terminal" });
    this.screen = makeScreen(stage, { columns: cast.columns, rows: cast.rows, readOnly: true }).screen;
    const bar = part("div", { className: "fw-row fw-form-gap" });
    this.button = part("button", { type: "button", className: "btn btn-small", textContent: "▶" });
    this.button.setAttribute("aria-label", place.dataset.textPlay ?? "Play / Pause");
    this.slider = part("input", { type: "range", min: 0, max: Math.ceil(this.duration * 10) / 10, step: 0.1, value: 0, className: "form-range fw-seek" });
    this.slider.setAttribute("aria-label", place.dataset.textSeek ?? "Position");
    this.time = part("span", { className: "fw-dim fw-mono fw-nowrap" });
    bar.append(this.button, this.slider, this.time);
    place.replaceChildren(stage, bar);
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    place.addEventListener("keydown", (event) => {
      if (event.key === " " && event.target !== this.button) { event.preventDefault(); this.toggle(); }
      if (event.target !== this.slider && ["ArrowLeft", "ArrowRight"].includes(event.key)) this.seek(this.at + (event.key === "ArrowRight" ? 5 : -5));
    });
    this.show();
  }

  toggle() {
    this.playing = !this.playing;
    if (this.playing && this.next >= this.cast.events.length) this.seek(0);
    this.button.textContent = this.playing ? "⏸" : "▶";
    if (this.playing) { this.tickedAt = performance.now(); this.tick(); }
  }

  seek(seconds) {
    const wanted = Math.min(Math.max(0, seconds), this.duration);
    if (wanted < this.at) { this.screen.reset(); this.screen.resize(this.cast.columns, this.cast.rows); this.next = 0; }
    this.at = wanted;
    this.write();
    this.tickedAt = performance.now();
    this.show();
  }

  tick() {
    if (!this.playing) return;
    const now = performance.now();
    this.at += (now - this.tickedAt) / 1000 * this.speed;
    this.tickedAt = now;
    const due = this.cast.events[this.next]?.[0];
    if (this.skips && due !== undefined && due - this.at > LONGEST_PAUSE_SECONDS) this.at = due - 0.3;
    this.write();
    this.show();
    if (this.next >= this.cast.events.length) { this.at = this.duration; this.toggle(); this.show(); return; }
    setTimeout(() => this.tick(), FRAME_MS);
  }

  write() {
    const parts = [];
    while (this.next < this.cast.events.length && this.cast.events[this.next][0] <= this.at) {
      const [, kind, data] = this.cast.events[this.next++];
      if (kind === "o") parts.push(data);
      else if (kind === "r") {
        if (parts.length) this.screen.write(parts.splice(0).join(""));
        const [columns, rows] = data.split("x").map(Number);
        // Resizing takes effect at once, writing is queued: the size must wait for what came before it.
        if (columns > 0 && rows > 0) this.screen.write("", () => this.screen.resize(columns, rows));
      }
    }
    if (parts.length) this.screen.write(parts.join(""));
  }

  show() {
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", clock(this.at));
    this.time.textContent = `${clock(this.at)} / ${clock(this.duration)}`;
    for (const row of document.querySelectorAll("[data-seconds]")) row.toggleAttribute("data-current", false);
    const passed = [...document.querySelectorAll("[data-seconds]")].filter((row) => Number(row.dataset.seconds) <= this.at + 0.05);
    passed.at(-1)?.toggleAttribute("data-current", true);
  }
}

for (const place of document.querySelectorAll("[data-cast-url]")) {
  const answer = await fetch(place.dataset.castUrl);
  if (!answer.ok) { place.textContent = answer.statusText; continue; }
  const player = new Player(place, readCast(await answer.text()));
  if (place.id !== "player") continue;
  document.getElementById("speed")?.addEventListener("change", (event) => { player.speed = Number(event.target.value); });
  document.getElementById("skip-pauses")?.addEventListener("change", (event) => { player.skips = event.target.checked; });
  document.getElementById("command-list")?.addEventListener("click", (event) => {
    const row = event.target.closest("[data-seconds]");
    if (row) player.seek(Number(row.dataset.seconds));
  });
}
