// One camera: large, with its time, its figures, addresses to copy, and a log in words.
import { blob, get, post } from "./api.js";
import { el, icon, now, rate, setText, spanOf, timeOfDay } from "./dom.js";
import { Player, Stage } from "./player.js";
import { Timeline, choice } from "./timeline.js";

const STATES = { connecting: "Connecting", playing: "Playing", waiting: "Waiting", stills: "Stills", stopped: "Stopped", ended: "Ended" };
const MOST_LINES = 200;

export class View {
  constructor(node, camera, announce) {
    this.node = node;
    this.camera = camera;
    this.announce = announce;
    this.stage = new Stage(`Picture of ${camera.name}`);
    this.player = new Player(this.stage, camera, { log: (words, level) => this.say(words, level), state: (state) => this.turned(state) });
    this.build();
    this.player.still();
    this.timers = [setInterval(() => this.measure(), 1000), setInterval(() => this.timeline.refresh(), 10000)];
  }

  build() {
    const { camera } = this;
    this.title = el("h2", { tabindex: "-1", title: camera.name }, el("bdi", {}, camera.name));
    this.mark = el("span", { class: "mark" });
    this.behind = el("span", { class: "behind" });
    const back = el("a", { class: "button", href: "#/" }, icon("back"), "All cameras");
    this.timeline = new Timeline(camera, { play: (wanted) => this.player.play(wanted, this.way()), log: (words, level) => this.say(words, level) });
    this.log = el("ol", { class: "log", role: "log", tabindex: "0", "aria-label": "What happened" });
    this.facts = el("dl", { class: "facts" });
    this.links = el("ul", { class: "links" });
    this.box = el("div", { class: "player" }, this.stage.node, this.controls());
    this.node.replaceChildren(
      el("div", { class: "head" }, back, this.title, this.mark, this.behind),
      el("div", { class: "watching" }, this.box, camera.stream ? this.timeline.node : null),
      el("div", { class: "side" }, card("Figures", this.facts), card("Links", this.links), card("Log", this.log)));
    this.offerLinks();
    this.update(camera);
    this.timeline.refresh();
  }

  controls() {
    const { camera } = this;
    const ways = [["auto", "Auto"], ["webrtc", "WebRTC", !camera.channel], ["hls", "HLS", !camera.stream], ["stills", "Stills", !camera.stream]];
    this.ways = choice("How it is played", ways, "auto", (way) => this.player.play({ mode: "LIVE", ...this.route() }, way));
    this.sound = el("button", { class: "button bare", type: "button", onclick: () => this.mute() });
    this.pause = el("button", { class: "button bare", type: "button", onclick: () => this.hold() });
    const whole = el("button", { class: "button bare", type: "button", "aria-label": "Full screen", title: "Full screen", onclick: () => this.whole() }, icon("whole"));
    const keep = el("button", { class: "button bare", type: "button", "aria-label": "Save a still picture", title: "Save a still picture", disabled: !camera.stream, onclick: () => this.keepStill() }, icon("picture"));
    this.relay = el("select", { "aria-label": "Which way WebRTC may take", onchange: () => this.player.play({ mode: "LIVE", ...this.route() }, this.way()) },
      el("option", { value: "all" }, "Any route"), el("option", { value: "relay" }, "TURN only"));
    this.relay.hidden = !camera.channel;
    this.showSound();
    this.showPause(false);
    return el("div", { class: "controls", role: "group", "aria-label": "Player" }, this.pause, this.sound, keep, whole, el("span", { class: "spring" }), this.relay, this.ways);
  }

  way() { return this.ways.querySelector("input:checked").value; }
  route() { return { relayOnly: this.relay.value === "relay" }; }

  update(camera) {
    Object.assign(this.camera, camera);
    this.stage.node.classList.toggle("offline", camera.state === "offline" && !this.player.playback);
    setText(this.stage.words, camera.note || "no picture yet");
    if (camera.state !== this.state) {
      if (this.state) this.say(camera.state === "live" ? "the camera sends again" : "the camera has stopped to send", camera.state === "live" ? "" : "bad");
      this.state = camera.state;
    }
    this.mark.dataset.state = camera.state;
    setText(this.mark, { live: "Live", offline: "Offline", channel: "Channel" }[camera.state]);
  }

  resume() { if (!this.player.running) this.player.play(this.player.wanted, this.way()); }
  rest() { this.player.halt(); }

  turned(state) {
    if (this.shownState !== state) {
      this.shownState = state;
      if (["playing", "waiting", "ended"].includes(state)) this.announce(`${this.camera.name}: ${STATES[state]}`);
    }
    if (this.pause) this.showPause(false);
  }

  async measure() {
    const seen = await this.player.stats();
    const rows = [["State", STATES[this.shownState] || ""]];
    if (seen) {
      const fps = seen.fps !== undefined ? seen.fps : this.fps(seen.frames);
      rows.push(["Way", seen.way], ["Codec", [seen.codec, seen.sound].filter(Boolean).join(", ") || "–"],
        ["Size", seen.width ? `${seen.width} × ${seen.height}` : "–"], ["Frames", fps ? `${Math.round(fps)} a second` : "–"],
        ["Bit rate", rate(seen.bitrate)], ["Dropped", String(seen.dropped)]);
      if (seen.pair) rows.push(["Route", seen.pair]);
      if (seen.roundtrip !== undefined) rows.push(["Round trip", `${Math.round(seen.roundtrip * 1000)} ms`]);
      if (seen.lost !== undefined) rows.push(["Packets lost", String(seen.lost)]);
      if (seen.buffered !== undefined) rows.push(["Buffer", spanOf(seen.buffered)]);
      if (seen.at) rows.push(["Picture of", timeOfDay(seen.at)]);
    }
    if (this.camera.last) rows.push(["Last fragment", timeOfDay(this.camera.last)]);
    if (this.camera.retention !== null) rows.push(["Kept for", this.camera.retention ? `${this.camera.retention} h` : "nothing is kept"]);
    this.tabulate(rows);
    const moving = this.stage.node.classList.contains("moving");
    this.stage.node.classList.toggle("offline", this.camera.state === "offline" && !moving);
    const behind = seen && moving ? seen.behind : this.camera.state === "live" ? now() - this.camera.end : null;
    setText(this.behind, behind === null || behind === undefined ? "" : `${seen && seen.way === "WebRTC" ? "about " : ""}${spanOf(behind)} behind`);
    this.timeline.playing(seen && moving ? seen.at : null);
  }

  fps(frames) {
    const at = performance.now();
    const before = this.counted;
    this.counted = { frames, at };
    return before && frames > before.frames ? (1000 * (frames - before.frames)) / (at - before.at) : 0;
  }

  tabulate(rows) {
    const flat = rows.flat();
    const cells = [...this.facts.children];
    if (cells.length !== flat.length) this.facts.replaceChildren(...flat.map((text, at) => el(at % 2 ? "dd" : "dt", {}, text)));
    else cells.forEach((cell, at) => setText(cell, flat[at]));
  }

  say(words, level = "") {
    const end = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 8;
    this.log.append(el("li", { "data-level": level }, el("time", {}, timeOfDay(now())), el("span", {}, words)));
    while (this.log.children.length > MOST_LINES) this.log.firstChild.remove();
    if (end) this.log.scrollTop = this.log.scrollHeight;
  }

  mute() {
    this.stage.video.muted = !this.stage.video.muted;
    this.showSound();
  }

  showSound() {
    const muted = this.stage.video.muted;
    this.sound.replaceChildren(icon(muted ? "mute" : "sound"));
    this.sound.setAttribute("aria-label", muted ? "Turn the sound on" : "Turn the sound off");
    this.sound.title = this.sound.getAttribute("aria-label");
  }

  hold() {
    const held = !this.stage.video.paused;
    if (held) this.stage.video.pause();
    else this.stage.video.play().catch(() => {});
    this.showPause(held);
  }

  showPause(held) {
    this.pause.replaceChildren(icon(held ? "play" : "pause"));
    this.pause.setAttribute("aria-label", held ? "Go on" : "Pause");
    this.pause.title = this.pause.getAttribute("aria-label");
  }

  whole() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.box.requestFullscreen) this.box.requestFullscreen().catch(() => {});
    else if (this.stage.video.webkitEnterFullscreen) this.stage.video.webkitEnterFullscreen();
  }

  async keepStill() {
    try {
      const url = URL.createObjectURL(await blob(`/api/still/${this.camera.id}`));
      el("a", { href: url, download: `${this.camera.name.replace(/[^A-Za-z0-9]/g, "-").slice(0, 60)}.jpg` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      this.say("a still picture was saved");
    } catch (error) { this.say(`no still picture: ${error.message}`, "bad"); }
  }

  offerLinks() {
    const make = el("button", { class: "button", type: "button", onclick: () => this.makeLinks(make) }, icon("copy"), "Make links for other players");
    this.links.replaceChildren(el("li", {}, make));
  }

  async makeLinks(button) {
    button.disabled = true;
    try {
      const [made, facts] = await Promise.all([post(`/api/links/${this.camera.id}`, {}), get(`/api/camera/${this.camera.id}`)]);
      const rows = [["HLS address", made.hls], ["ffplay", made.ffplay], ["go2rtc source", made.go2rtc], ["Facts as JSON", JSON.stringify(facts, null, 2)]];
      this.links.replaceChildren(
        ...rows.filter(([, value]) => value).map(([what, value]) => this.link(what, value)),
        ...facts.links.map(({ title, url }) => el("li", {}, el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title))));
      this.say("links were made: they work on this machine while invoke watch runs");
    } catch (error) {
      this.say(`no links: ${error.message}`, "bad");
      button.disabled = false;
    }
  }

  link(what, value) {
    const words = el("span", {}, "Copy");
    const button = el("button", { class: "button", type: "button", "aria-label": `Copy: ${what}`, onclick: async () => {
      try {
        await navigator.clipboard.writeText(value);
        setText(words, "Copied");
        this.announce(`${what} is copied`);
      } catch { this.say("the browser did not allow to copy", "bad"); }
      setTimeout(() => setText(words, "Copy"), 2000);
    } }, icon("copy"), words);
    return el("li", {}, el("span", {}, el("span", { class: "what" }, what), el("span", { class: "value", title: value }, value.replace(/\s+/g, " ").slice(0, 200))), button);
  }

  close() {
    this.timers.forEach(clearInterval);
    this.player.halt();
    this.stage.clear();
    this.node.replaceChildren();
  }
}

function card(title, ...children) { return el("section", { class: "card", "aria-label": title }, el("h3", {}, title), ...children); }
