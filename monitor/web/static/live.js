// Live: one card per camera, with state, score, threshold, the curve of the last minute, and its last event.

import { api, el, failure, lasting, scoreText, stateChip, svg, timeOf } from "./parts.js";

const MINUTE_S = 60;
const WIDTH = 300;
const HEIGHT = 64;
const LEAST_TOP = 1.6; // of the score's axis: the threshold, 1, stands well below the top

function curve(points) {
  const last = points.length ? points[points.length - 1][0] : 0;
  const near = points.filter(([at]) => at >= last - MINUTE_S);
  const top = Math.max(LEAST_TOP, ...near.map(([, score]) => score * 1.1));
  const x = (at) => WIDTH - ((last - at) / MINUTE_S) * WIDTH;
  const y = (score) => HEIGHT - 2 - (Math.max(0, score) / top) * (HEIGHT - 4);
  const line = near.map(([at, score]) => `${x(at).toFixed(1)},${y(score).toFixed(1)}`).join(" ");
  const highest = near.length ? Math.max(...near.map(([, score]) => score)) : null;
  const label = highest === null ? "no score in the last minute" : `score of the last minute, highest ${highest.toFixed(2)}, threshold 1`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "curve", preserveAspectRatio: "none" },
    svg("line", { x1: 0, x2: WIDTH, y1: y(1), y2: y(1), class: "threshold" }),
    svg("polyline", { points: line, class: "score" }));
}

function card(camera, event) {
  const above = camera.score !== null && camera.score >= camera.threshold;
  return el("article", { class: `card ${camera.mood}`, "data-camera": camera.name, "aria-label": `camera ${camera.name}` },
    el("div", { class: "row" }, el("h2", {}, camera.name), stateChip(camera)),
    el("div", { class: "row" },
      el("p", { class: above ? "number above" : "number" }, scoreText(camera.score)),
      el("p", { class: "muted" }, "score; threshold 1.00")),
    curve(camera.curve),
    el("p", { class: "detail" }, camera.detail || (camera.since === null ? "" : `for ${lasting(Date.now() / 1000 - camera.since)}`)),
    event && el("a", { class: "last", href: `/review#${event.id}` },
      event.picture || event.heat
        ? el("img", { src: `/api/v1/events/${event.id}/${event.picture ? "picture" : "heat"}`, alt: "", loading: "lazy" }) : "",
      el("span", {}, event.open ? "event now, since " : "last event ", timeOf(event.started_at), el("br"), event.sentence)));
}

export async function live(main) {
  const grid = el("section", { class: "grid", "aria-label": "Cameras" });
  const summary = el("p", { class: "muted" });
  main.append(el("h1", {}, "Live"), summary, grid);
  let cameras = new Map();
  const events = new Map(); // camera -> its last event

  function draw(name) {
    const camera = cameras.get(name);
    const made = card(camera, events.get(name));
    const old = [...grid.children].find((each) => each.dataset.camera === name);
    if (old) {
      const picture = old.querySelector("img");
      const next = made.querySelector("img");
      if (picture && next && picture.src === next.src) next.replaceWith(picture); // it need not be loaded again
      const focused = old.contains(document.activeElement);
      old.replaceWith(made);
      if (focused) made.querySelector("a")?.focus();
    } else grid.append(made);
  }

  function drawAll(list) {
    const before = cameras;
    cameras = new Map(list.map((camera) => [camera.name, camera]));
    if ([...before.keys()].join("/") !== [...cameras.keys()].join("/")) grid.replaceChildren();
    for (const name of cameras.keys()) draw(name);
    sum();
  }

  function sum() {
    const all = [...cameras.values()];
    const bad = all.filter((camera) => camera.mood === "bad" || camera.mood === "gone").length;
    summary.textContent = all.length === 0 ? "No camera is known yet: the monitor has told of none."
      : `${all.length} ${all.length === 1 ? "camera" : "cameras"}, ${bad === 0 ? "nothing wrong" : `${bad} with a problem`}.`;
  }

  async function load() {
    const [list, page] = await Promise.all([api("cameras"), api("events?limit=100")]);
    for (const event of page.events) if (!events.has(event.camera)) events.set(event.camera, event);
    drawAll(list);
  }

  try {
    await load();
  } catch (error) {
    main.append(failure(error));
  }
  return {
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
          camera.score = fresh.score;
          const first = fresh.points[0][0];
          camera.curve = [...camera.curve.filter(([at]) => at < first), ...fresh.points].filter(([at]) => at >= fresh.at - MINUTE_S);
          draw(name);
        }
      } else if (kind === "alert") {
        const before = events.get(data.camera);
        if (!before || before.started_at <= data.started_at) events.set(data.camera, data);
        if (cameras.has(data.camera)) draw(data.camera);
      } else if (kind === "refresh") load().catch(() => {});
    },
  };
}
