// A list of thousands of events: it is drawn in pieces, and pieces far from the screen hold no rows.

import { dayOf, el, lasting, timeOf } from "./parts.js";

const NEAR = "1500px";
const MOST_IN_PIECE = 60;

export const src = (event, kind) => `/api/v1/events/${event.id}/${kind}`;

export function verdictChip(event) {
  if (event.verdict) return el("span", { class: `chip ${event.verdict === "normal" ? "fine" : "bad"}` }, event.verdict);
  return event.name ? el("span", { class: "chip waiting" }, `like ${event.name}`) : "";
}

function row(event, choose) {
  const kind = event.heat ? "heat" : event.picture ? "picture" : null;
  const facts = [event.open ? "now" : "", event.unusual, event.quiet ? "quiet" : "",
    event.ended_at === null ? "" : lasting(event.ended_at - event.started_at).replace(" ", "\u00a0")].filter(Boolean).join(", ");
  return el("li", {},
    el("button", { type: "button", class: event.verdict ? "event judged" : "event", "data-id": event.id, onclick: () => choose(event.id, true) },
      kind ? el("img", { src: src(event, kind), alt: "", loading: "lazy", decoding: "async" }) : el("span", { class: "noimage" }),
      el("span", { class: "text" },
        el("span", { class: "row" }, el("strong", {}, event.camera), timeOf(event.started_at, false)),
        el("span", { class: "sentence" }, event.sentence),
        el("span", { class: "muted" }, facts, " ", verdictChip(event)))));
}

export function eventList(box, choose) {
  let pieces = []; // { events, node, filled }
  let chosen = null;
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const piece = pieces.find((each) => each.node === entry.target);
      if (!piece) continue;
      if (entry.isIntersecting) fill(piece);
      else clear(piece, entry.boundingClientRect.height);
    }
  }, { rootMargin: NEAR });

  function fill(piece) {
    if (piece.filled) return;
    const at = pieces.indexOf(piece);
    let day = at > 0 ? dayOf(pieces[at - 1].events.at(-1).started_at) : null;
    const rows = [];
    for (const event of piece.events) {
      const name = dayOf(event.started_at);
      if (name !== day) rows.push(el("li", { class: "day" }, name));
      day = name;
      rows.push(row(event, choose));
    }
    piece.node.replaceChildren(...rows);
    piece.node.style.minHeight = "";
    piece.filled = true;
    mark(piece.node);
  }

  function clear(piece, height) {
    if (!piece.filled || piece.node.contains(document.activeElement)) return;
    piece.node.style.minHeight = `${height}px`; // so that what is below does not move
    piece.node.replaceChildren();
    piece.filled = false;
  }

  function add(events, front = false) {
    const piece = { events, node: el("ol", { class: "events" }), filled: false };
    if (front) {
      pieces.unshift(piece);
      box.prepend(piece.node);
    } else {
      pieces.push(piece);
      box.append(piece.node);
    }
    fill(piece);
    observer.observe(piece.node);
  }

  function mark(within = box) {
    for (const button of within.querySelectorAll(".event")) {
      if (button.dataset.id === chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  const pieceOf = (id) => pieces.find((piece) => piece.events.some((event) => event.id === id));

  return {
    all: () => pieces.flatMap((piece) => piece.events),
    get: (id) => pieceOf(id)?.events.find((event) => event.id === id),
    reset(events) {
      observer.disconnect();
      pieces = [];
      box.replaceChildren();
      for (let at = 0; at < events.length; at += MOST_IN_PIECE) add(events.slice(at, at + MOST_IN_PIECE));
    },
    append: (events) => add(events),
    prepend(events) {
      const first = pieces[0];
      if (!first || first.events.length + events.length > MOST_IN_PIECE) {
        add(events, true);
        if (first) first.filled = false;
        if (first) fill(first); // its first day may stand above already
        return;
      }
      first.events = [...events, ...first.events];
      first.filled = false;
      fill(first);
    },
    update(event) { // an event that has changed keeps its place
      const piece = pieceOf(event.id);
      if (!piece) return false;
      piece.events = piece.events.map((each) => (each.id === event.id ? event : each));
      const old = piece.node.querySelector(`[data-id="${event.id}"]`);
      if (old) {
        const made = row(event, choose);
        const [before, after] = [old.querySelector("img"), made.querySelector("img")];
        if (before && after && before.src === after.src) after.replaceWith(before); // it need not be loaded again
        const focused = old === document.activeElement;
        old.parentNode.replaceWith(made);
        if (focused) made.querySelector("button").focus();
        mark(made);
      }
      return true;
    },
    choose(id) {
      chosen = id;
      mark();
    },
    show(id) {
      const piece = pieceOf(id);
      if (!piece) return null;
      fill(piece);
      const button = piece.node.querySelector(`[data-id="${id}"]`);
      button?.scrollIntoView({ block: "nearest" });
      return button;
    },
    close: () => observer.disconnect(),
  };
}
