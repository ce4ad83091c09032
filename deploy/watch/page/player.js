// One picture with a camera behind it: a still first, then live, by the best way that works; again after a break.
import { el, icon, setText } from "./dom.js";
import { HlsPlayback } from "./playhls.js";
import { RtcPlayback } from "./playrtc.js";
import { blob } from "./api.js";

const WAITS = [1, 2, 4, 8, 15, 30];
const STILL_SECONDS = 5;
const STALLED = 12;
const BETTER = [30, 60, 120, 300]; // seconds of stills before a moving picture is tried once more
const NAMES = { webrtc: "WebRTC", hls: "HLS", stills: "Stills" };

export class Stage {
  constructor(label) {
    this.image = el("img", { alt: label, decoding: "async" });
    this.video = el("video", { playsinline: true, "aria-label": label });
    this.video.muted = true;
    this.badge = el("span", { class: "badge" });
    this.notice = el("p", { class: "notice" });
    this.words = el("span", {}, "no picture yet");
    this.node = el("div", { class: "stage" }, this.image, this.video,
      el("div", { class: "blank" }, icon("camera"), this.words), this.badge, this.notice);
  }

  show(picture) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(picture);
    this.image.src = this.url;
    this.node.classList.add("pictured");
  }

  moving(yes) { this.node.classList.toggle("moving", yes); }

  clear() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }
}

export class Player {
  constructor(stage, camera, told) {
    this.stage = stage;
    this.camera = camera;
    this.told = told;
    this.way = "auto";
    this.wanted = { mode: "LIVE" };
    this.tries = 0;
    this.skip = new Set();
    this.running = false;
    this.stage.video.addEventListener("playing", () => this.moves());
    this.stage.video.addEventListener("ended", () => { if (this.running) this.told.state("ended"); });
  }

  ways() {
    if (this.wanted.mode !== "LIVE") return ["hls"];
    if (this.way !== "auto") return [this.way];
    const there = [];
    if (this.camera.channel && window.RTCPeerConnection) there.push("webrtc");
    if (this.camera.stream) there.push("hls", "stills");
    const left = there.filter((way) => !this.skip.has(way));
    return left.length ? left : there;
  }

  play(wanted = { mode: "LIVE" }, way = this.way) {
    this.halt();
    this.wanted = wanted;
    this.way = way;
    this.skip.clear();
    this.tries = 0;
    this.rises = 0;
    this.running = true;
    this.begin();
  }

  begin() {
    const way = this.ways()[0];
    this.current = way;
    setText(this.stage.badge, way === "stills" ? NAMES[way] : "Connecting");
    this.told.state("connecting");
    if (way === "stills") return this.stills();
    const Kind = way === "webrtc" ? RtcPlayback : HlsPlayback;
    const told = { log: (words, level) => this.told.log(words, level), failed: (words) => this.failed(made, words) };
    const made = new Kind(this.stage.video, this.camera, this.wanted, told);
    this.playback = made;
    this.stalledAt = { time: -1, since: Date.now() };
    this.watch = setInterval(() => this.check(made), 1000);
    return made.start().catch((error) => this.failed(made, error.message));
  }

  moves() {
    if (!this.running || !this.playback) return;
    this.stage.moving(true);
    setText(this.stage.badge, NAMES[this.current]);
    setText(this.stage.notice, "");
    this.tries = 0;
    this.rises = 0;
    this.told.state("playing");
    this.told.log(`playing by ${NAMES[this.current]}`);
  }

  // A player that says nothing and shows nothing new is one that failed.
  check(playback) {
    const video = this.stage.video;
    if (playback !== this.playback || video.paused || video.ended) return;
    if (video.currentTime !== this.stalledAt.time) this.stalledAt = { time: video.currentTime, since: Date.now() };
    else if (Date.now() - this.stalledAt.since > STALLED * 1000) this.failed(playback, "no new picture for a while");
  }

  failed(playback, words) {
    if (!this.running || playback !== this.playback) return;
    this.drop();
    this.told.log(words, "bad");
    if (this.way === "auto" && this.wanted.mode === "LIVE" && this.ways().length > 1) {
      this.skip.add(this.current);
      this.told.log(`trying ${NAMES[this.ways()[0]]} instead`);
      this.begin();
      return;
    }
    const seconds = WAITS[Math.min(this.tries, WAITS.length - 1)] * (0.85 + 0.3 * Math.random());
    this.tries += 1;
    this.skip.clear();
    setText(this.stage.notice, `${words}; again in ${Math.ceil(seconds)} s`);
    this.told.state("waiting");
    this.timer = setTimeout(() => { setText(this.stage.notice, ""); this.begin(); }, seconds * 1000);
  }

  async stills() {
    const mine = (this.asking = {});
    const since = Date.now();
    while (this.running && this.asking === mine) {
      await this.still();
      if (this.asking !== mine) return;
      this.told.state("stills");
      if (this.rise(since)) return;
      await new Promise((done) => { this.timer = setTimeout(done, STILL_SECONDS * 1000); });
    }
  }

  // Who fell back to stills by itself was refused or too late; neither need last.
  rise(since) {
    const seconds = BETTER[Math.min(this.rises, BETTER.length - 1)];
    if (!this.skip.size || Date.now() - since < seconds * 1000) return false;
    this.rises += 1;
    this.skip.clear();
    this.drop();
    this.told.log("trying a moving picture again");
    this.begin();
    return true;
  }

  async still() {
    if (!this.camera.stream) return;
    try {
      this.stage.show(await blob(`/api/still/${this.camera.id}`));
    } catch (error) {
      setText(this.stage.words, error.message);
    }
  }

  drop() {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    this.asking = null;
    if (this.playback) {
      this.playback.stop();
      this.playback = null;
    }
    this.stage.moving(false);
  }

  halt() {
    this.running = false;
    this.drop();
    setText(this.stage.badge, "");
    setText(this.stage.notice, "");
    this.told.state("stopped");
  }

  async stats() { return this.playback ? this.playback.stats() : null; }
}
