// What is kept of a stream: look back, play from there or a part of it, keep a part as a file.
import { blob, get } from "./api.js";
import { el, icon, moment, now, setText, spanOf, timeOfDay } from "./dom.js";

const WINDOWS = [[600, "10 min"], [3600, "1 hour"], [21600, "6 hours"], [86400, "24 hours"]];
const LONGEST_CLIP = 900;

export class Timeline {
  constructor(camera, told) {
    this.camera = camera;
    this.told = told;
    this.seconds = 600;
    this.end = now();
    this.mode = "LIVE";
    this.build();
  }

  get start() { return this.end - this.seconds; }

  build() {
    this.spans = el("div", { "aria-hidden": "true" });
    this.picked = el("div", { class: "picked", hidden: true });
    this.headMark = el("div", { class: "head-mark", hidden: true });
    this.track = el("div", {
      class: "track", tabindex: "0", role: "slider", "aria-label": "Time to play from", "aria-valuemin": "0", "aria-valuemax": "1000",
    }, this.spans, this.picked, this.headMark);
    this.left = el("span"); this.middle = el("span"); this.right = el("span");
    this.modes = choice("Playback", [["LIVE", "Live"], ["LIVE_REPLAY", "Replay"], ["ON_DEMAND", "On demand"]], "LIVE", (mode) => this.choose(mode));
    this.windows = el("select", { "aria-label": "How far back the timeline goes", onchange: (event) => this.look(Number(event.target.value)) },
      ...WINDOWS.map(([value, name]) => el("option", { value }, name)));
    this.from = el("input", { type: "datetime-local", step: "1", onchange: () => this.typed() });
    this.to = el("input", { type: "datetime-local", step: "1", onchange: () => this.typed() });
    this.go = el("button", { class: "button main", type: "button", onclick: () => this.play() }, icon("play"), "Play");
    this.keep = el("button", { class: "button", type: "button", onclick: () => this.download() }, icon("save"), "Download clip");
    this.hint = el("p", { class: "hint", role: "status" });
    this.node = el("section", { class: "card", "aria-label": "Timeline" },
      el("div", { class: "row" }, this.modes, this.windows),
      el("div", {}, this.track, el("div", { class: "scale", "aria-hidden": "true" }, this.left, this.middle, this.right)),
      this.fields = el("div", { class: "row fields" },
        el("label", { class: "field" }, "From", this.from), el("label", { class: "field" }, "To", this.to), this.go, this.keep),
      this.hint);
    this.track.addEventListener("pointerdown", (event) => this.drag(event));
    this.track.addEventListener("keydown", (event) => this.key(event));
    this.set(this.end - 60, this.end - 30, false);
    this.choose("LIVE", false);
  }

  async refresh() {
    if (!this.camera.stream) return;
    if (this.mode === "LIVE") this.end = now();
    try {
      const told = await get(`/api/timeline/${this.camera.id}?start=${this.start}&end=${this.end}`);
      this.shown = told;
      this.draw();
      if (this.mode === "LIVE") setText(this.hint, told.spans.length ? "" : `nothing is kept of the last ${this.windows.selectedOptions[0].textContent}`);
    } catch (error) {
      setText(this.hint, error.message);
    }
  }

  draw() {
    this.spans.replaceChildren(...(this.shown ? this.shown.spans : []).map(([begin, end]) => {
      const span = el("div", { class: "span" });
      place(span, (begin - this.start) / this.seconds, (Math.max(end, begin) - this.start) / this.seconds);
      return span;
    }));
    setText(this.left, moment(this.start));
    setText(this.middle, moment(this.start + this.seconds / 2));
    setText(this.right, moment(this.end));
    const both = this.mode === "ON_DEMAND";
    this.picked.hidden = this.mode === "LIVE";
    place(this.picked, (this.chosen[0] - this.start) / this.seconds, ((both ? this.chosen[1] : this.chosen[0]) - this.start) / this.seconds);
    const share = Math.round((1000 * (this.chosen[0] - this.start)) / this.seconds);
    this.track.setAttribute("aria-valuenow", String(Math.max(0, Math.min(1000, share))));
    this.track.setAttribute("aria-valuetext", both ? `${moment(this.chosen[0])} to ${moment(this.chosen[1])}` : moment(this.chosen[0]));
  }

  playing(at) {
    this.headMark.hidden = !at || at < this.start || at > this.end;
    if (at) this.headMark.style.left = `${(100 * (at - this.start)) / this.seconds}%`;
  }

  set(begin, end, draw = true) {
    this.chosen = [begin, Math.max(end, begin + 1)];
    this.from.value = local(this.chosen[0]);
    this.to.value = local(this.chosen[1]);
    this.bound();
    if (draw) this.draw();
  }

  typed() {
    const [begin, end] = [new Date(this.from.value).getTime() / 1000, new Date(this.to.value).getTime() / 1000];
    if (!Number.isFinite(begin) || !Number.isFinite(end)) { setText(this.hint, "a date and a time, to the second"); return; }
    this.chosen = [begin, Math.max(end, begin + 1)];
    if (begin < this.start || begin > this.end) { this.end = begin + this.seconds / 2; this.refresh(); }
    this.bound();
    this.draw();
  }

  bound() {
    const span = this.chosen[1] - this.chosen[0];
    this.keep.disabled = span > LONGEST_CLIP;
    this.keep.title = this.keep.disabled ? `a clip is ${LONGEST_CLIP / 60} minutes at most` : "";
  }

  choose(mode, act = true) {
    this.mode = mode;
    const input = this.modes.querySelector(`input[value="${mode}"]`);
    if (input) input.checked = true;
    this.fields.hidden = mode === "LIVE";
    this.to.parentNode.hidden = mode !== "ON_DEMAND";
    this.keep.hidden = mode !== "ON_DEMAND";
    this.draw();
    setText(this.hint, mode === "LIVE_REPLAY" ? "from a time on, then on to now: pick it on the line, then play"
      : mode === "ON_DEMAND" ? "from one time to another: drag over the line, then play or download" : "");
    if (act && mode === "LIVE") { this.refresh(); this.told.play({ mode: "LIVE" }); }
  }

  look(seconds) {
    this.seconds = seconds;
    this.refresh();
  }

  drag(event) {
    if (event.button) return;
    const box = this.track.getBoundingClientRect();
    const at = (x) => this.start + this.seconds * Math.max(0, Math.min(1, (x - box.left) / box.width));
    const first = at(event.clientX);
    if (this.mode === "LIVE") this.choose("LIVE_REPLAY");
    this.set(first, first + 30);
    this.track.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const other = at(moved.clientX);
      if (Math.abs(other - first) < this.seconds / 100) return;
      if (this.mode !== "ON_DEMAND") this.choose("ON_DEMAND");
      this.set(Math.min(first, other), Math.max(first, other));
    };
    const done = () => {
      this.track.removeEventListener("pointermove", move);
      if (this.mode === "LIVE_REPLAY") this.play();
    };
    this.track.addEventListener("pointermove", move);
    this.track.addEventListener("pointerup", done, { once: true });
    this.track.addEventListener("pointercancel", done, { once: true });
  }

  key(event) {
    const step = this.seconds / 60;
    const moves = { ArrowLeft: -step, ArrowRight: step, PageDown: -step * 10, PageUp: step * 10 };
    if (event.key === "Enter") this.play();
    else if (event.key === "Home") this.set(this.start, this.start + 30);
    else if (event.key === "End") this.set(this.end - 30, this.end);
    else if (event.key in moves) {
      if (this.mode === "LIVE") this.choose("LIVE_REPLAY");
      const span = this.chosen[1] - this.chosen[0];
      const begin = Math.max(this.start, Math.min(this.end - 1, this.chosen[0] + moves[event.key]));
      this.set(begin, begin + span);
    } else return;
    event.preventDefault();
  }

  play() {
    const [begin, end] = this.chosen;
    if (this.mode === "LIVE") { this.told.play({ mode: "LIVE" }); return; }
    setText(this.hint, this.mode === "ON_DEMAND" ? `playing ${moment(begin)} to ${timeOfDay(end)}` : `playing from ${moment(begin)} on`);
    this.told.play(this.mode === "ON_DEMAND" ? { mode: "ON_DEMAND", start: begin, end } : { mode: "LIVE_REPLAY", start: begin });
  }

  async download() {
    const [begin, end] = this.chosen;
    this.keep.disabled = true;
    setText(this.hint, `fetching ${spanOf(end - begin)} of video`);
    try {
      const file = await blob(`/api/clip/${this.camera.id}?start=${begin}&end=${end}`);
      const url = URL.createObjectURL(file);
      const stamp = new Date(begin * 1000).toISOString().slice(0, 19).replace(/[-:]/g, "");
      el("a", { href: url, download: `${this.camera.name.replace(/[^A-Za-z0-9]/g, "-").slice(0, 60)}-${stamp}Z.mp4` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      setText(this.hint, `the clip is in your downloads: ${spanOf(end - begin)}, ${(file.size / 1048576).toFixed(1)} MiB`);
      this.told.log(`a clip of ${spanOf(end - begin)} was saved`);
    } catch (error) {
      setText(this.hint, error.message);
      this.told.log(`no clip: ${error.message}`, "bad");
    }
    this.bound();
  }
}

export function choice(label, options, chosen, changed) {
  const name = `choice-${label.replace(/\W/g, "").toLowerCase()}`;
  return el("fieldset", { class: "choice", style: null, "aria-label": label }, ...options.map(([value, text, off]) =>
    el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen, disabled: Boolean(off), onchange: () => changed(value) }), el("span", {}, text))));
}

function place(node, begin, end) {
  const from = Math.max(0, Math.min(1, begin)), to = Math.max(from, Math.min(1, end));
  node.style.left = `${100 * from}%`;
  node.style.width = `${100 * (to - from)}%`;
}

function local(seconds) {
  const at = new Date(seconds * 1000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
