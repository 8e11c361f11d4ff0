// Budget: the alarms that were promised beside those that were measured.

import { api, el, failure, svg, timeOf } from "./parts.js";

const WIDTH = 320;
const number = (value) => (value >= 10 ? value.toFixed(0) : value.toPrecision(2));

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

function card(budget) {
  const rate = budget.watched_days >= 1 && budget.per_day !== null && budget.high !== null;
  return el("article", { class: `card ${budget.broken ? "bad" : "fine"}`, "aria-label": `budget of ${budget.camera}` },
    el("div", { class: "row" }, el("h2", {}, budget.camera),
      el("span", { class: `chip ${budget.broken ? "bad" : "fine"}` }, budget.broken ? "over budget" : "within budget")),
    el("div", { class: "row" },
      el("p", {}, el("span", { class: "number" }, number(budget.promised_per_day)), " promised per day"),
      el("p", {}, el("span", { class: budget.broken ? "number above" : "number" }, rate ? number(budget.per_day) : "–"), " measured per day")),
    rate ? scale(budget) : "",
    el("p", { class: "detail" }, budget.sentence),
    el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "last"), el("th", { scope: "col" }, "alarms"), el("th", { scope: "col" }, "days watched"))),
      el("tbody", {}, budget.windows.map((window) => el("tr", {},
        el("th", { scope: "row" }, window.days === 1 ? "day" : `${window.days} days`), el("td", {}, String(window.alarms)),
        el("td", {}, window.watched_days.toFixed(2)))))),
    el("p", { class: "muted" }, "figures of ", timeOf(budget.told_at)));
}

export async function budget(main) {
  const grid = el("section", { class: "grid", "aria-label": "Budgets" });
  main.append(el("h1", {}, "Budget"),
    el("p", { class: "muted" }, "Every alarm counts, because the monitor does not know which were real. The bar shows the interval in which the rate lies with 95 % certainty; the upright line is the promise."), grid);
  async function load() {
    try {
      const all = await api("budget");
      grid.replaceChildren(...(all.length ? all.map(card)
        : [el("p", { class: "notice" }, "No figures yet: they come once a camera is watched with a model.")]));
    } catch (error) {
      grid.replaceChildren(failure(error));
    }
  }
  await load();
  return { take(kind) { if (kind === "budget" || kind === "refresh") load(); } };
}
