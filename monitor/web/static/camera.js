// One camera, large: its live picture, heat, masks and zones drawn over it, and what an operator may change.

import { api, change, el, failure, scoreText, stateChip } from "./parts.js";
import { curve, detailOf, takeScores } from "./curve.js";
import { drawing } from "./draw.js";
import { feed, paint } from "./feed.js";
import { sure } from "./ask.js";

const OLD_MS = 5000;
const SETUP_MS = 5000;

export async function cameraView(main, name) {
  const canvas = el("canvas", { width: 16, height: 9, role: "img", "aria-label": `live picture of ${name}` });
  const note = el("p", { class: "note", role: "status" }, "no live picture yet");
  const stage = el("div", { class: "stage" }, canvas, note);
  const heat = el("button", { type: "button", "aria-pressed": "false", onclick: switchHeat }, "Heat");
  const chip = el("span");
  const score = el("p", { class: "number" });
  const curveBox = el("div");
  const detail = el("p", { class: "detail" });
  const progress = el("progress", { max: 1, hidden: true, "aria-label": "learned so far" });
  const said = el("p", { class: "said", role: "status" });
  const panel = el("section", { class: "card tools", "aria-label": "What is set" });
  const tools = el("div", { class: "row start" }, heat);
  main.append(
    el("p", {}, el("a", { href: "/" }, "All cameras")),
    el("div", { class: "row" }, el("h1", {}, name), chip),
    el("div", { class: "large" },
      el("div", {}, stage, tools, said),
      el("div", {}, el("section", { class: "card", "aria-label": "Score" },
        el("div", { class: "row" }, score, el("p", { class: "muted" }, "score; threshold 1.00")), curveBox, progress, detail), panel)));

  let camera = null;
  let setup = null;
  let operator = false;
  let hot = false;
  let seenAt = 0;
  let busy = false;

  const pictures = feed((_, bitmap) => {
    paint(canvas, bitmap);
    seenAt = performance.now();
    note.hidden = true;
    stage.classList.remove("stale");
  }, (sentence) => {
    if (!sentence) return;
    note.textContent = `No live pictures: ${sentence}`;
    note.hidden = false;
  });
  const draw = drawing(stage, { save: savePlace, changed: showTools });
  tools.append(draw.tools);

  function switchHeat() {
    hot = !hot;
    heat.setAttribute("aria-pressed", String(hot));
    pictures.see([name], hot);
  }

  function say(sentence, bad = false) {
    said.textContent = sentence;
    said.classList.toggle("bad", bad);
  }

  // Every change takes this way: one at a time, and what the monitor says stands on the page.
  async function ask(path, method, body) {
    if (busy) return null;
    busy = true;
    panel.inert = true;
    say("The monitor is asked ...");
    try {
      const answer = await change(path, method, body);
      say(answer.said);
      return answer;
    } catch (error) {
      say(error.message, true);
      return null;
    } finally {
      busy = false;
      panel.inert = false;
      await load();
    }
  }

  const at = `cameras/${encodeURIComponent(name)}`;

  async function savePlace(place) {
    const { kind, ...body } = place;
    return (await ask(`${at}/${kind}s/${encodeURIComponent(place.name)}`, "PUT", body)) !== null;
  }

  async function removePlace(kind, place) {
    const question = kind === "mask" ? `Remove the mask ${place}? What is below it is seen again.` : `Remove the zone ${place}?`;
    if (await sure(question, "Remove")) await ask(`${at}/${kind}s/${encodeURIComponent(place)}`, "DELETE");
  }

  function showTools() {
    heat.hidden = draw.active();
  }

  function places(kind, list) {
    return list.map((place) => el("li", { class: "row" },
      el("span", {}, el("b", {}, place.name), ` ${ruleOf(kind, place)}`),
      place.fixed ? el("span", { class: "muted" }, "in the config file")
        : operator && el("button", { type: "button", onclick: () => removePlace(kind, place.name) }, `Remove ${place.name}`)));
  }

  function budgetForm() {
    const fixed = setup.fixed_per_day !== null;
    const input = el("input", { type: "number", min: "0.000001", max: "1000000", step: "any", value: setup.per_day, disabled: fixed || !operator, "aria-describedby": "budget-note" });
    const many = el("span", { class: "muted", id: "budget-note" });
    const explain = () => {
      const perDay = Number(input.value);
      many.textContent = fixed ? "set in the config file" : !(perDay > 0) ? "give a number above 0"
        : perDay >= 1 ? `about ${Math.round(perDay * 7)} false alarms per week; a lower budget misses more` : `about one false alarm in ${Math.round(1 / perDay)} days; a higher budget finds more`;
    };
    input.addEventListener("input", explain);
    explain();
    return el("form", { class: "stack", onsubmit: (event) => {
      event.preventDefault();
      ask(`${at}/budget`, "PUT", { per_day: Number(input.value) });
    } }, el("label", {}, "False alarms per day that you accept", input), many,
    !fixed && operator && el("div", { class: "row start" }, el("button", { type: "submit" }, "Set the budget"),
      el("button", { type: "button", onclick: () => ask(`${at}/budget`, "PUT", { per_day: null }) }, "As the config says")));
  }

  async function relearn() {
    if (await sure(`Learn ${name} again, from what it shows from now on? It is not watched until it has learned.`, "Learn again")) await ask(`${at}/relearn`, "POST");
  }

  async function remove() {
    if (!await sure(`Stop watching ${name}? Its model and its events stay.`, "Remove the camera")) return;
    if (await ask(at, "DELETE")) {
      history.pushState(null, "", "/");
      dispatchEvent(new PopStateEvent("popstate"));
    }
  }

  function showPanel() {
    if (panel.contains(document.activeElement) && document.activeElement.matches("input")) return; // somebody writes
    const nodes = [el("h2", {}, "Masks and zones")];
    const list = [...places("mask", setup.masks), ...places("zone", setup.zones)];
    nodes.push(list.length ? el("ul", { class: "plain" }, list) : el("p", { class: "muted" }, "none"));
    nodes.push(el("h2", {}, "Budget"), budgetForm(), el("h2", {}, "Camera"), el("p", { class: "muted" }, setup.source));
    if (operator) {
      nodes.push(el("div", { class: "row start" },
        el("button", { type: "button", onclick: () => ask(`${at}/paused`, "PUT", { paused: !setup.paused }) }, setup.paused ? "Resume" : "Pause"),
        el("button", { type: "button", onclick: () => ask(`${at}/armed`, "PUT", { armed: !setup.armed }) }, setup.armed ? "Disarm" : "Arm"),
        setup.may_relearn && el("button", { type: "button", onclick: relearn }, "Learn again"),
        setup.added && el("button", { type: "button", onclick: remove }, "Remove the camera")));
    } else nodes.push(el("p", { class: "muted" }, "Only an operator can change this."));
    if (operator && setup.why_not_opened) nodes.push(el("p", { class: "muted" }, `No mask, and no learning again: ${setup.why_not_opened}.`));
    if (!setup.armed) nodes.push(el("p", { class: "notice" }, "Disarmed: its events are recorded, and notify nobody."));
    panel.replaceChildren(...nodes);
  }

  function show() {
    chip.replaceChildren(stateChip(camera));
    score.textContent = scoreText(camera.score);
    score.classList.toggle("above", camera.score !== null && camera.score >= camera.threshold);
    curveBox.replaceChildren(curve(camera.curve));
    const learning = camera.state === "learning" && setup?.learning;
    progress.hidden = !learning;
    if (learning) progress.value = learning.share;
    detail.textContent = learning ? `${learning.said}: ${detailOf(camera)}` : detailOf(camera);
  }

  async function load() {
    try {
      const found = await api("setup");
      setup = found.cameras.find((each) => each.name === name) ?? null;
      if (setup === null) throw new Error("this camera is not watched now");
      draw.places(setup, operator);
      showPanel();
      if (camera) show();
    } catch (error) {
      panel.replaceChildren(failure(error));
    }
  }

  const timer = setInterval(() => {
    const old = performance.now() - seenAt > OLD_MS;
    stage.classList.toggle("stale", old && seenAt > 0);
    if (old && seenAt > 0) {
      note.textContent = "the last picture is of before";
      note.hidden = false;
    }
  }, 1000);
  const again = setInterval(() => { if (!busy && setup?.learning) load(); }, SETUP_MS);
  const leave = (event) => { if (draw.active()) event.preventDefault(); };
  addEventListener("beforeunload", leave);

  try {
    const [list, who] = await Promise.all([api("cameras"), api("session")]);
    operator = who.role === "operator";
    camera = list.find((each) => each.name === name) ?? null;
    if (camera === null) throw new Error(`no camera ${name} is known: go back to all cameras`);
    show();
    pictures.see([name], hot);
    await load();
  } catch (error) {
    main.append(failure(error));
  }
  return {
    again: load, // after an outage: a drawing stays
    close() {
      clearInterval(timer);
      clearInterval(again);
      removeEventListener("beforeunload", leave);
      pictures.close();
    },
    take(kind, data) {
      if (kind === "camera" && data.name === name) {
        camera = data;
        if (!busy) load();
      } else if (kind === "cameras") camera = data.find((each) => each.name === name) ?? camera;
      else if (kind === "scores" && camera && data[name]) takeScores(camera, data[name]);
      else if (kind === "alert" && data.camera === name && data.open) say(`Event now: ${data.sentence}`);
      if (camera) show();
    },
  };
}

function ruleOf(kind, place) {
  if (kind === "mask") return place.look === "pixelated" ? "mask, pixelated" : "mask";
  const rules = [place.sensitivity !== null && `counts ${place.sensitivity} times`, place.must_touch && "must be touched"].filter(Boolean);
  return `zone: ${rules.join(", ") || "not scored"}${place.times.length ? `, ${place.times.join("; ")}` : ""}`;
}

