// Timeline: a day's score per camera with events, states and gaps; zoom; jump to the event.

import { api, el, failure, lasting, svg, timeOf } from "./parts.js";

const WIDTH = 1440;
const HEIGHT = 92;
const BAND = 8; // height of the state's band at the bottom
const LEAST_TOP = 1.6;
const LEAST_SPAN_S = 600;
const YOUNG_S = 7200; // of a day of which less is known, only that is shown at first
const AGAIN_MS = 30000;
const TICKS = 5;
const FINE = ["online"];
const WAITING = ["connecting", "learning", "ended"];
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clock = (unix) => CLOCK.format(new Date(unix * 1000));
const percent = (part, whole) => `${(Math.floor((1000 * part) / whole) / 10).toFixed(1)} %`;
const mood = (state) => (FINE.includes(state) ? "fine" : WAITING.includes(state) ? "waiting" : "bad");
const pad = (number) => String(number).padStart(2, "0");
const dateText = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;

function said(line, begin, end) {
  const parts = [];
  const now = Date.now() / 1000;
  if (line.known_s > 0) parts.push(`watched ${percent(line.watched_s, line.known_s)}`);
  if (line.gaps.length) {
    const [longest] = [...line.gaps].sort((a, b) => b.end - b.begin - (a.end - a.begin));
    parts.push(`${line.gaps.length} ${line.gaps.length === 1 ? "gap" : "gaps"}, the longest ${clock(longest.begin)} to ${clock(longest.end)} (${longest.why})`);
  } else if (line.known_s > 0) parts.push("no gap");
  if (line.known_from === null) parts.push("this page has heard no score in this time");
  else if (line.known_from > Math.min(begin + 60, now)) parts.push(`scores and gaps are known from ${clock(line.known_from)} on`);
  if (line.counted_s > 0 && (line.known_from === null || line.known_from > begin + 60)) parts.push(`the monitor counts ${lasting(line.counted_s)} watched`);
  parts.push(`${line.events.length} ${line.events.length === 1 ? "event" : "events"}`);
  return `${parts.join("; ")}.`;
}

function picture(line, view, pick) {
  const span = view.end - view.begin;
  const x = (at) => Math.min(WIDTH, Math.max(0, ((at - view.begin) / span) * WIDTH));
  const top = Math.max(LEAST_TOP, ...line.scores.map((score) => (score ?? 0) * 1.1));
  const base = HEIGHT - BAND - 2;
  const y = (score) => base - (Math.max(0, score) / top) * (base - 4);
  const bars = line.scores.map((score, at) => {
    if (score === null) return "";
    const left = x(view.first + 60 * at);
    const right = x(view.first + 60 * (at + 1));
    return right > left ? `M${left.toFixed(1)},${base}V${y(score).toFixed(1)}H${right.toFixed(1)}V${base}Z` : "";
  }).join("");
  const now = Math.min(view.end, Date.now() / 1000);
  const known = line.known_from ?? now;
  const rect = (from, to, attributes) => svg("rect", { x: x(from), width: Math.max(1, x(to) - x(from)), y: 0, height: HEIGHT - BAND, ...attributes });
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${line.camera}: ${said(line, view.begin, view.end)}` },
    ...(known > view.begin ? [rect(view.begin, known, { class: "unknown" })] : []),
    svg("path", { d: bars, class: "area" }),
    ...line.gaps.map((gap) => rect(gap.begin, gap.end, { class: "blind" })),
    ...line.states.map((state, at) => {
      const to = line.states[at + 1]?.since ?? now;
      return svg("rect", { x: x(state.since), width: Math.max(0, x(to) - x(state.since)), y: HEIGHT - BAND, height: BAND, class: `state ${mood(state.state)}` });
    }),
    svg("line", { x1: 0, x2: WIDTH, y1: y(1), y2: y(1), class: "threshold" }));
  const marks = line.events.filter((event) => event.started_at >= view.begin && event.started_at < view.end).map((event) => {
    const link = el("a", { class: `mark ${event.quiet ? "quiet" : ""} ${event.verdict === "normal" ? "normal" : ""}`, href: `/review#${event.id}`,
      "aria-label": `event at ${clock(event.started_at)}: ${event.sentence}${event.verdict ? `, judged ${event.verdict}` : ""}`, title: `${clock(event.started_at)} ${event.sentence}` });
    link.style.left = `${(100 * (event.started_at - view.begin)) / span}%`;
    return link;
  });
  const track = el("div", { class: "track" }, drawn, marks);
  drag(track, (from, to) => pick(view.begin + from * span, view.begin + to * span));
  return track;
}

function drag(track, pick) {
  let from = null;
  const share = (event) => {
    const box = track.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  track.addEventListener("pointerdown", (event) => { if (!event.target.closest("a") && event.button === 0) from = share(event); });
  track.addEventListener("pointerup", (event) => {
    const to = share(event);
    if (from !== null && Math.abs(to - from) > 0.01) pick(Math.min(from, to), Math.max(from, to));
    from = null;
  });
  track.addEventListener("pointercancel", () => { from = null; });
}

function card(line, view, pick) {
  const ticks = Array.from({ length: TICKS }, (_, at) => el("span", {}, clock(view.begin + ((view.end - view.begin) * at) / (TICKS - 1))));
  const gaps = line.gaps.map((gap) => el("li", {}, `blind ${clock(gap.begin)} to ${clock(gap.end)} (${lasting(gap.end - gap.begin)}): ${gap.why}`));
  const bad = line.states.filter((state) => mood(state.state) === "bad")
    .map((state) => el("li", {}, timeOf(state.since, false), ` ${state.state}${state.detail ? `: ${state.detail}` : ""}`));
  const list = [...gaps, ...bad];
  return el("article", { class: "time", "aria-label": `day of ${line.camera}` },
    el("div", { class: "row" }, el("h2", {}, line.camera), el("p", { class: "muted" }, said(line, view.begin, view.end))),
    picture(line, view, pick),
    el("div", { class: "ticks", "aria-hidden": "true" }, ticks),
    list.length ? el("details", {}, el("summary", {}, `Gaps and problems (${list.length})`), el("ul", { class: "facts-list" }, list)) : "");
}

export async function timeline(main) {
  const day = el("input", { id: "day", type: "date", value: dateText(new Date()), onchange: () => { zoomed = null; load(); } });
  const camera = el("select", { id: "camera", onchange: () => load() }, el("option", { value: "" }, "all cameras"));
  const words = el("p", { class: "muted", role: "status" });
  const rows = el("section", { "aria-label": "Cameras" });
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, onclick: act }, text);
  const tools = el("div", { class: "tabs", role: "group", "aria-label": "Zoom" },
    button("+", "zoom in", () => zoom(0.5)), button("−", "zoom out", () => zoom(2)),
    button("←", "earlier", () => move(-0.5)), button("→", "later", () => move(0.5)),
    button("Whole day", "whole day", () => { zoomed = null; load(); }));
  let zoomed = null; // { begin, end } in unix seconds
  let asked = 0;
  let opened = false; // the first picture of the day stands
  main.append(el("h1", {}, "Timeline"),
    el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "day" }, "Day", day), el("label", { for: "camera" }, "Camera", camera)),
    tools, words, rows,
    el("p", { class: "muted" }, "Each bar is the highest score of a minute; the dashed line is the threshold. Red: blind. Grey: not known, because scores are kept by this page only while it runs. The band below shows the camera's state. Drag to zoom; a mark leads to its event."));

  function whole() {
    const [year, month, date] = (day.value || dateText(new Date())).split("-").map(Number);
    return { begin: new Date(year, month - 1, date).getTime() / 1000, end: new Date(year, month - 1, date + 1).getTime() / 1000 };
  }

  function pick(begin, end) {
    const all = whole();
    const length = Math.min(all.end - all.begin, Math.max(LEAST_SPAN_S, end - begin));
    const from = Math.min(all.end - length, Math.max(all.begin, (begin + end - length) / 2));
    zoomed = length >= all.end - all.begin ? null : { begin: from, end: from + length };
    load();
  }

  function zoom(factor) {
    const now = zoomed ?? whole();
    const middle = (now.begin + now.end) / 2;
    const half = ((now.end - now.begin) * factor) / 2;
    pick(middle - half, middle + half);
  }

  function move(share) {
    if (zoomed) pick(zoomed.begin + share * (zoomed.end - zoomed.begin), zoomed.end + share * (zoomed.end - zoomed.begin));
  }

  function showYoung(found) { // a minute of a whole day could not be seen
    const now = Date.now() / 1000;
    const known = found.flatMap((line) => [...(line.known_from === null ? [] : [line.known_from]), ...line.events.map((event) => event.started_at)]);
    const since = Math.min(...known);
    opened = true;
    if (known.length === 0 || now - since > YOUNG_S || dateText(new Date()) !== day.value) return false;
    pick(since, now);
    return true;
  }

  async function load() {
    const mine = ++asked;
    const view = zoomed ?? whole();
    const first = Math.floor(view.begin / 60) * 60;
    try {
      const given = new URLSearchParams({ begin: first, end: view.end });
      if (camera.value) given.set("camera", camera.value);
      const found = await api(`timeline?${given}`);
      if (mine !== asked) return;
      if (!opened && zoomed === null && showYoung(found)) return;
      opened = true;
      words.textContent = zoomed ? `${clock(view.begin)} to ${clock(view.end)}` : "The whole day";
      const open = new Set([...rows.querySelectorAll("article")].filter((each) => each.querySelector("details")?.open).map((each) => each.getAttribute("aria-label")));
      const focused = rows.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      rows.replaceChildren(...(found.length ? found.map((line) => card(line, { ...view, first }, pick))
        : [el("p", { class: "notice" }, "No camera is known yet.")]));
      for (const each of rows.querySelectorAll("article")) if (open.has(each.getAttribute("aria-label"))) each.querySelector("details")?.setAttribute("open", "");
      if (focused) rows.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    } catch (error) {
      rows.replaceChildren(failure(error));
    }
  }

  const names = await api("cameras").catch(() => []);
  camera.append(...names.map(({ name }) => el("option", { value: name }, name)));
  await load();
  const timer = setInterval(load, AGAIN_MS);
  return {
    take(kind) { if (kind === "alert" || kind === "refresh") load(); },
    key(name) {
      if (name === "+") zoom(0.5);
      else if (name === "-") zoom(2);
      else if (name === "0") { zoomed = null; load(); } else return false;
      return true;
    },
    close() { clearInterval(timer); asked += 1; },
  };
}
