// The socket of one channel, through any number of connections: offsets, credit, resending, heartbeat. No DOM in here.
//
// Offsets count raw bytes of the stream. "received" is what was handed to the screen, "shown" what is on it. Input that the machine has
// not applied is held: it is sent again after a reconnect while it is younger than 5 s, and shown as "not sent" after that.

const OLDEST_MS = 5000;
const SILENT_MS = 20000;
const INPUT_CREDIT = 64 * 1024;
const PIECE = 16 * 1024;
const ACK_BYTES = 32 * 1024;
const ACK_MS = 100;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5000;

const decoder = new TextDecoder();

export class Channel extends EventTarget {
  // `path` is the socket's path. Events: "data" {bytes, done}, "reset", "caughtup", "keyboard" {open}, "state" {state, reason}, "notsent" {text},
  // "notconfirmed" {text}, "confirmed", "news" {…}, "over" {kind, …}.
  constructor(path, { control }) {
    super();
    this.path = path;
    this.control = control;
    this.client = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
    this.state = "opening";
    this.keyboard = false;
    this.over = false;
    this._received = null;
    this._shown = 0;
    this._acked = 0;
    this._upto = null;
    this._generation = 0;
    this._low = 0;
    this._high = 0;
    this._held = [];
    this._waiting = [];
    this._take = true;
    this._yours = true;
    this._size = null;
    this._wait = FIRST_WAIT_MS;
    this._unconfirmed = false;
    this._connect();
    this._timer = setInterval(() => this._look(), 1000);
  }

  // What the page does.

  type(bytes) {
    if (this.over || !this.control || bytes.length === 0) return;
    if (!this.keyboard) {
      // Another window has the keyboard, and the page says so: what is typed here is no input that was lost.
      if (this._yours) this._tell("notsent", { text: decoder.decode(bytes) });
      return;
    }
    for (let start = 0; start < bytes.length; start += PIECE) this._waiting.push(bytes.slice(start, start + PIECE));
    this._flush();
  }

  resize(columns, rows) {
    this._size = { columns, rows };
    this._say("resize", this._size);
  }

  take() {
    this._take = true;
    this._say("take");
  }

  close() {
    this.over = true;
    clearInterval(this._timer);
    this._socket?.close(1000);
  }

  // The socket.

  _connect() {
    const address = new URL(this.path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    this._heardAt = performance.now();
    socket.addEventListener("open", () => {
      this._heardAt = performance.now();
      this._say("attach", {
        client: this.client, have: this._received, take: this._take, generation: this._generation, input_low: this._low, input_high: this._high,
      });
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this._socket) return;
      this._heardAt = performance.now();
      if (typeof event.data === "string") this._hear(event.data);
      else this._takeBytes(new Uint8Array(event.data));
    });
    socket.addEventListener("close", (event) => { if (socket === this._socket) this._closed(event); });
  }

  _closed(event) {
    this._shutKeyboard();
    this._dropWaiting();
    if (this.over) return;
    if (event.code === 4401) this._end("login", {});
    else if (event.code === 4403 || event.code === 4404) this._end("gone", {});
    else if (event.code === 4410) this._end("ended", {});
    else {
      this._tell("state", { state: "offline" });
      setTimeout(() => { if (!this.over) this._connect(); }, this._wait * (0.5 + Math.random()));
      this._wait = Math.min(this._wait * 2, LONGEST_WAIT_MS);
    }
  }

  _look() {
    const now = performance.now();
    const connected = this._socket?.readyState === WebSocket.OPEN;
    if (now - this._heardAt > SILENT_MS && this._socket && this._socket.readyState !== WebSocket.CLOSED && !this.over) {
      // The server says something every 10 s: a socket that is silent for 20 is dead, whatever the browser thinks.
      const silent = this._socket;
      this._socket = null;
      silent.close();
      this._closed({ code: 1006 });
    }
    if (!connected && this._held.length && now - this._held[0].at > OLDEST_MS && !this._unconfirmed) this._tellUnconfirmed();
  }

  _say(type, fields = {}) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify({ type, ...fields }));
  }

  _tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Output.

  _takeBytes(bytes) {
    this._received = this._upto ?? (this._received ?? 0) + bytes.length;
    this._upto = null;
    const raw = this._received;
    this._tell("data", { bytes, done: () => this._note(raw) });
  }

  _note(raw) {
    this._shown = raw;
    if (raw - this._acked >= ACK_BYTES || raw < this._acked) this._acknowledge();
    else this._ackTimer ??= setTimeout(() => this._acknowledge(), ACK_MS);
  }

  _acknowledge() {
    clearTimeout(this._ackTimer);
    this._ackTimer = null;
    this._acked = this._shown;
    this._say("ack", { raw: this._shown });
  }

  _hear(text) {
    let news;
    try { news = JSON.parse(text); } catch { return; }
    switch (news.type) {
      case "attached":
        this._wait = FIRST_WAIT_MS;
        this._take = false;
        this._received = news.raw;
        this._tell("attached", news);
        this._setState(news.stalled ? "stalled" : news.state);
        if (this.control && this._size) this._say("resize", this._size);
        break;
      case "upto": this._upto = news.raw; break;
      case "at": this._received = news.raw; break;
      case "reset": this._received = news.raw; this._acked = 0; this._tell("reset", {}); break;
      case "caught_up": this._tell("caughtup", {}); break;
      case "live": case "away": case "stalled": this._setState(news.type, news.reason); break;
      case "unstalled": this._setState("live"); break;
      case "keyboard":
        this._yours = news.yours;
        if (!news.yours) this._shutKeyboard();
        this._tell("keyboard", { yours: news.yours, by: news.by });
        break;
      case "input": this._openKeyboard(news); break;
      case "input_ack": this._applied(news.applied); break;
      case "not_confirmed": this._shutKeyboard(); this._tellUnconfirmed(); break;
      case "exit": this._end("exit", { status: news.status }); break;
      case "ended":
        if (news.unconfirmed > 0) this._tellUnconfirmed();
        this._end(news.failed ? "failed" : "ended", { reason: news.reason });
        break;
      case "heartbeat": break;
      default: this._tell("news", news);
    }
  }

  _setState(state, reason = "") {
    this.state = state;
    if (state === "away" || state === "stalled") this._dropWaiting();
    this._tell("state", { state, reason });
  }

  _end(kind, detail) {
    if (this.over) return;
    this._shutKeyboard();
    this.over = true;
    clearInterval(this._timer);
    this._tell("over", { kind, ...detail });
  }

  // Input.

  _openKeyboard({ at, generation, dropped }) {
    const now = performance.now();
    const isSame = generation === this._generation && dropped === 0;
    const rest = this._cut(at);
    this._generation = generation;
    this._low = this._high = at;
    this._held = [];
    const lost = [];
    this._say("rebase", { generation });
    this.keyboard = true;
    for (const piece of rest) {
      if (isSame && now - piece.at < OLDEST_MS) this._send(piece.bytes, piece.at);
      else lost.push(piece.bytes);
    }
    if (this._unconfirmed) { this._unconfirmed = false; this._tell("confirmed", {}); }
    if (lost.length) this._tell("notsent", { text: lost.map((bytes) => decoder.decode(bytes)).join("") });
    this._tell("keyboard", { yours: true, open: true });
    this._flush();
  }

  // What is held from an offset on; a piece that spans it is cut.
  _cut(offset) {
    const rest = [];
    let start = this._low;
    for (const piece of this._held) {
      const end = start + piece.bytes.length;
      if (end > offset) rest.push({ at: piece.at, bytes: start < offset ? piece.bytes.slice(offset - start) : piece.bytes });
      start = end;
    }
    return rest;
  }

  _applied(offset) {
    this._held = this._cut(offset);
    this._low = Math.max(this._low, Math.min(offset, this._high));
    this._flush();
  }

  _flush() {
    while (this._waiting.length && this.keyboard && this._high - this._low + this._waiting[0].length <= INPUT_CREDIT) this._send(this._waiting.shift(), performance.now());
  }

  _send(bytes, at) {
    this._held.push({ at, bytes });
    this._high += bytes.length;
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(bytes);
  }

  _shutKeyboard() {
    if (!this.keyboard) return;
    this.keyboard = false;
    this._tell("keyboard", { yours: true, open: false });
  }

  _dropWaiting() {
    if (!this._waiting.length) return;
    const text = this._waiting.map((bytes) => decoder.decode(bytes)).join("");
    this._waiting = [];
    this._tell("notsent", { text });
  }

  _tellUnconfirmed() {
    this._unconfirmed = true;
    const text = this._held.map((piece) => decoder.decode(piece.bytes)).join("");
    if (text) this._tell("notconfirmed", { text });
  }
}
