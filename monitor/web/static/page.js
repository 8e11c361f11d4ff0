// The frame around the pages: navigation, the stream of changes, and what is said when the monitor is away.

import { api, el, timeOf } from "./parts.js";
import { live } from "./live.js";
import { review } from "./review.js";
import { budget } from "./budget.js";
import { timeline } from "./timeline.js";
import { health } from "./health.js";

const PAGES = { "/": ["Live", live], "/review": ["Review", review], "/timeline": ["Timeline", timeline], "/budget": ["Budget", budget], "/health": ["Health", health] };
const main = document.getElementById("main");
const banner = document.getElementById("banner");
const news = document.getElementById("news");
const KINDS = ["alert", "camera", "cameras", "scores", "budget", "monitor", "refresh", "verdict", "moment"];
const AGAIN_MS = 2000;
const NEWS_MS = 20000;

let shown = null; // { take(kind, data), key(name), close() } of the page that is shown
let monitor = null;
let reached = true; // whether this page's own server answers
let hideNews = 0;

async function show(push) {
  const path = location.pathname in PAGES ? location.pathname : "/";
  const [title, make] = PAGES[path];
  document.title = `${title} – True Sight`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown?.close?.();
  main.replaceChildren();
  shown = await make(main);
  if (push) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function go(path) {
  history.pushState(null, "", path);
  show(true);
}

function say() {
  const away = monitor !== null && monitor.state !== "connected";
  banner.hidden = reached && !away;
  banner.className = "bad";
  if (!reached) banner.textContent = "This page's server does not answer. What you see is from before; it connects again by itself.";
  else if (away) {
    const then = monitor.state === "ended" ? "Start it again: then this page goes on by itself." : "It comes back by itself.";
    banner.replaceChildren(`${monitor.sentence} (since `, timeOf(monitor.since), `). ${then}`);
  }
}

function sayAlert(event) {
  if (!event.open || event.quiet || location.pathname === "/review") return;
  const link = el("a", { href: `/review#${event.id}` }, `${event.camera}: ${event.sentence}`);
  link.addEventListener("click", (click) => {
    click.preventDefault();
    news.hidden = true;
    go(link.getAttribute("href"));
  });
  news.replaceChildren("New event at ", timeOf(event.started_at), " – ", link);
  news.hidden = false;
  clearTimeout(hideNews);
  hideNews = setTimeout(() => { news.hidden = true; }, NEWS_MS);
}

function connect() {
  const stream = new EventSource("/api/v1/stream");
  for (const kind of KINDS) {
    stream.addEventListener(kind, (message) => {
      const data = JSON.parse(message.data);
      if (kind === "monitor") {
        monitor = data;
        say();
      }
      if (kind === "alert") sayAlert(data);
      shown?.take?.(kind, data);
    });
  }
  stream.addEventListener("open", () => {
    if (!reached) (shown?.again ?? (() => show(false)))(); // what was missed is loaded anew
    reached = true;
    say();
  });
  const again = () => {
    stream.close();
    reached = false;
    say();
    setTimeout(async () => {
      try {
        await api("session"); // leads to the login if the session has ended
      } catch { /* the next try says so */ }
      connect();
    }, AGAIN_MS);
  };
  stream.addEventListener("error", again);
  stream.addEventListener("slow", again);
}

document.addEventListener("click", (click) => {
  const link = click.target.closest("a[href^='/']");
  if (!link || click.defaultPrevented || click.ctrlKey || click.metaKey || click.shiftKey || click.button !== 0) return;
  click.preventDefault();
  go(link.getAttribute("href"));
});
document.addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || press.target.closest("input, select, textarea, video")) return;
  if (shown?.key?.(press.key)) press.preventDefault();
});
addEventListener("popstate", () => show(false));

const logOut = document.getElementById("log-out");
logOut.addEventListener("click", async () => {
  await api("session", { method: "DELETE", headers: { "X-True-Sight": "1" } });
  location.assign("/login");
});
api("session").then((who) => {
  logOut.hidden = !who.login;
  logOut.textContent = `Log out ${who.name}`;
}).catch(() => {});
await show(false);
connect();
