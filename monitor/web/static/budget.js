// Budget: the alarms that were promised beside those that were measured.

import { api, change, el, failure, lasting, svg, timeOf } from "./parts.js";
import { toaster } from "./verdicts.js";

const WIDTH = 320;
const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;
const number = (value) => (value === 0 ? "0" : value >= 10 ? value.toFixed(0) : value.toPrecision(2));

function scale(budget) {
  const end = Math.max(budget.promised_per_day, budget.high) * 1.1;
  const x = (rate) => (rate / end) * WIDTH;
  const label = `measured ${number(budget.per_day)} per day, between ${number(budget.low)} and ${number(budget.high)}; promised ${number(budget.promised_per_day)}`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} 40`, class: "scale", role: "img", "aria-label": label },
    svg("line", { x1: 0, x2: WIDTH, y1: 26, y2: 26, class: "axis" }),
    svg("line", { x1: x(budget.low), x2: x(budget.high), y1: 26, y2: 26, class: "interval" }),
    svg("circle", { cx: x(budget.per_day), cy: 26, r: 6, class: "measured" }),
    svg("line", { x1: x(budget.promised_per_day), x2: x(budget.promised_per_day), y1: 8, y2: 38, class: "promised" }));
}

function card(budget, may, toast) {
  const rate = budget.watched_days >= 1 && budget.per_day !== null && budget.high !== null;
  return el("article", { class: `card ${budget.broken ? "bad" : "fine"}`, "aria-label": `budget of ${budget.camera}` },
    el("div", { class: "row" }, el("h2", {}, budget.camera),
      el("span", { class: `chip ${budget.broken ? "bad" : "fine"}` }, budget.broken ? "over budget" : "within budget")),
    el("div", { class: "row" },
      el("p", {}, el("span", { class: "number" }, number(budget.promised_per_day)), " promised per day"),
      el("p", {}, el("span", { class: budget.broken ? "number above" : "number" }, rate ? number(budget.per_day) : "–"), " measured per day")),
    rate ? scale(budget) : "",
    el("p", { class: "detail" }, budget.sentence),
    budget.threshold ? el("p", { class: "detail" }, sentence(budget.threshold)) : "",
    el("table", {},
      el("thead", {}, el("tr", {}, ["last", "promised", "alarms", "per day (95 %)", "watched"].map((words) => el("th", { scope: "col" }, words)))),
      el("tbody", {}, budget.windows.map((window) => el("tr", {},
        el("th", { scope: "row", class: "short" }, window.days === 1 ? "day" : `${window.days} days`),
        el("td", {}, window.watched_days >= 0.01 ? number(budget.promised_per_day * window.watched_days) : "–"),
        el("td", {}, String(window.alarms)),
        el("td", {}, window.watched_days < 1 ? "too short" : `${number(window.per_day)} (${number(window.low)} to ${number(window.high)})`),
        el("td", {}, lasting(86400 * window.watched_days)))))),
    el("p", { class: "muted" }, "figures of ", timeOf(budget.told_at)),
    may ? another(budget, toast) : "");
}

// Another budget: what it would have changed is told before it can be taken.
function another(budget, toast) {
  const id = `per-day-${budget.camera}`;
  const input = el("input", { id, type: "number", min: "0.000001", max: "1000000", step: "any", required: true, value: budget.promised_per_day });
  const said = el("div", { class: "preview", role: "status" });
  const set = (perDay) => change(`cameras/${encodeURIComponent(budget.camera)}/budget`, "PUT", { per_day: perDay });
  async function take(perDay) {
    try {
      const answer = await set(perDay);
      said.replaceChildren();
      toast.say(answer.said, async () => {
        try {
          toast.say((await set(budget.promised_per_day)).said);
        } catch (error) { said.replaceChildren(failure(error)); }
      });
    } catch (error) {
      said.replaceChildren(failure(error));
    }
  }
  async function look(event) {
    event.preventDefault();
    const perDay = Number(input.value);
    if (perDay === budget.promised_per_day) {
      said.replaceChildren(el("p", { class: "muted" }, `${number(perDay)} per day is the budget now: give another number.`));
      input.focus();
      return;
    }
    said.replaceChildren(el("p", { class: "muted" }, "Judging the alarms of the last 30 days again…"));
    const taking = el("button", { type: "button", class: "main", onclick: () => take(perDay) }, `Set ${perDay} per day`);
    const leave = el("button", { type: "button", onclick: () => {
      said.replaceChildren();
      input.focus();
    } }, "Leave it");
    try {
      const tried = await change("budget/preview", "POST", { camera: budget.camera, per_day: perDay });
      said.replaceChildren(el("p", { class: "reason" }, sentence(tried.said)),
        tried.raised < 1 ? el("p", {}, tried.added ? `At least ${tried.added} moments of the ranked days that did not alarm would have.`
          : "No moment of the ranked days that did not alarm would have.") : "",
        tried.raised < 1 ? el("p", { class: "muted" }, "What else it would have added was not recorded.") : "",
        el("ul", { class: "hits" }, tried.events.map((each) => el("li", {}, el("a", { href: `/review#${each.id}` }, timeOf(each.started_at)),
          ` ${each.sentence}`, each.verdict ? ` – judged ${each.verdict}` : ""))),
        el("div", { class: "tabs" }, taking, leave));
    } catch (error) {
      said.replaceChildren(failure(error), el("div", { class: "tabs" }, taking, leave));
    }
    taking.focus();
  }
  return el("form", { class: "change", onsubmit: look }, el("label", { for: id }, "Another budget, false alarms per day"),
    el("div", { class: "tabs" }, input, el("button", { type: "submit" }, "What if?")), said);
}

export async function budget(main) {
  const toast = toaster();
  const { may } = await api("names").catch(() => ({ may: false }));
  const grid = el("section", { class: "grid broad", "aria-label": "Budgets" });
  main.append(el("h1", {}, "Budget"),
    el("p", { class: "muted" }, "Every alarm counts, because the monitor does not know which were real. The bar shows the interval in which the rate lies with 95 % certainty; the upright line is the promise."), grid, toast.box);
  async function load() {
    try {
      const all = await api("budget");
      if (grid.contains(document.activeElement) && grid.querySelector(".preview:not(:empty)")) return; // somebody decides
      grid.replaceChildren(...(all.length ? all.map((each) => card(each, may, toast))
        : [el("p", { class: "notice" }, "No figures yet: they come once a camera is watched with a model.")]));
    } catch (error) {
      grid.replaceChildren(failure(error));
    }
  }
  await load();
  return { take(kind) { if (kind === "budget" || kind === "refresh") load(); } };
}
