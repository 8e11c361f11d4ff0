// Review: the events, the newest first, with picture, heat, clip and reason. j and k step through them.

import { api, dayOf, el, failure, lasting, timeOf } from "./parts.js";

const SEARCH_MS = 300;
const CLIP_AGAIN_MS = 2000;
const CLIP_TRIES = 40;
const VIEWS = [["clip", "Clip"], ["heat", "Peak"], ["picture", "Start"]];

const src = (event, kind) => `/api/v1/events/${event.id}/${kind}`;
const duration = (event) => (event.ended_at === null ? "" : `, lasted ${lasting(event.ended_at - event.started_at)}`);

function row(event, choose) {
  const kind = event.heat ? "heat" : event.picture ? "picture" : null;
  return el("li", {},
    el("button", { type: "button", class: "event", "data-id": event.id, onclick: () => choose(event.id, true) },
      kind ? el("img", { src: src(event, kind), alt: "", loading: "lazy" }) : el("span", { class: "noimage" }),
      el("span", { class: "text" },
        el("span", { class: "row" }, el("strong", {}, event.camera), timeOf(event.started_at, false)),
        el("span", { class: "sentence" }, event.sentence),
        el("span", { class: "muted" }, event.open ? "now" : "", event.open && event.unusual ? ", " : "", event.unusual,
          event.quiet ? ", quiet" : ""))));
}

function media(event, kind) {
  if (kind === "clip") {
    return el("video", { src: src(event, "clip"), controls: true, autoplay: true, muted: true, loop: true, playsinline: true,
      "aria-label": `clip of ${event.camera}` });
  }
  if (kind) return el("img", { src: src(event, kind), alt: `${event.camera}, ${kind === "heat" ? "peak" : "start"} of the event with heat` });
  return el("p", { class: "notice" }, "No picture came with this event.");
}

function details(event, view, { choose, back }) {
  const there = VIEWS.filter(([kind]) => event[kind]);
  const now = there.some(([kind]) => kind === view) ? view : there[0]?.[0];
  const tabs = there.map(([kind, word]) =>
    el("button", { type: "button", "aria-pressed": kind === now ? "true" : "false", onclick: () => choose(kind) }, word));
  return [
    el("button", { type: "button", class: "back", onclick: back }, "← All events"),
    el("h2", {}, event.camera),
    el("p", {}, dayOf(event.started_at), ", ", timeOf(event.started_at, false), event.open ? ", continues now" : duration(event)),
    el("div", { class: "media" }, media(event, now)),
    el("div", { class: "tabs", role: "group", "aria-label": "What to see" }, tabs),
    el("p", { class: "reason" }, event.sentence),
    event.also.map((text) => el("p", { class: "reason" }, `also ${text}`)),
    el("p", {}, event.unusual),
    event.notes.map((note) => el("p", { class: "muted" }, note)),
    el("details", {}, el("summary", {}, "Everything that is known"),
      el("pre", { tabindex: 0 }, JSON.stringify(event.message, null, 2))),
  ].flat();
}

export async function review(main) {
  let events = [];
  let following = null;
  let chosen = null;
  let asked = 0; // answers that are no longer wanted are dropped
  let tries = 0;
  let timer = 0;

  const camera = el("select", { id: "camera", onchange: () => load() }, el("option", { value: "" }, "all cameras"));
  const day = el("input", { id: "day", type: "date", onchange: () => load() });
  const search = el("input", { id: "search", type: "search", maxlength: 200, placeholder: "words", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(load, SEARCH_MS);
  } });
  const count = el("p", { class: "muted", role: "status" });
  const list = el("ol", { class: "events", "aria-label": "Events" });
  const more = el("button", { type: "button", hidden: true, onclick: () => load(true) }, "Show more");
  const panel = el("section", { class: "panel", "aria-label": "Event" });
  const box = el("div", { class: "review" }, el("div", { class: "side" }, count, list, more), panel);
  main.append(el("h1", {}, "Review"),
    el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "camera" }, "Camera", camera), el("label", { for: "day" }, "Day", day),
      el("label", { for: "search" }, "Search", search)), box);

  function query(after) {
    const given = new URLSearchParams({ limit: 30 });
    if (camera.value) given.set("camera", camera.value);
    if (search.value.trim()) given.set("search", search.value.trim());
    if (day.value) { // a day of the viewer's zone, which may have 23 or 25 hours
      const [year, month, date] = day.value.split("-").map(Number);
      given.set("since", new Date(year, month - 1, date).getTime() / 1000);
      given.set("until", new Date(year, month - 1, date + 1).getTime() / 1000);
    }
    if (after) given.set("after", after);
    return `events?${given}`;
  }

  function draw() {
    const rows = [];
    const drawn = new Map([...list.querySelectorAll(".event")].map((button) => [button.dataset.stamp, button.parentNode]));
    let before = "";
    for (const event of events) {
      const name = dayOf(event.started_at);
      if (name !== before) rows.push(el("li", { class: "day" }, name));
      before = name;
      const stamp = JSON.stringify(event);
      const made = drawn.get(stamp) ?? row(event, choose); // an event that has not changed keeps its picture
      made.querySelector(".event").dataset.stamp = stamp;
      rows.push(made);
    }
    list.replaceChildren(...rows);
    more.hidden = following === null;
    mark();
  }

  function mark() {
    for (const button of list.querySelectorAll(".event")) {
      if (button.dataset.id === chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  async function load(further = false) {
    const mine = ++asked;
    try {
      const page = await api(query(further === true ? following : null));
      if (mine !== asked) return;
      const known = new Set(page.events.map((event) => event.id));
      const rest = events.filter((event) => !known.has(event.id));
      if (further === true) events = [...rest, ...page.events];
      else if (further === "fresh" && page.following !== null) {
        events = [...page.events, ...rest.filter((event) => event.started_at <= page.events.at(-1).started_at)];
      } else events = page.events;
      // A fresh first page in front of further pages does not change where they end.
      if (further === true || events.length === page.events.length) following = page.following;
      count.textContent = page.total === 0 ? "No event." : `${page.total} ${page.total === 1 ? "event" : "events"}`;
      draw();
      if (chosen === null && events.length && matchMedia("(min-width: 56rem)").matches) choose(events[0].id, false);
    } catch (error) {
      count.replaceChildren(failure(error));
    }
  }

  async function choose(id, seen, view = "clip") {
    if (id !== chosen) tries = 0;
    chosen = id;
    if (seen) box.classList.add("showing");
    mark();
    try {
      const event = await api(`events/${encodeURIComponent(id)}`);
      if (chosen !== id) return;
      panel.replaceChildren(...details(event, view, { choose: (kind) => choose(id, seen, kind), back }));
      if (seen) history.replaceState(null, "", `/review#${id}`);
      awaitClip(event);
    } catch (error) {
      panel.replaceChildren(el("button", { type: "button", class: "back", onclick: back }, "← All events"), failure(error));
    }
  }

  function awaitClip(event) { // it is complete some seconds after the event
    clearTimeout(awaitClip.timer);
    if (event.clip || event.message.evidence.length === 0 || ++tries > CLIP_TRIES) return;
    awaitClip.timer = setTimeout(async () => {
      const now = await api(`events/${event.id}`).catch(() => null);
      if (chosen !== event.id || now === null) return;
      if (now.clip) choose(event.id, box.classList.contains("showing"));
      else awaitClip(now);
    }, CLIP_AGAIN_MS);
  }

  function back() {
    const id = chosen;
    box.classList.remove("showing");
    history.replaceState(null, "", "/review");
    list.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus();
  }

  function step(by) {
    const at = events.findIndex((event) => event.id === chosen);
    const next = events[Math.min(events.length - 1, Math.max(0, at + by))];
    if (!next) return;
    choose(next.id, box.classList.contains("showing"));
    list.querySelector(`[data-id="${CSS.escape(next.id)}"]`)?.scrollIntoView({ block: "nearest" });
  }

  const names = await api("cameras").catch(() => []);
  camera.append(...names.map(({ name }) => el("option", { value: name }, name)));
  const linked = location.hash.slice(1);
  if (/^[0-9a-f]{32}$/.test(linked)) choose(linked, true);
  await load();
  return {
    take(kind, data) {
      if (kind === "refresh") load("fresh");
      if (kind !== "alert") return;
      const at = events.findIndex((event) => event.id === data.id);
      if (at >= 0) {
        events[at] = data;
        draw();
        if (chosen === data.id && !data.open) choose(data.id, box.classList.contains("showing"));
      } else load("fresh"); // it may or may not fit the filter
    },
    key(name) {
      if (name === "j") step(1);
      else if (name === "k") step(-1);
      else return false;
      return true;
    },
    close() {
      chosen = null;
      asked += 1;
      clearTimeout(timer);
      clearTimeout(awaitClip.timer);
    },
  };
}
