// The ranked day: the most unusual moments of a day, the most unusual first, whether or not they alarmed.

import { api, dayOf, el, failure, nearestNormal, scoreText, timeOf } from "./parts.js";
import { clipOf } from "./event_panel.js";

const src = (moment, kind) => `/api/v1/moments/${moment.id}/${kind}`;

function alarm(moment) {
  if (moment.event === null) return el("span", { class: "chip gone" }, moment.alarmed ? "alarmed" : "no alarm");
  return el("span", { class: "chip bad" }, "alarmed");
}

function row(moment, choose) {
  return el("li", {},
    el("button", { type: "button", class: "event moment", "data-id": moment.id, onclick: () => choose(moment, true) },
      moment.picture ? el("img", { src: src(moment, "picture"), alt: "", loading: "lazy", decoding: "async" }) : el("span", { class: "noimage" }),
      el("span", { class: "text" },
        el("span", { class: "row" }, el("strong", {}, `${moment.place}. ${moment.camera}`), timeOf(moment.at, false)),
        el("span", { class: "sentence" }, moment.sentence),
        el("span", { class: "muted" }, `score ${scoreText(moment.score)}, ${moment.rare} `, alarm(moment)))));
}

function details(moment, view, { choose, back }) {
  const tabs = [["clip", "Clip"], ["picture", "Picture"]].filter(([kind]) => moment[kind]);
  const now = tabs.some(([kind]) => kind === view) ? view : tabs[0]?.[0];
  return [
    el("button", { type: "button", class: "back", onclick: back }, "← All moments"),
    el("h2", {}, moment.camera),
    el("p", {}, dayOf(moment.at), ", ", timeOf(moment.at, false), ` – number ${moment.rank} of this camera's day ${moment.day}`),
    el("div", { class: "media" }, now === "clip" ? clipOf(src(moment, "clip"), moment.camera)
      : now ? el("img", { src: src(moment, "picture"), alt: `${moment.camera} at this moment` })
        : el("p", { class: "notice" }, "No picture came with this moment.")),
    tabs.length > 1 ? el("div", { class: "tabs", role: "group", "aria-label": "What to see" }, tabs.map(([kind, words]) =>
      el("button", { type: "button", "aria-pressed": String(kind === now), onclick: () => choose(kind) }, words))) : "",
    moment.missing ? el("p", { class: "muted" }, moment.missing) : "",
    nearestNormal(`/api/v1/moments/${moment.id}`, moment),
    el("p", { class: "reason" }, moment.sentence),
    el("p", {}, `Score ${scoreText(moment.score)} at the threshold of the budget, which is 1; ${moment.rare}.`),
    el("p", {}, alarm(moment), " ", moment.event ? el("a", { href: `/review#${moment.event}` }, "To its event") : ""),
  ].flat().filter(Boolean);
}

export function rankedDay({ list, panel, count, box, day, camera, back }) {
  let moments = [];
  let chosen = null;
  let asked = 0;
  let active = false;

  function choose(moment, seen, view = "clip") {
    chosen = moment.id;
    if (seen) box.classList.add("showing");
    for (const button of list.querySelectorAll(".moment")) {
      if (button.dataset.id === chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    panel.replaceChildren(...details(moment, view, { back, choose: (kind) => choose(moment, seen, kind) }));
  }

  async function load() {
    const mine = ++asked;
    active = true;
    try {
      const given = new URLSearchParams();
      if (camera.value) given.set("camera", camera.value);
      if (day.value) given.set("day", day.value);
      const found = await api(`moments?${given}`);
      if (mine !== asked) return;
      moments = found.moments.map((moment, at) => ({ ...moment, place: at + 1 }));
      count.textContent = moments.length
        ? `${moments.length} moments of ${found.day}, the most unusual first, whether or not they alarmed`
        : `No moment ${day.value ? "of this day" : "yet"}: it comes some minutes after it was found, as soon as a camera is watched with a model. The demo ranks nothing.`;
      list.replaceChildren(el("ol", { class: "events" }, moments.map((moment) => row(moment, choose))));
      if (found.days.length > 1) {
        list.append(el("div", { class: "tabs", role: "group", "aria-label": "Other days" }, found.days.slice(0, 14).map((name) =>
          el("button", { type: "button", "aria-pressed": String(name === found.day), onclick: () => { day.value = name; load(); } }, name))));
      }
      const first = moments.find((moment) => moment.id === chosen) ?? moments[0];
      if (first && matchMedia("(min-width: 56rem)").matches) choose(first, false);
    } catch (error) {
      count.replaceChildren(failure(error));
    }
  }

  const button = () => list.querySelector(`[data-id="${chosen}"]`);
  return {
    load,
    take() { if (active && list.querySelector(".moment")) load(); },
    focus: () => button()?.focus(),
    step(by) {
      const at = moments.findIndex((moment) => moment.id === chosen);
      const to = moments[Math.min(moments.length - 1, Math.max(0, at + by))];
      if (!to) return;
      choose(to, box.classList.contains("showing"));
      button()?.scrollIntoView({ block: "nearest" });
    },
  };
}
