// Review: the events, those that nobody has judged first, beside the ranked day. j and k step through them.

import { api, el, failure } from "./parts.js";
import { eventList } from "./event_list.js";
import { details } from "./event_panel.js";
import { toaster, verdicts } from "./verdicts.js";
import { rankedDay } from "./day.js";

const SEARCH_MS = 300;
const FRESH_MS = 1000; // a storm of events asks for the list this often
const CLIP_AGAIN_MS = 2000;
const CLIP_TRIES = 40;
const PAGE = 60;
const MOST_MARKED = 200;
const ORDERS = [["review", "To review"], ["newest", "Newest"], ["day", "Ranked day"]];
const VERDICT_KEYS = ["n", "r", "m", "u"];
const KEYS = "Keys: j next, k back, n normal, r real, m name, u undo";

export async function review(main) {
  let following = null;
  let chosen = null;
  let asked = 0; // answers that are no longer wanted are dropped
  let loading = false;
  let tries = 0;
  let timer = 0;
  let fresh = 0;
  let missed = false;
  let total = 0;
  let order = "review";
  let shown = null; // the event in the panel
  let choosing = Promise.resolve(); // until the chosen event is in the panel

  const camera = el("select", { id: "camera", onchange: () => load() }, el("option", { value: "" }, "all cameras"));
  const day = el("input", { id: "day", type: "date", onchange: () => load() });
  const verdict = el("select", { id: "verdict", onchange: () => load() });
  const search = el("input", { id: "search", type: "search", maxlength: 200, placeholder: "words or a name", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(load, SEARCH_MS);
  } });
  const count = el("p", { class: "muted", role: "status" });
  const list = el("div", { role: "group", "aria-label": "Events" });
  const more = el("button", { type: "button", hidden: true, onclick: () => load("further") }, "Show more");
  const all = el("button", { type: "button", hidden: true, onclick: () => markAll() }, "Mark all…");
  const panel = el("section", { class: "panel", "aria-label": "Event" });
  const orders = el("div", { class: "tabs", role: "group", "aria-label": "Order" }, ORDERS.map(([name, words]) =>
    el("button", { type: "button", "data-order": name, onclick: () => setOrder(name) }, words)));
  const box = el("div", { class: "review" },
    el("div", { class: "side" }, orders, el("div", { class: "row" }, count, all), list, more), panel);
  const toast = toaster();
  const rows = eventList(list, choose);
  const said = verdicts({ toast, changed: took, next });
  const ranked = rankedDay({ list, panel, count, box, day, camera, back });
  main.append(el("h1", {}, "Review"),
    el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "camera" }, "Camera", camera), el("label", { for: "day" }, "Day", day),
      el("label", { for: "verdict" }, "Verdict", verdict), el("label", { for: "search" }, "Search", search)), box, toast.box);
  const seen = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) load("further"); }, { rootMargin: "1200px" });

  function query(after, limit = PAGE) {
    const given = new URLSearchParams({ limit });
    if (camera.value) given.set("camera", camera.value);
    if (search.value.trim()) given.set("search", search.value.trim());
    if (verdict.value) given.set("verdict", verdict.value === "none" ? "" : verdict.value);
    if (order === "review") given.set("review", "true");
    if (day.value) { // a day of the viewer's zone, which may have 23 or 25 hours
      const [year, month, date] = day.value.split("-").map(Number);
      given.set("since", new Date(year, month - 1, date).getTime() / 1000);
      given.set("until", new Date(year, month - 1, date + 1).getTime() / 1000);
    }
    if (after) given.set("after", after);
    return `events?${given}`;
  }

  async function load(how) {
    if (order === "day") {
      ranked.load();
      return;
    }
    if (how === "further" && (loading || following === null)) return;
    const mine = ++asked;
    loading = true;
    try {
      const page = await api(query(how === "further" ? following : null));
      if (mine !== asked) return;
      if (how === "fresh") {
        const known = new Set(rows.all().map((event) => event.id));
        const found = page.events.filter((event) => !known.has(event.id));
        if (known.size === 0) rows.reset(page.events);
        else if (found.length) rows.prepend(found);
        if (known.size === 0) following = page.following;
      } else {
        if (how === "further") rows.append(page.events);
        else rows.reset(page.events);
        following = page.following;
      }
      more.hidden = following === null;
      total = page.total;
      sayCount();
      const first = rows.all()[0];
      if (chosen === null && first && matchMedia("(min-width: 56rem)").matches) choose(first.id, false);
    } catch (error) {
      count.replaceChildren(failure(error));
    } finally {
      if (mine === asked) loading = false;
    }
  }

  function arrived(event) {
    const filtered = day.value || search.value || verdict.value || rows.all().length === 0;
    if (!filtered && camera.value && camera.value !== event.camera) return;
    if (!filtered) {
      rows.prepend([event]);
      total += 1;
      sayCount();
    } else if (fresh === 0) { // it may or may not fit the filter
      load("fresh");
      fresh = setTimeout(() => { fresh = 0; if (missed) load("fresh"); missed = false; }, FRESH_MS);
    } else missed = true;
  }

  function sayCount() {
    all.hidden = !said.may() || total === 0;
    count.textContent = total === 0 ? "No event." : `${total} ${total === 1 ? "event" : "events"}`;
  }

  function setOrder(name) {
    order = name;
    for (const button of orders.children) button.setAttribute("aria-pressed", String(button.dataset.order === name));
    for (const input of [verdict, search]) input.parentNode.hidden = name === "day";
    more.hidden = all.hidden = true;
    rows.reset([]);
    panel.replaceChildren();
    chosen = null;
    load();
  }

  function choose(id, seenByUser, view = "clip") {
    choosing = showEvent(id, seenByUser, view);
    return choosing;
  }

  async function showEvent(id, seenByUser, view) {
    if (id !== chosen) tries = 0;
    chosen = id;
    if (seenByUser) box.classList.add("showing");
    rows.choose(id);
    try {
      const event = await api(`events/${encodeURIComponent(id)}`);
      if (chosen !== id) return;
      shown = event;
      panel.replaceChildren(...details(event, view,
        { choose: (kind) => choose(id, seenByUser, kind), back, actions: said.actions(event) }));
      if (seenByUser) history.replaceState(null, "", `/review#${id}`);
      awaitClip(event);
    } catch (error) {
      shown = null;
      panel.replaceChildren(el("button", { type: "button", class: "back", onclick: back }, "← All events"), failure(error));
    }
  }

  function awaitClip(event) { // it is complete some seconds after the event
    clearTimeout(awaitClip.timer);
    if (event.clip || !event.missing || ++tries > CLIP_TRIES) return;
    awaitClip.timer = setTimeout(async () => {
      const now = await api(`events/${event.id}`).catch(() => null);
      if (chosen !== event.id || now === null) return;
      if (now.clip || now.missing !== event.missing) choose(event.id, box.classList.contains("showing"));
      else awaitClip(now);
    }, CLIP_AGAIN_MS);
  }

  function back() {
    const id = chosen;
    box.classList.remove("showing");
    history.replaceState(null, "", "/review");
    if (order === "day") ranked.focus();
    else rows.show(id)?.focus();
  }

  async function step(by) {
    if (order === "day") {
      ranked.step(by);
      return;
    }
    const at = rows.all().findIndex((event) => event.id === chosen);
    if (at + by >= rows.all().length) await load("further");
    const events = rows.all();
    const to = events[Math.min(events.length - 1, Math.max(0, at + by))];
    if (!to) return;
    choose(to.id, box.classList.contains("showing"));
    rows.show(to.id);
  }

  function next() { // after a verdict: the next event that nobody has judged
    const events = rows.all();
    const at = events.findIndex((event) => event.id === chosen);
    const to = events.slice(at + 1).find((event) => event.can_judge && !event.verdict);
    if (!to) return;
    choose(to.id, box.classList.contains("showing"));
    rows.show(to.id);
  }

  function took(event) {
    rows.update(event);
    if (chosen === event.id) choose(event.id, box.classList.contains("showing"));
  }

  async function markAll() {
    const events = [];
    let after = null;
    do {
      const page = await api(query(after, MOST_MARKED)).catch(() => null);
      if (page === null) return;
      events.push(...page.events.filter((event) => event.can_judge && !event.verdict));
      after = page.following;
    } while (after !== null && events.length < MOST_MARKED);
    const filtered = camera.value || day.value || search.value || verdict.value;
    const which = filtered ? "All events that the filter shows." : "All events of the list.";
    await said.many(events.slice(0, MOST_MARKED), events.length > MOST_MARKED ? `The first ${MOST_MARKED} events.` : which);
  }

  const [names, found] = await Promise.all([api("cameras").catch(() => []), api("names").catch(() => ({ names: [] })), said.load()]);
  camera.append(...names.map(({ name }) => el("option", { value: name }, name)));
  verdict.append(...[["", "anything"], ["none", "nothing yet"], ["normal", "normal"], ["real", "real"], ...found.names.map((name) => [name, name])]
    .map(([value, words]) => el("option", { value }, words)));
  main.append(el("p", { class: "muted keys" }, said.may() ? KEYS : "Keys: j next, k back"));
  const linked = location.hash.slice(1);
  if (/^[0-9a-f]{32}$/.test(linked)) {
    choose(linked, true);
    order = "newest";
  }
  for (const button of orders.children) button.setAttribute("aria-pressed", String(button.dataset.order === order));
  await load();
  seen.observe(more);
  return {
    take(kind, data) {
      if (kind === "moment") ranked.take();
      if (kind === "refresh") load();
      if (kind === "verdict") {
        rows.update(data);
        if (chosen === data.id && shown?.id === data.id && shown.verdict !== data.verdict) choose(data.id, box.classList.contains("showing"));
      }
      if (kind !== "alert") return;
      if (rows.update(data)) {
        if (chosen === data.id && !data.open) choose(data.id, box.classList.contains("showing"));
      } else if (order !== "day") arrived(data);
    },
    key(name) {
      if (document.querySelector("dialog[open]")) return false;
      if (name === "j") step(1);
      else if (name === "k") step(-1);
      else if (order === "day") return false;
      else if (VERDICT_KEYS.includes(name) && said.may()) choosing.then(() => said.key(name, shown)); // never the event before
      else return false;
      return true;
    },
    close() {
      chosen = null;
      asked += 1;
      rows.close();
      seen.disconnect();
      clearTimeout(timer);
      clearTimeout(fresh);
      clearTimeout(awaitClip.timer);
    },
  };
}
