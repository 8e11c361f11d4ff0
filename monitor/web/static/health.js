// Health: the monitor, its cameras, and this page.

import { api, change, el, failure, lasting, stateChip, timeOf } from "./parts.js";
import { sure } from "./ask.js";

const EVERY_MS = 5000;
const LINKS = { connected: "fine", connecting: "waiting" };
const HISTORY = { complete: "complete", loading: "loading", unavailable: "the monitor keeps no journal" };

function fact(name, ...value) {
  return [el("dt", {}, name), el("dd", {}, ...value)];
}

function version(one) {
  const learned = Date.parse(one.learned_at);
  return el("li", { class: "row start" }, el("b", {}, one.version), one.used ? el("span", { class: "chip fine" }, "used now") : "",
    el("span", { class: "muted" }, Number.isNaN(learned) ? "cannot be read" : ["learned ", timeOf(learned / 1000)], one.learned_on ? `: ${one.learned_on}` : ""));
}

// The versions of each camera's model, and the way back to the one before the newest.
function models() {
  const list = el("div");
  const said = el("p", { class: "said", role: "status" });
  const section = el("section", { class: "card", "aria-label": "Models", hidden: true }, el("h2", {}, "Models"), said, list);
  let operator = false;
  let busy = false;

  async function back(camera) {
    const [now, before] = camera.versions;
    const question = `Watch ${camera.name} with version ${before.version} from now on? Version ${now.version} is set aside. Open events of this camera end.`;
    if (busy || !await sure(question, `Go back to ${before.version}`)) return;
    busy = true;
    said.classList.remove("bad");
    said.textContent = "The monitor is asked ...";
    try {
      said.textContent = (await change(`cameras/${encodeURIComponent(camera.name)}/rollback`, "POST")).said;
    } catch (error) {
      said.textContent = error.message;
      said.classList.add("bad");
    }
    busy = false;
    await load();
  }

  function card(camera) {
    if (camera.versions.length === 0) return "";
    return el("div", { class: "model" }, el("h3", {}, camera.name), el("ul", { class: "plain" }, camera.versions.map(version)),
      camera.why_not ? el("p", { class: "muted" }, `${camera.why_not}.`)
        : operator && el("button", { type: "button", onclick: () => back(camera) }, `Go back to ${camera.versions[1].version}`));
  }

  async function load() {
    try {
      const [found, who] = await Promise.all([api("versions"), api("session")]);
      operator = who.role === "operator";
      if (list.contains(document.activeElement) && busy) return;
      list.replaceChildren(...found.cameras.map(card).filter(Boolean), ...found.problems.map((why) => el("p", { class: "muted" }, why)));
    } catch (error) {
      list.replaceChildren(el("p", { class: "muted" }, `Versions of models cannot be told: ${error.message}.`));
    }
    section.hidden = list.childElementCount === 0;
  }
  return { section, load };
}

export async function health(main) {
  const monitor = el("dl", { class: "facts" });
  const rows = el("tbody");
  const own = el("dl", { class: "facts" });
  const wrong = el("div");
  const versions = models();
  main.append(el("h1", {}, "Health"), wrong,
    el("section", { class: "card", "aria-label": "Monitor" }, el("h2", {}, "Monitor"), monitor),
    el("section", { class: "card", "aria-label": "Cameras" }, el("h2", {}, "Cameras"),
      el("div", { class: "wide" }, el("table", {},
        el("thead", {}, el("tr", {}, ["camera", "state", "for", "detail"].map((name) => el("th", { scope: "col" }, name)))), rows))),
    versions.section,
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
  await Promise.all([load(), versions.load()]);
  const timer = setInterval(load, EVERY_MS);
  return {
    take(kind) { if (kind === "monitor" || kind === "camera" || kind === "refresh") load(); },
    close() { clearInterval(timer); },
  };
}
