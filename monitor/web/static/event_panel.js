// What is known of one event: clip, pictures, reason, how unusual it is.

import { dayOf, el, lasting, nearestNormal, timeOf } from "./parts.js";
import { src, verdictChip } from "./event_list.js";

const VIEWS = [["clip", "Clip"], ["heat", "Peak"], ["picture", "Start"]];
const duration = (event) => (event.ended_at === null ? "" : `, lasted ${lasting(event.ended_at - event.started_at)}`);

export function clipOf(address, camera) {
  return el("video", { src: address, controls: true, autoplay: true, muted: true, loop: true, playsinline: true, "aria-label": `clip of ${camera}` });
}

function media(event, kind) {
  if (kind === "clip") return clipOf(src(event, "clip"), event.camera);
  if (kind) return el("img", { src: src(event, kind), alt: `${event.camera}, ${kind === "heat" ? "peak" : "start"} of the event with heat` });
  return el("p", { class: "notice" }, "No picture came with this event.");
}

function judged(event) {
  if (!event.verdict) return event.name ? el("p", {}, verdictChip(event), ` ${Math.round(100 * event.alike)} % alike`) : "";
  return el("p", {}, verdictChip(event), event.judged_by ? ` said ${event.judged_by.split(" by ")[0]}` : "",
    event.judged_at === null ? "" : [", ", timeOf(event.judged_at)]);
}

export function details(event, view, { choose, back, actions }) {
  const there = VIEWS.filter(([kind]) => event[kind]);
  const now = there.some(([kind]) => kind === view) ? view : there[0]?.[0];
  const tabs = there.map(([kind, word]) =>
    el("button", { type: "button", "aria-pressed": kind === now ? "true" : "false", onclick: () => choose(kind) }, word));
  return [
    el("button", { type: "button", class: "back", onclick: back }, "← All events"),
    el("h2", {}, event.camera),
    el("p", {}, dayOf(event.started_at), ", ", timeOf(event.started_at, false), event.open ? ", continues now" : duration(event)),
    el("p", { class: "reason" }, event.sentence),
    event.also.map((text) => el("p", { class: "reason" }, `also ${text}`)),
    el("div", { class: "media" }, media(event, now)),
    tabs.length > 1 ? el("div", { class: "tabs", role: "group", "aria-label": "What to see" }, tabs) : "",
    event.missing ? el("p", { class: "muted" }, event.missing) : "",
    nearestNormal(`/api/v1/events/${event.id}`, event),
    judged(event),
    actions,
    el("p", {}, event.unusual),
    event.notes.map((note) => el("p", { class: "muted" }, note)),
    el("details", {}, el("summary", {}, "Everything that is known"),
      el("pre", { tabindex: 0 }, JSON.stringify(event.message, null, 2))),
  ].flat().filter(Boolean);
}
