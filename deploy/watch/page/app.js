// The page as a whole: which cameras there are, which one is open, whether anybody looks.
import { get } from "./api.js";
import { now, setServerTime, setText, timeOfDay } from "./dom.js";
import { Grid } from "./grid.js";
import { View } from "./view.js";

const EVERY = 3000;
const HIDDEN_GRACE = 3000;
const $ = (id) => document.getElementById(id);
const grid = new Grid($("grid"));
let cameras = [], view = null, about = { local: true }, opened = false, asleep = null;

function announce(words) { setText($("announce"), words); }

function route() {
  const found = /^#\/camera\/([0-9a-f]{16})$/.exec(location.hash);
  const camera = found && cameras.find((one) => one.id === found[1]);
  if (view && (!camera || view.camera.id !== camera.id)) { view.close(); view = null; }
  $("view").hidden = !camera;
  $("grid").hidden = Boolean(camera);
  $("empty").hidden = Boolean(camera) || cameras.length > 0 || $("grid").hasAttribute("aria-busy");
  if (camera && !view) {
    view = new View($("view"), { ...camera }, announce);
    document.title = `${camera.name} · Boardcast`;
    view.title.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    if (!document.hidden) view.resume();
  } else if (!camera) document.title = "Boardcast cameras";
  grid.setAwake(!camera && !document.hidden);
}

async function look() {
  try {
    const told = await get("/api/cameras");
    setServerTime(told.now);
    cameras = told.cameras;
    $("banner").hidden = true;
  } catch (error) {
    setText($("banner"), error.message.charAt(0).toUpperCase() + error.message.slice(1));
    $("banner").hidden = false;
    return;
  }
  grid.update(cameras);
  const live = cameras.filter((one) => one.state === "live").length;
  const streams = cameras.filter((one) => one.stream).length;
  setText($("count"), cameras.length ? `${live} of ${streams} stream${streams === 1 ? "" : "s"} live` : "");
  if (!opened && cameras.length === 1 && !location.hash) location.replace(`#/camera/${cameras[0].id}`);
  opened = true;
  if (view) { const fresh = cameras.find((one) => one.id === view.camera.id); if (fresh) view.update(fresh); }
  route();
}

function tick() {
  setText($("clock"), timeOfDay(now()));
  grid.tick();
}

function looked() {
  clearTimeout(asleep);
  if (document.hidden) {
    asleep = setTimeout(() => { grid.setAwake(false); if (view) view.rest(); }, HIDDEN_GRACE);
  } else {
    look();
    if (view) view.resume();
    else grid.setAwake(true);
  }
}

function rememberLive(yes) {
  try { localStorage.setItem("live-tiles", yes ? "yes" : "no"); } catch { /* the browser keeps nothing: so be it */ }
}

function wantsLive() {
  let kept = null;
  try { kept = localStorage.getItem("live-tiles"); } catch { /* the same */ }
  // Each live tile of AWS costs; and who asks for less motion gets stills.
  return kept ? kept === "yes" : about.local && !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

async function begin() {
  try { about = await get("/api/about"); } catch { /* look() tells it */ }
  setText($("where"), about.local ? `Local service · ${about.region || ""}` : `AWS · ${about.region}${about.profile ? ` · ${about.profile}` : ""}`);
  $("live-tiles").checked = wantsLive();
  grid.setLive($("live-tiles").checked);
  $("live-tiles").addEventListener("change", (event) => { rememberLive(event.target.checked); grid.setLive(event.target.checked); });
  addEventListener("hashchange", () => { route(); if (!view) $("main").focus({ preventScroll: true }); });
  document.addEventListener("visibilitychange", looked);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && view && !document.fullscreenElement) location.hash = "#/"; });
  setInterval(tick, 1000);
  setInterval(() => { if (!document.hidden) look(); }, EVERY);
  await look();
  tick();
}

begin();
