// Building the page: text is always text, never HTML, whatever a stream is called.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  back: "M15 5l-7 7 7 7",
  camera: "M3 8a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM16 11l5-3v8l-5-3",
  sound: "M4 9v6h4l5 4V5L8 9zM16.5 8.5a5 5 0 0 1 0 7M19 6a8.500 8.500 0 0 1 0 12",
  mute: "M4 9v6h4l5 4V5L8 9zM17 9l5 6M22 9l-5 6",
  whole: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  copy: "M9 9h10v10H9zM5 15V5h10",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
};

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function icon(name) {
  const drawn = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  })) drawn.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  drawn.append(path);
  return drawn;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

let offset = 0;

// The server's clock is the one that pictures are dated by; a browser elsewhere (through a tunnel) may be off.
export function setServerTime(seconds) { offset = seconds - Date.now() / 1000; }
export function now() { return Date.now() / 1000 + offset; }

const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

export function timeOfDay(seconds) { return hours.format(new Date(seconds * 1000)); }

export function moment(seconds) {
  const day = days.format(new Date(seconds * 1000));
  return day === days.format(new Date()) ? timeOfDay(seconds) : `${day}, ${timeOfDay(seconds)}`;
}

export function spanOf(seconds) {
  const whole = Math.max(0, seconds);
  if (whole < 10) return `${whole.toFixed(1)} s`;
  if (whole < 90) return `${Math.round(whole)} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  if (whole < 129600) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86400)} days`;
}

export function rate(bits) {
  if (!Number.isFinite(bits) || bits <= 0) return "–";
  return bits < 1e6 ? `${Math.round(bits / 1000)} kbit/s` : `${(bits / 1e6).toFixed(1)} Mbit/s`;
}

const PROFILES = { 66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2" };

// RFC 6381's words, such as avc1.42c01f, as people say them.
export function codecName(word) {
  const told = String(word || "");
  const avc = /^avc[13]\.([0-9a-f]{2})[0-9a-f]{2}([0-9a-f]{2})/i.exec(told);
  if (avc) return `H.264 ${PROFILES[parseInt(avc[1], 16)] || ""} ${(parseInt(avc[2], 16) / 10).toFixed(1)}`.replace("  ", " ");
  if (/^(hvc1|hev1)/i.test(told)) return "H.265";
  if (/^mp4a\.40\.5/i.test(told)) return "HE-AAC";
  if (/^mp4a/i.test(told)) return "AAC";
  return told;
}
