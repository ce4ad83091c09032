// HLS: hls.js where the browser has Media Source, the browser's own player elsewhere.
import { post, remove } from "./api.js";
import { codecName, now } from "./dom.js";

const SETTINGS = {
  workerPath: "/lib/hls.worker.js",
  liveSyncDurationCount: 1,
  liveMaxLatencyDurationCount: 4,
  maxLiveSyncPlaybackRate: 1.5,
  backBufferLength: 30,
  maxBufferLength: 20,
};

export class HlsPlayback {
  constructor(video, camera, wanted, told) {
    this.video = video;
    this.camera = camera;
    this.wanted = wanted;
    this.told = told;
    this.bits = { bytes: 0, seconds: 0, rate: 0 };
    this.over = false;
  }

  async start() {
    this.told.log("asking the service for a playback");
    const opened = await post(`/api/hls/${this.camera.id}`, this.wanted);
    if (this.over) { remove(`/api/hls/${opened.session}`); return; }
    this.session = opened.session;
    if (window.Hls && window.Hls.isSupported()) this.withLibrary(opened.playlist);
    else if (this.video.canPlayType("application/vnd.apple.mpegurl")) this.withBrowser(opened.playlist);
    else throw new Error("this browser plays no HLS");
  }

  withLibrary(playlist) {
    const Hls = window.Hls;
    const hls = new Hls({ ...SETTINGS, startPosition: this.wanted.mode === "LIVE" ? -1 : 0 });
    this.hls = hls;
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      this.told.log(this.wanted.mode === "LIVE" ? "the live playlist is here" : "the playlist is here");
      this.video.play().catch(() => this.told.log("the browser waits for a click before it plays"));
    });
    hls.on(Hls.Events.FRAG_LOADED, (_, data) => this.count(data.frag));
    hls.on(Hls.Events.ERROR, (_, data) => this.failed(data));
    hls.attachMedia(this.video);
    hls.loadSource(playlist);
  }

  withBrowser(playlist) {
    this.video.addEventListener("error", () => this.told.failed("the browser's player gave up"), { once: true });
    this.video.src = playlist;
    this.video.play().catch(() => {});
  }

  count(part) {
    if (part.type !== "main" || !part.stats || !part.duration) return;
    this.bits.bytes = this.bits.bytes * 0.6 + part.stats.total;
    this.bits.seconds = this.bits.seconds * 0.6 + part.duration;
    this.bits.rate = (8 * this.bits.bytes) / this.bits.seconds;
  }

  failed(data) {
    if (!data.fatal) return;
    const status = data.response ? data.response.code : 0;
    if (data.type === window.Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
      this.recovered = true;
      this.told.log("the browser could not decode a part; trying once more", "bad");
      this.hls.recoverMediaError();
      return;
    }
    const words = status === 404 ? "no pictures arrive at the moment"
      : status === 410 ? "the service has ended this playback"
        : `the playback broke off (${data.details})`;
    this.told.failed(words);
  }

  stats() {
    const level = this.hls && this.hls.levels[Math.max(0, this.hls.currentLevel)];
    const quality = this.video.getVideoPlaybackQuality ? this.video.getVideoPlaybackQuality() : {};
    const audio = level && (level.audioCodec || (level.attrs && /mp4a[^,"]*/.exec(level.attrs.CODECS || "") || [])[0]);
    return {
      way: "HLS",
      codec: level && level.videoCodec ? codecName(level.videoCodec) : "",
      sound: audio ? codecName(audio) : "",
      width: this.video.videoWidth,
      height: this.video.videoHeight,
      bitrate: this.bits.rate,
      frames: quality.totalVideoFrames || 0,
      dropped: quality.droppedVideoFrames || 0,
      at: this.hls && this.hls.playingDate ? this.hls.playingDate.getTime() / 1000 : null,
      behind: this.hls && this.hls.playingDate ? now() - this.hls.playingDate.getTime() / 1000 : null,
      buffered: this.video.buffered.length
        ? this.video.buffered.end(this.video.buffered.length - 1) - this.video.currentTime : 0,
    };
  }

  stop() {
    this.over = true;
    if (this.hls) this.hls.destroy();
    this.video.removeAttribute("src");
    this.video.load();
    if (this.session) remove(`/api/hls/${this.session}`);
  }
}
