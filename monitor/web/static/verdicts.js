// What people say about events: normal here, real, or a name; what it would change before it does; and undo.

import { api, change, el, failure, timeOf } from "./parts.js";

const TOAST_MS = 12000;
const MOST_TRIED = 20; // events of many that are tried before they are marked normal
const AT_ONCE = 20;

// A dialog with a form. Returns what the form's `read` gives, or null if it was closed.
export function ask(title, content, { confirm = "OK", read = () => true, ready = null } = {}) {
  return new Promise((done) => {
    const go = el("button", { type: "submit", class: "main" }, confirm);
    const wrong = el("p", { role: "alert" });
    const dialog = el("dialog", { "aria-label": title },
      el("form", { onsubmit: (event) => { event.preventDefault(); const value = read(wrong); if (value !== null) end(value); } },
        el("h2", {}, title), content, wrong,
        el("div", { class: "tabs" }, go, el("button", { type: "button", onclick: () => end(null) }, "Cancel"))));
    function end(value) {
      dialog.remove();
      done(value);
    }
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); end(null); });
    document.body.append(dialog);
    dialog.showModal();
    ready?.(go, dialog);
  });
}

export function toaster() {
  const text = el("span", {});
  const undo = el("button", { type: "button" }, "Undo");
  const box = el("div", { class: "toast", role: "status", hidden: true }, text, undo);
  let timer = 0;
  let action = null;
  undo.addEventListener("click", () => { hide(); action?.(); });
  function hide() {
    clearTimeout(timer);
    box.hidden = true;
  }
  return {
    box,
    hide,
    say(sentence, take = null) {
      clearTimeout(timer);
      action = take;
      text.textContent = sentence;
      undo.hidden = take === null;
      box.hidden = false;
      timer = setTimeout(hide, TOAST_MS);
    },
  };
}

function askName(names, before) {
  const input = el("input", { id: "event-name", maxlength: 64, required: true, autocomplete: "off", list: "event-names", value: before });
  const known = names.map((name) => el("button", { type: "button", onclick: () => { input.value = name; input.form.requestSubmit(); } }, name));
  return ask("What was it?", [
    el("p", { class: "muted" }, "A name says that it was real, too. Later events like it carry the name."),
    el("label", { for: "event-name" }, "Name"), input,
    el("datalist", { id: "event-names" }, names.map((name) => el("option", { value: name }))),
    known.length ? el("div", { class: "tabs", role: "group", "aria-label": "Names given before" }, known) : "",
  ], { confirm: "Give this name", read: () => input.value.trim() || null, ready: () => input.focus() });
}

// The actions below an event. `changed(event)` is called after each verdict, `next()` afterwards.
export function verdicts({ changed, next, toast }) {
  let may = false;
  let names = [];
  let busy = false;
  const last = []; // ids of the events judged here, the last one at the end
  const scope = el("select", { id: "scope" }, el("option", { value: "here" }, "in this place"), el("option", { value: "picture" }, "everywhere in the picture"));
  const hours = el("select", { id: "hours" }, el("option", { value: "" }, "around this time of day"), el("option", { value: "1" }, "at any hour"));
  const said = el("div", { class: "preview", role: "status" });
  const where = el("details", { class: "where" }, el("summary", {}, "Where and when it is normal"),
    el("div", { class: "filters" }, el("label", { for: "scope" }, "Where", scope), el("label", { for: "hours" }, "When", hours)));

  const body = (verdict) => ({ verdict, scope: scope.value, all_hours: hours.value !== "" });

  async function load() {
    const found = await api("names").catch(() => null);
    if (found) ({ may, names } = found);
  }

  async function doing(work) {
    if (busy || !may) return;
    busy = true;
    try {
      await work();
    } catch (error) {
      said.replaceChildren(failure(error));
    }
    busy = false;
  }

  async function give(event, verdict) {
    const answer = await change(`events/${event.id}/verdict`, "POST", body(verdict));
    last.push(event.id);
    said.replaceChildren();
    if (verdict !== "normal" && verdict !== "real" && !names.includes(verdict)) names = [...names, verdict].sort();
    toast.say(answer.said.replace(`event ${event.event_id}`, "the event"), () => undoOf(event.id));
    changed(answer.event);
    next();
  }

  const undoOf = (id) => doing(async () => {
    const answer = await change(`events/${id}/verdict`, "DELETE");
    if (last.includes(id)) last.splice(last.lastIndexOf(id), 1);
    toast.say(answer.said.replace(`event ${answer.event.event_id}`, "the event"));
    changed(answer.event);
  });

  function consequence(event, preview) {
    const confirm = el("button", { type: "button", class: "main", onclick: () => doing(() => give(event, "normal")) }, "Normal here, hide them");
    said.replaceChildren(
      el("p", { class: "reason" }, `It ${preview.said}`, preview.events.length ? ", among them:" : "."),
      el("ul", { class: "hits" }, preview.events.map((each) => el("li", {},
        el("a", { href: `/review#${each.id}` }, each.camera, " ", timeOf(each.started_at)),
        ` ${each.sentence}`, each.verdict ? ` – judged ${each.verdict}` : ""))),
      el("div", { class: "tabs" }, confirm, el("button", { type: "button", onclick: () => said.replaceChildren() }, "Leave it")));
    confirm.focus();
  }

  const normal = (event) => doing(async () => {
    if (said.dataset.id === event.id && said.querySelector("button.main")) { // the key again confirms
      await give(event, "normal");
      return;
    }
    said.dataset.id = event.id;
    said.replaceChildren(el("p", { class: "muted" }, "Looking at the alarms of the last 30 days…"));
    const preview = await change(`events/${event.id}/preview`, "POST", body("normal"));
    if (said.dataset.id !== event.id || !said.isConnected) return;
    if (preview.events.length === 0) await give(event, "normal"); // it would have hidden nothing else
    else consequence(event, preview);
  });
  const real = (event) => doing(() => give(event, "real"));
  const name = (event) => doing(async () => {
    const given = await askName(names, event.verdict && event.verdict !== "normal" && event.verdict !== "real" ? event.verdict : event.name);
    if (given !== null) await give(event, given);
  });
  const undo = (event) => {
    const id = last.at(-1) ?? (event?.verdict ? event.id : null);
    if (id) undoOf(id);
  };

  async function many(events, whole) {
    const verdict = el("select", { id: "all-verdict" }, ["normal", "real", ...names].map((each) => el("option", { value: each }, each)));
    const words = el("p", { role: "status" });
    let go = null;
    let open = true;
    async function look() {
      if (verdict.value !== "normal") {
        words.textContent = "";
        go.disabled = false;
        return;
      }
      go.disabled = true;
      const hidden = new Set();
      const tried = events.slice(0, MOST_TRIED);
      for (const [at, event] of tried.entries()) {
        if (!open || verdict.value !== "normal") return;
        words.textContent = `Looking at what that would have hidden: ${at + 1} of ${tried.length}…`;
        try {
          const preview = await change(`events/${event.id}/preview`, "POST", body("normal"));
          for (const hit of preview.events) hidden.add(hit.id);
        } catch { /* this one cannot be tried: marking it says why */ }
      }
      for (const event of events) hidden.delete(event.id);
      words.textContent = `Besides these events, it would have hidden ${hidden.size} alarms of the last 30 days`
        + (tried.length < events.length ? `, judged by the first ${tried.length}.` : ".");
      go.disabled = false;
    }
    verdict.addEventListener("change", look);
    const chosen = await ask(`Mark ${events.length} ${events.length === 1 ? "event" : "events"}`, [
      el("p", { class: "muted" }, whole, " Those that somebody has judged already are left out."),
      el("label", { for: "all-verdict" }, "All of them were"), verdict, words,
    ], { confirm: "Mark all", read: () => verdict.value, ready: (button) => { go = button; look(); } });
    open = false;
    if (chosen === null) return;
    await doing(async () => {
      const done = [];
      const refused = [];
      for (let at = 0; at < events.length; at += AT_ONCE) {
        const ids = events.slice(at, at + AT_ONCE).map((event) => event.id);
        toast.say(`Marking ${at + ids.length} of ${events.length}…`);
        const answer = await change("verdicts", "POST", { ...body(chosen), events: ids });
        refused.push(...answer.refused);
        const not = new Set(answer.refused.map((each) => each.id));
        done.push(...ids.filter((id) => !not.has(id)));
      }
      last.push(...done);
      const why = refused.length ? ` ${refused.length} were not taken: ${refused[0].why}.` : "";
      toast.say(`${done.length} events are ${chosen}.${why}`, done.length ? async () => {
        for (const id of done) await undoOf(id);
        toast.say(`${done.length} verdicts are taken back.`);
      } : null);
    });
  }

  return {
    load,
    many,
    may: () => may,
    actions(event) {
      said.replaceChildren();
      delete said.dataset.id;
      if (!may || !event.can_judge) return "";
      const key = (letter) => el("kbd", { "aria-hidden": "true" }, letter);
      return [
        el("div", { class: "verdict", role: "group", "aria-label": "What was it?" },
          el("button", { type: "button", "aria-keyshortcuts": "n", "aria-pressed": String(event.verdict === "normal"), onclick: () => normal(event) }, "Normal here ", key("n")),
          el("button", { type: "button", "aria-keyshortcuts": "r", "aria-pressed": String(event.verdict === "real"), onclick: () => real(event) }, "Real ", key("r")),
          el("button", { type: "button", "aria-keyshortcuts": "m", onclick: () => name(event) }, "Name… ", key("m")),
          event.verdict ? el("button", { type: "button", "aria-keyshortcuts": "u", onclick: () => undoOf(event.id) }, "Undo ", key("u")) : ""),
        said, where];
    },
    key(letter, event) {
      if (!may || document.querySelector("dialog[open]")) return false;
      if (letter === "u") undo(event);
      else if (!event?.can_judge) return false;
      else if (letter === "n") normal(event);
      else if (letter === "r") real(event);
      else if (letter === "m") name(event);
      else return false;
      return true;
    },
  };
}
