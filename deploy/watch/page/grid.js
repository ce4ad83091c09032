// The tiles: a still each, live while they are on the screen where that is wanted.
import { el, now, setText, spanOf, timeOfDay } from "./dom.js";
import { Player, Stage } from "./player.js";

const STILL_EVERY = 15;
const STATES = { live: "Live", offline: "Offline", channel: "Channel" };

export class Grid {
  constructor(node) {
    this.node = node;
    this.tiles = new Map();
    this.live = false;
    this.awake = true;
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const tile = this.tiles.get(entry.target.dataset.camera);
        if (tile) { tile.visible = entry.isIntersecting; tile.settle(); }
      }
    }, { threshold: 0.15 });
  }

  update(cameras) {
    this.node.removeAttribute("aria-busy");
    this.node.dataset.few = cameras.length;
    const there = new Set(cameras.map((camera) => camera.id));
    for (const [id, tile] of this.tiles) {
      if (!there.has(id)) { tile.remove(); this.seen.unobserve(tile.node); this.tiles.delete(id); }
    }
    for (const [at, camera] of cameras.entries()) {
      let tile = this.tiles.get(camera.id);
      if (!tile) {
        tile = new Tile(this, camera);
        this.tiles.set(camera.id, tile);
        this.seen.observe(tile.node);
      }
      if (this.node.children[at] !== tile.node) this.node.insertBefore(tile.node, this.node.children[at] || null);
      tile.update(camera);
    }
  }

  setLive(yes) { this.live = yes; this.settle(); }
  setAwake(yes) { this.awake = yes; this.settle(); }
  settle() { for (const tile of this.tiles.values()) tile.settle(); }
  tick() { for (const tile of this.tiles.values()) tile.measure(); }
}

class Tile {
  constructor(grid, camera) {
    this.grid = grid;
    this.camera = camera;
    this.visible = false;
    this.stage = new Stage(`Picture of ${camera.name}`);
    this.player = new Player(this.stage, camera, { log: () => {}, state: () => {} });
    this.name = el("bdi", { class: "name", title: camera.name }, camera.name);
    this.mark = el("span", { class: "mark" });
    this.when = el("span", { class: "when" });
    this.node = el("a", { class: "tile", href: `#/camera/${camera.id}`, "data-camera": camera.id },
      this.stage.node, el("span", { class: "caption" }, this.name, this.mark, this.when));
    this.stillAt = 0;
  }

  update(camera) {
    const came = camera.state === "live" && this.camera.state !== "live";
    this.camera = camera;
    Object.assign(this.player.camera, camera);
    this.mark.dataset.state = camera.state;
    setText(this.mark, STATES[camera.state]);
    this.stage.node.classList.toggle("offline", camera.state === "offline");
    setText(this.stage.words, camera.note || (camera.stream ? "no picture yet" : "a channel: open it to see who is there"));
    this.tell();
    this.settle(came);
  }

  async measure() {
    const seen = this.visible ? await this.player.stats() : null;
    this.behind = seen ? seen.behind : null;
    this.tell();
  }

  tell() {
    const { camera } = this;
    let words = camera.note || "waiting for the first fragment";
    if (camera.state === "channel") words = "WebRTC, on demand";
    else if (camera.state === "live") {
      const played = this.player.playback && this.stage.node.classList.contains("moving") ? this.behind : null;
      const behind = played ?? now() - camera.end;
      words = `${spanOf(behind)} behind · last fragment ${timeOfDay(camera.last)}`;
    } else if (camera.last) words = `last fragment ${spanOf(now() - camera.last)} ago`;
    setText(this.when, words);
  }

  settle(came = false) {
    const wanted = this.visible && this.grid.awake;
    const live = wanted && this.grid.live && this.camera.state !== "offline" && (this.camera.stream || this.grid.tiles.size <= 4);
    if (live && !this.player.running) this.player.play();
    if (!live && this.player.running) this.player.halt();
    if (wanted && this.camera.stream && (this.camera.last || came) && (came || Date.now() - this.stillAt > STILL_EVERY * 1000)
      && !this.stage.node.classList.contains("moving")) {
      this.stillAt = Date.now();
      this.player.still();
    }
  }

  remove() {
    this.player.halt();
    this.stage.clear();
    this.node.remove();
  }
}
