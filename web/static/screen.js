// A terminal's screen: xterm.js, set so that what a machine prints can do nothing but print. Used by terminal, watch and replay.
import { Terminal } from "./vendor/xterm/xterm.mjs";
import { FitAddon } from "./vendor/xterm-addon-fit/addon-fit.mjs";
import { Unicode11Addon } from "./vendor/xterm-addon-unicode11/addon-unicode11.mjs";
import { WebLinksAddon } from "./vendor/xterm-addon-web-links/addon-web-links.mjs";

const THEME = {
  background: "#0b1016", foreground: "#d6dee8", cursor: "#2dd4bf", cursorAccent: "#0b1016", selectionBackground: "#2b4a55",
  black: "#1c2530", red: "#fb8c8c", green: "#4ade80", yellow: "#fbbf24", blue: "#93b4fd", magenta: "#d8a6ff", cyan: "#5eead4", white: "#d6dee8",
  brightBlack: "#7d8b9b", brightRed: "#ffb0b0", brightGreen: "#86efac", brightYellow: "#fde68a", brightBlue: "#bcd0ff", brightMagenta: "#e9ccff",
  brightCyan: "#99f6e4", brightWhite: "#ffffff",
};

// `askLink(url)` resolves to true when the person wants to open it; without it links are plain text.
export function makeScreen(element, { columns = 80, rows = 24, readOnly = false, askLink = null } = {}) {
  const open = async (_event, address) => {
    let url;
    try { url = new URL(address); } catch { return; }
    if (!["http:", "https:"].includes(url.protocol)) return;
    if (askLink && await askLink(url.href)) window.open(url.href, "_blank", "noopener,noreferrer");
  };
  const screen = new Terminal({
    cols: columns, rows, allowProposedApi: true, scrollback: 10000, fontSize: 13, lineHeight: 1.2, theme: THEME, cursorBlink: !readOnly,
    disableStdin: readOnly, cursorInactiveStyle: readOnly ? "none" : "outline", screenReaderMode: false, rightClickSelectsWord: true,
    fontFamily: 'ui-monospace, "JetBrains Mono", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    linkHandler: askLink ? { activate: open, allowNonHttpProtocols: false } : { activate: () => {} },
    windowOptions: {},
  });
  screen.loadAddon(new Unicode11Addon());
  screen.unicode.activeVersion = "11";
  if (askLink) screen.loadAddon(new WebLinksAddon(open));
  // The clipboard is the person's: a machine neither writes nor reads it (OSC 52). Titles and working directories are not ours to show.
  for (const code of [0, 1, 2, 7, 9, 52, 777, 1337]) screen.parser.registerOscHandler(code, () => true);
  const fit = new FitAddon();
  screen.loadAddon(fit);
  screen.open(element);
  return { screen, fit };
}
