// Live regions: one WebSocket tells which topics changed, and every region of that topic fetches itself again through htmx.
// We say {"subscribe": ["ticket:ID", "tickets"]}; the server says {"topic": "tickets"}. A message carries no content,
// so losing one loses nothing: after a new connection everything is fetched once.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const COLLECT_MS = 60;
const SLOW_START_MS = 1000;
const BROAD_MS = 1000; // Topics without an id ("tickets") change often: their regions are fetched once a second at most.

let socket = null;
let wait = FIRST_WAIT_MS;
let wasConnected = false;
let subscribed = "";
const due = new Set();
const renewed = new Map();
let timer = 0;

const topicsOf = (element) => (element.dataset.topic ?? "").split(/\s+/).filter(Boolean);
const regions = () => [...document.querySelectorAll("[data-topic]")];

function renew(wanted) {
  for (const region of regions()) {
    if (wanted === null || topicsOf(region).some((topic) => wanted.has(topic))) region.dispatchEvent(new CustomEvent("live"));
  }
}

function collect(topic) {
  due.add(topic);
  timer ||= setTimeout(work, COLLECT_MS);
}

function work() {
  timer = 0;
  const now = performance.now();
  const ready = new Set([...due].filter((topic) => topic.includes(":") || now - (renewed.get(topic) ?? -BROAD_MS) >= BROAD_MS));
  for (const topic of ready) { due.delete(topic); renewed.set(topic, now); }
  if (due.size) timer = setTimeout(work, BROAD_MS / 2);
  if (ready.size) renew(ready);
}

function subscribe() {
  const topics = [...new Set(regions().flatMap(topicsOf))];
  const wanted = JSON.stringify({ subscribe: topics.sort() });
  if (socket?.readyState !== WebSocket.OPEN || wanted === subscribed) return;
  subscribed = wanted;
  socket.send(wanted);
}

function showOffline(offline) {
  const note = document.getElementById("offline");
  if (!note) return;
  note.toggleAttribute("data-shown", offline);
  note.textContent = offline ? note.dataset.text : "";
}

function open(path) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    wait = FIRST_WAIT_MS;
    subscribed = "";
    subscribe();
    showOffline(false);
    // What changed while the page loaded, or while nothing was heard, was not announced to us.
    if (wasConnected || performance.now() > SLOW_START_MS) renew(null);
    wasConnected = true;
  });
  socket.addEventListener("message", (event) => {
    let message;
    try { message = JSON.parse(event.data); } catch { return; }
    if (typeof message.topic === "string") {
      collect(message.topic);
      document.dispatchEvent(new CustomEvent("fernwart:topic", { detail: message }));
    }
  });
  socket.addEventListener("close", (event) => {
    if (event.code === 4401 || event.code === 1008) { location.reload(); return; }
    showOffline(wasConnected);
    setTimeout(() => open(path), wait * (0.7 + Math.random() * 0.6));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  });
}

export function connect(path) {
  if (regions().length === 0) return;
  open(path);
  document.addEventListener("htmx:after:swap", subscribe);
}
