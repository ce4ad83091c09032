// WebRTC as a viewer of a signaling channel; the messages are the service's own, its signature stays in the server.

const ANSWER = 5000;
const CONNECTION = 10000;
const KEPT = ["video/h264", "video/vp8", "video/h265", "video/rtx"];

export class RtcPlayback {
  constructor(video, camera, wanted, told) {
    this.video = video;
    this.camera = camera;
    this.relayOnly = Boolean(wanted.relayOnly);
    this.told = told;
    this.early = [];
    this.before = null;
    this.over = false;
  }

  async start() {
    this.told.log("connecting to the channel");
    this.socket = new WebSocket(`ws://${location.host}/ws/${this.camera.id}`);
    this.socket.addEventListener("message", (event) => this.heard(JSON.parse(event.data)).catch((error) => {
      this.told.failed(`the camera's answer cannot be used (${error.message})`);
    }));
    this.socket.addEventListener("close", () => {
      if (!this.connected && !this.over) this.told.failed("the signaling connection was closed before pictures came");
    });
    this.timer = setTimeout(() => { if (!this.answered) this.told.failed("no camera answers on this channel"); }, ANSWER);
  }

  async heard(message) {
    if (this.over) return;
    const kind = message.messageType;
    if (kind === "ICE_SERVERS") return this.offer(message.servers);
    if (kind === "PAGE_NOTE") return this.note(message);
    if (kind === "STATUS_RESPONSE") return this.told.log(`the service says: ${message.statusResponse.description || message.statusResponse.errorType}`, "bad");
    if (kind === "GO_AWAY" || kind === "RECONNECT_ICE_SERVER") {
      if (!this.connected) this.told.failed("the service asks to connect again");
      return undefined;
    }
    const payload = JSON.parse(atob(message.messagePayload));
    if (kind === "SDP_ANSWER" && !this.answered) {
      this.answered = true;
      this.told.log("the camera answered");
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        if (!this.connected) this.told.failed("the camera answered, but no way to it was found");
      }, CONNECTION);
      await this.peer.setRemoteDescription({ type: "answer", sdp: payload.sdp });
      for (const candidate of this.early.splice(0)) await this.add(candidate);
    } else if (kind === "ICE_CANDIDATE") {
      if (this.answered && this.peer.remoteDescription) await this.add(payload);
      else if (this.early.length < 200) this.early.push(payload);
    }
    return undefined;
  }

  async add(candidate) {
    try { await this.peer.addIceCandidate(candidate); }
    catch { this.told.log("a candidate of the camera cannot be used"); }
  }

  note(message) {
    if (message.code === "SignalingClosed" && this.connected) return this.told.log(message.words);
    if (message.code === "NotSent" || message.code === "TooMany") return this.told.log(message.words, "bad");
    return this.told.failed(message.words);
  }

  async offer(servers) {
    const peer = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: this.relayOnly ? "relay" : "all" });
    this.peer = peer;
    const stream = new MediaStream();
    peer.addEventListener("track", (event) => {
      stream.addTrack(event.track);
      if (this.video.srcObject !== stream) this.video.srcObject = stream;
      this.video.play().catch(() => {});
    });
    peer.addEventListener("icecandidate", (event) => { if (event.candidate) this.send("ICE_CANDIDATE", event.candidate.toJSON()); });
    peer.addEventListener("connectionstatechange", () => this.changed(peer.connectionState));
    const video = peer.addTransceiver("video", { direction: "recvonly" });
    peer.addTransceiver("audio", { direction: "recvonly" });
    const known = (RTCRtpReceiver.getCapabilities("video") || { codecs: [] }).codecs;
    const some = known.filter((codec) => KEPT.includes(codec.mimeType.toLowerCase()));
    // The service takes messages up to 10 000 letters; a browser's full list of codecs comes near that.
    if (some.length && video.setCodecPreferences) video.setCodecPreferences(some);
    await peer.setLocalDescription(await peer.createOffer());
    this.send("SDP_OFFER", { type: "offer", sdp: peer.localDescription.sdp });
    this.told.log(`an offer was sent; ${servers.length} server${servers.length === 1 ? "" : "s"} help to find a way`);
  }

  send(action, payload) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ action, messagePayload: btoa(JSON.stringify(payload)) }));
  }

  changed(state) {
    if (this.over) return;
    if (state === "connected") {
      this.connected = true;
      clearTimeout(this.lost);
      this.told.log("connected to the camera");
    } else if (state === "failed") this.told.failed("the connection to the camera was lost");
    else if (state === "disconnected") this.lost = setTimeout(() => this.told.failed("the camera went away"), 4000);
  }

  async stats() {
    const seen = { way: "WebRTC", codec: "", sound: "", width: this.video.videoWidth, height: this.video.videoHeight, frames: 0, dropped: 0, bitrate: 0, behind: null, pair: "", at: null };
    if (!this.peer) return seen;
    const reports = await this.peer.getStats();
    for (const report of reports.values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") this.video_stats(seen, report, reports);
      if (report.type === "inbound-rtp" && report.kind === "audio" && report.bytesReceived) seen.sound = named(reports.get(report.codecId));
      if (report.type === "transport" && report.selectedCandidatePairId) pair(seen, reports.get(report.selectedCandidatePairId), reports);
    }
    return seen;
  }

  video_stats(seen, report, reports) {
    seen.codec = named(reports.get(report.codecId));
    seen.frames = report.framesDecoded || 0;
    seen.dropped = report.framesDropped || 0;
    seen.fps = report.framesPerSecond;
    seen.lost = report.packetsLost;
    const held = report.jitterBufferEmittedCount ? report.jitterBufferDelay / report.jitterBufferEmittedCount : 0;
    seen.held = held;
    if (this.before) seen.bitrate = (8000 * (report.bytesReceived - this.before.bytes)) / Math.max(1, report.timestamp - this.before.at);
    if (!this.before || report.timestamp - this.before.at > 900) this.before = { bytes: report.bytesReceived, at: report.timestamp };
  }

  stop() {
    this.over = true;
    clearTimeout(this.timer);
    clearTimeout(this.lost);
    if (this.peer) this.peer.close();
    if (this.socket) this.socket.close();
    this.video.srcObject = null;
  }
}

function named(codec) {
  if (!codec) return "";
  const word = codec.mimeType.split("/")[1];
  const profile = /profile-level-id=([0-9a-f]{2})/i.exec(codec.sdpFmtpLine || "");
  const names = { "42": "Baseline", "4d": "Main", "64": "High" };
  const shown = word === "H264" ? "H.264" : word === "H265" ? "H.265" : word === "opus" ? "Opus" : word;
  return profile ? `${shown} ${names[profile[1].toLowerCase()] || ""}`.trim() : shown;
}

function pair(seen, chosen, reports) {
  if (!chosen) return;
  const ours = reports.get(chosen.localCandidateId), theirs = reports.get(chosen.remoteCandidateId);
  if (ours && theirs) seen.pair = `${ours.candidateType} to ${theirs.candidateType}, ${ours.protocol.toUpperCase()}`;
  if (chosen.currentRoundTripTime !== undefined) {
    seen.roundtrip = chosen.currentRoundTripTime;
    seen.behind = (seen.held || 0) + chosen.currentRoundTripTime / 2;
  }
}
