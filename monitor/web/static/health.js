// Health: the monitor, its cameras, and this page.

import { api, el, failure, lasting, stateChip, timeOf } from "./parts.js";

const EVERY_MS = 5000;
const LINKS = { connected: "fine", connecting: "waiting" };
const HISTORY = { complete: "complete", loading: "loading", unavailable: "the monitor keeps no journal" };

function fact(name, ...value) {
  return [el("dt", {}, name), el("dd", {}, ...value)];
}

export async function health(main) {
  const monitor = el("dl", { class: "facts" });
  const rows = el("tbody");
  const own = el("dl", { class: "facts" });
  const wrong = el("div");
  main.append(el("h1", {}, "Health"), wrong,
    el("section", { class: "card", "aria-label": "Monitor" }, el("h2", {}, "Monitor"), monitor),
    el("section", { class: "card", "aria-label": "Cameras" }, el("h2", {}, "Cameras"),
      el("div", { class: "wide" }, el("table", {},
        el("thead", {}, el("tr", {}, ["camera", "state", "for", "detail"].map((name) => el("th", { scope: "col" }, name)))), rows))),
    el("section", { class: "card", "aria-label": "This page" }, el("h2", {}, "This page"), own));

  async function load() {
    try {
      const now = await api("health");
      const link = now.monitor;
      monitor.replaceChildren(...[
        fact("state", el("span", { class: `chip ${LINKS[link.state] ?? "bad"}` }, link.state), " since ", timeOf(link.since)),
        fact("in words", link.sentence),
        fact("name", link.node || "–"),
        (link.monitors ?? []).map((each) => fact(each.node || "a monitor", `${each.state}: ${each.sentence}`)).flat(),
        fact("messages lost", String(link.lost_messages)),
        fact("messages that cannot be read", String(link.malformed_messages)),
      ].flat());
      rows.replaceChildren(...now.cameras.map((camera) => el("tr", {}, el("th", { scope: "row" }, camera.name),
        el("td", {}, stateChip(camera)), el("td", {}, camera.since === null ? "–" : lasting(Date.now() / 1000 - camera.since)),
        el("td", {}, camera.detail || "–"))));
      own.replaceChildren(...[
        fact("version", now.version),
        fact("events known", String(now.events)),
        fact("events from before its start", HISTORY[link.history] ?? link.history),
        fact("clips", now.evidence ? "from the evidence folder" : "none: start the monitor with --evidence FOLDER"),
        fact("browsers that look", String(now.viewers)),
        fact("browsers closed as too slow", String(now.slow_viewers)),
      ].flat());
      wrong.replaceChildren();
    } catch (error) {
      wrong.replaceChildren(failure(error));
    }
  }
  await load();
  const timer = setInterval(load, EVERY_MS);
  return {
    take(kind) { if (kind === "monitor" || kind === "camera" || kind === "refresh") load(); },
    close() { clearInterval(timer); },
  };
}
