// Watching: every element with data-watch-url becomes a screen that follows its channel. Nothing typed here goes anywhere.
import { Channel } from "./channel.js";
import { makeScreen } from "./screen.js";

for (const place of document.querySelectorAll("[data-watch-url]")) {
  place.style.height = "auto";
  place.style.overflow = "auto";
  const { screen } = makeScreen(place, { columns: Number(place.dataset.columns) || 80, rows: Number(place.dataset.rows) || 24, readOnly: true });
  const note = Object.assign(document.createElement("p"), { className: "fw-dim" });
  note.setAttribute("role", "status");
  place.before(note);
  const say = (text) => { note.textContent = text ?? ""; note.hidden = !text; };
  say(place.dataset.textConnecting);
  const channel = new Channel(place.dataset.watchUrl, { control: false });
  const on = (name, work) => channel.addEventListener(name, (event) => work(event.detail));
  // On a phone the letters shrink until the width fits; below that one scrolls.
  const show = ({ columns, rows }) => {
    screen.options.fontSize = Math.max(7, Math.min(13, Math.floor((place.clientWidth - 24) / columns / 0.602)));
    screen.resize(columns, rows);
  };
  on("attached", show);
  on("data", ({ bytes, done }) => screen.write(bytes, done));
  on("reset", () => screen.reset());
  on("news", (news) => { if (news.type === "size") show(news); });
  on("state", ({ state }) => say(state === "live" ? "" : (state === "offline" || state === "away" ? place.dataset.textLost : place.dataset.textConnecting)));
  on("over", () => say(place.dataset.textOver));
}
