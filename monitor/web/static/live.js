// Live: one card per camera, with its picture, state, score, the curve of the last minute, and its last event.

import { api, el, failure, scoreText, stateChip, timeOf } from "./parts.js";
import { addCamera } from "./addcamera.js";
import { cameraView } from "./camera.js";
import { curve, detailOf, takeScores } from "./curve.js";
import { feed, paint } from "./feed.js";

const OLD_MS = 5000; // a picture that is older is marked
const SETUP_MS = 5000; // how often the progress of learning is asked for

// A card is made once and then changed in place: a tap must not meet a card that has just been replaced.
function card(name) {
  const canvas = el("canvas", { width: 16, height: 9, role: "img", "aria-label": `live picture of ${name}` });
  const note = el("span", { class: "note" }, "no live picture yet");
  const parts = {
    chip: el("span"), score: el("p", { class: "number" }), curve: el("div"), progress: el("progress", { max: 1, hidden: true, "aria-label": "learned so far" }),
    detail: el("p", { class: "detail" }), last: el("div"),
  };
  const node = el("article", { class: "card", "data-camera": name, "aria-label": `camera ${name}` },
    el("a", { class: "view", href: `/#${encodeURIComponent(name)}`, "aria-label": `${name}, large` }, canvas, note),
    el("div", { class: "row" }, el("h2", {}, name), parts.chip),
    el("div", { class: "row" }, parts.score, el("p", { class: "muted" }, "score; threshold 1.00")),
    parts.curve, parts.progress, parts.detail, parts.last);
  let event = "";
  return {
    node, canvas, note, seenAt: 0,
    update(camera, last, setup) {
      node.className = `card ${camera.mood}`;
      parts.chip.replaceChildren(stateChip(camera));
      parts.score.textContent = scoreText(camera.score);
      parts.score.classList.toggle("above", camera.score !== null && camera.score >= camera.threshold);
      parts.curve.replaceChildren(curve(camera.curve));
      const learning = camera.state === "learning" && setup?.learning; // what was asked for is some seconds old
      parts.progress.hidden = !learning;
      if (learning) parts.progress.value = learning.share;
      parts.detail.textContent = learning ? `${learning.said}: ${detailOf(camera)}` : detailOf(camera);
      const now = last ? `${last.id} ${last.open} ${last.sentence} ${last.picture} ${last.heat}` : "";
      if (now === event) return;
      event = now;
      parts.last.replaceChildren(el("a", { class: "last", href: `/review#${last.id}` },
        last.picture || last.heat ? el("img", { src: `/api/v1/events/${last.id}/${last.picture ? "picture" : "heat"}`, alt: "", loading: "lazy" }) : "",
        el("span", {}, last.open ? "event now, since " : "last event ", timeOf(last.started_at), el("br"), last.sentence)));
    },
  };
}

export async function live(main) {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted) return cameraView(main, wanted);
  const grid = el("section", { class: "grid", "aria-label": "Cameras" });
  const summary = el("p", { class: "muted" });
  const problem = el("p", { class: "notice", role: "status", hidden: true });
  let refusals = []; // of the monitors that can open no camera
  const add = el("button", { type: "button", hidden: true, onclick: () => addCamera(refusals) }, "Add a camera");
  const cannot = el("p", { class: "muted", hidden: true });
  main.append(el("div", { class: "row" }, el("h1", {}, "Live"), add), summary, cannot, problem, grid);
  let cameras = new Map();
  let setups = new Map(); // camera -> what is set for it
  const events = new Map(); // camera -> its last event
  const cards = new Map();
  const onScreen = new Set();
  let looking = 0;

  const pictures = feed((name, bitmap) => {
    const shown = cards.get(name);
    if (!shown) return;
    paint(shown.canvas, bitmap);
    shown.seenAt = performance.now();
    shown.note.hidden = true;
  }, (sentence) => {
    problem.textContent = sentence && `No live pictures: ${sentence}`;
    problem.hidden = !sentence;
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) onScreen[entry.isIntersecting ? "add" : "delete"](entry.target.dataset.camera);
    clearTimeout(looking);
    looking = setTimeout(() => pictures.see([...cameras.keys()].filter((name) => onScreen.has(name))), 100);
  });

  function draw(name) {
    if (!cards.has(name)) {
      cards.set(name, card(name));
      grid.append(cards.get(name).node);
      watcher.observe(cards.get(name).node);
    }
    cards.get(name).update(cameras.get(name), events.get(name), setups.get(name));
  }

  function drawAll(list) {
    cameras = new Map(list.map((camera) => [camera.name, camera]));
    for (const [name, gone] of cards) {
      if (cameras.has(name)) continue;
      watcher.unobserve(gone.node);
      gone.node.remove();
      cards.delete(name);
      onScreen.delete(name);
    }
    for (const name of cameras.keys()) draw(name);
    for (const name of cameras.keys()) if (grid.children[[...cameras.keys()].indexOf(name)] !== cards.get(name).node) grid.append(cards.get(name).node);
    sum();
  }

  function sum() {
    const all = [...cameras.values()];
    const bad = all.filter((camera) => camera.mood === "bad" || camera.mood === "gone").length;
    const now = all.filter((camera) => events.get(camera.name)?.open).map((camera) => camera.name);
    summary.textContent = all.length === 0 ? "No camera is known yet: the monitor has told of none."
      : `${all.length} ${all.length === 1 ? "camera" : "cameras"}, ${bad === 0 ? "none with a problem" : `${bad} with a problem`}${now.length ? `; event now: ${now.join(", ")}` : ""}.`;
  }

  async function load() {
    const [list, page] = await Promise.all([api("cameras"), api("events?limit=100")]);
    for (const event of page.events) if (!events.has(event.camera)) events.set(event.camera, event);
    drawAll(list);
  }

  async function progress() {
    if (![...cameras.values()].some((camera) => camera.state === "learning")) {
      if (setups.size) {
        setups = new Map();
        for (const name of cameras.keys()) draw(name);
      }
      return;
    }
    try {
      setups = new Map((await api("setup")).cameras.map((each) => [each.name, each]));
      for (const name of cameras.keys()) draw(name);
    } catch { /* the states on the cards say what is known */ }
  }

  async function offer() { // nothing is offered that the monitor would refuse
    if ((await api("session")).role !== "operator") return;
    const monitors = await api("setup").then((found) => found.monitors, () => []);
    refusals = monitors.filter((each) => each.why_not_opened);
    const none = monitors.length > 0 && refusals.length === monitors.length;
    add.hidden = none;
    cannot.hidden = !none;
    if (none) cannot.textContent = `No camera can be added here: ${refusals[0].why_not_opened}.`;
  }

  const age = setInterval(() => {
    for (const shown of cards.values()) {
      const old = performance.now() - shown.seenAt > OLD_MS;
      shown.node.classList.toggle("stale", old && shown.seenAt > 0);
      if (old && shown.seenAt > 0) {
        shown.note.textContent = "picture of before";
        shown.note.hidden = false;
      }
    }
  }, 1000);
  const asking = setInterval(progress, SETUP_MS);

  try {
    await load();
    progress();
    offer().catch(() => {});
  } catch (error) {
    main.append(failure(error));
  }
  return {
    again() {
      load().catch(() => {});
      offer().catch(() => {}); // another monitor may have come
    },
    close() {
      clearInterval(age);
      clearInterval(asking);
      clearTimeout(looking);
      watcher.disconnect();
      pictures.close();
    },
    take(kind, data) {
      if (kind === "cameras") drawAll(data);
      else if (kind === "camera") {
        const known = cameras.has(data.name);
        cameras.set(data.name, data);
        if (known) draw(data.name);
        else drawAll([...cameras.values()].sort((a, b) => (a.name < b.name ? -1 : 1)));
        sum();
      } else if (kind === "scores") {
        for (const [name, fresh] of Object.entries(data)) {
          const camera = cameras.get(name);
          if (!camera) continue;
          takeScores(camera, fresh);
          draw(name);
        }
      } else if (kind === "alert") {
        const before = events.get(data.camera);
        if (!before || before.started_at <= data.started_at) events.set(data.camera, data);
        if (cameras.has(data.camera)) draw(data.camera);
        sum();
      } else if (kind === "refresh") load().catch(() => {});
    },
  };
}
