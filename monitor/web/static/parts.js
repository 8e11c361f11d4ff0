// Parts that all pages use. Text from outside becomes text nodes only, never HTML.

import { logInAgain } from "./relogin.js"; // not later: without a session, no file is sent

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export const NAME = "[A-Za-z0-9_][A-Za-z0-9_.\\-]*"; // of cameras and places, as a pattern of an input

async function fetched(path, options) {
  try {
    return await fetch(`/api/v1/${path}`, options);
  } catch { // the browser's own words name nothing to do
    throw new Error("the page's server does not answer: try again once it is back");
  }
}

export async function api(path, options = {}) {
  let answer = await fetched(path, options);
  if (answer.status === 401) { // the session has ended: what stands on the page must not be lost
    await logInAgain();
    answer = await fetched(path, options);
  }
  if (!answer.ok) {
    const { detail } = await answer.json().catch(() => ({}));
    throw new Error(typeof detail === "string" ? detail : `the page answered ${answer.status}`);
  }
  return answer.json();
}

// Every time is shown in the zone of the viewer.
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export const dayOf = (unix) => DATE.format(new Date(unix * 1000));

export function timeOf(unix, withDay = true) {
  const at = new Date(unix * 1000);
  const today = at.toDateString() === new Date().toDateString();
  const text = today || !withDay ? CLOCK.format(at) : `${DATE.format(at)}, ${CLOCK.format(at)}`;
  return el("time", { datetime: at.toISOString(), title: WHOLE.format(at) }, text);
}

const MINUTE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function momentOf(unix) { // such as 28 Nov, 14:03
  const at = new Date(unix * 1000);
  return el("time", { datetime: at.toISOString(), title: WHOLE.format(at) }, MINUTE.format(at));
}

export function lasting(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// The nearest normal picture, beside an event or a moment: what was normal instead. The picture is small.
export function nearestNormal(address, one) {
  if (!one.normal) return "";
  const picture = el("img", { src: `${address}/normal`, alt: `what was normal at ${one.camera}`, loading: "lazy" });
  return el("figure", { class: "normal" }, picture,
    el("figcaption", { class: "muted" }, "nearest normal: ", one.normal_at === null ? "time not known" : momentOf(one.normal_at)));
}

const STATES = {
  online: "watched", connecting: "connecting", learning: "learning", stalled: "stalled", offline: "offline",
  frozen: "frozen", dark: "dark", misfit: "wrong picture shape", scene_change: "light changes", paused: "paused", moved: "moved",
  defocused: "out of focus", flipped: "flipped", noisy: "noisy", drifted: "drifted", over_budget: "over budget",
  limited: "limited", unscored: "not scored", overloaded: "overloaded", ended: "ended", failed: "failed",
};

export function stateWord(camera) {
  if (camera.mood === "gone") return "not heard";
  return camera.state === null ? "no state yet" : (STATES[camera.state] ?? camera.state);
}

export const stateChip = (camera) => el("span", { class: `chip ${camera.mood}` }, stateWord(camera));

export const scoreText = (score) => (score === null || score === undefined ? "–" : score.toFixed(2));

export const failure = (error) => el("p", { class: "notice bad", role: "alert" }, error.message);

export function change(path, method, body) {
  const headers = { "X-True-Sight": "1", ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  return api(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}
