// Masks and zones over a picture: shown, and drawn with a mouse, a finger or the keyboard. Corners are shares of the picture.

import { NAME, el, svg } from "./parts.js";

const KINDS = { mask: "Privacy mask: grey", pixelated: "Privacy mask: large blocks", ignore: "Zone: not scored", weigh: "Zone: counts more or less", touch: "Zone: must be touched" };
const MASKS = ["mask", "pixelated"];
const STEP = 0.01; // of the picture, per arrow key
const MOST = 100;

// stage: the box around the picture. save({kind, name, polygon, ...}) gives a promise of true if it holds.
export function drawing(stage, { save, changed }) {
  const shapes = svg("svg", { class: "shapes", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  const board = el("div", { class: "board", hidden: true });
  stage.append(shapes, board);
  let known = { masks: [], zones: [] };
  let corners = null; // of the place that is drawn now; null: none
  let dragged = -1;

  const start = el("button", { type: "button", hidden: true, onclick: begin }, "Draw a mask or zone");
  const kind = el("select", { "aria-label": "Kind" }, Object.entries(KINDS).map(([value, text]) => el("option", { value }, text)));
  const name = el("input", { maxlength: 64, required: true, pattern: NAME, title: "letters, digits, - _ and .", placeholder: "such as window", autocomplete: "off" });
  const factor = el("input", { type: "number", min: 0.1, max: 10, step: 0.1, value: 0.5 });
  const factorBox = el("label", { hidden: true }, "How many times it counts", factor);
  const hint = el("p", { class: "muted" });
  const form = el("form", { class: "card stack drawform", hidden: true, "aria-label": "New mask or zone", onsubmit: finish },
    hint,
    el("label", {}, "Kind", kind), factorBox, el("label", {}, "Name", name),
    el("div", { class: "row start" },
      el("button", { type: "button", onclick: rectangle }, "Rectangle"),
      el("button", { type: "button", onclick: () => { corners.pop(); render(); } }, "Undo corner"),
      el("button", { type: "submit", class: "main" }, "Save"),
      el("button", { type: "button", onclick: end }, "Cancel")));
  kind.addEventListener("change", () => { factorBox.hidden = kind.value !== "weigh"; render(); });

  function begin() {
    corners = [];
    form.hidden = board.hidden = false;
    start.hidden = true;
    render();
    changed();
    form.scrollIntoView({ block: "nearest" });
    kind.focus({ preventScroll: true }); // the button that had the focus is hidden
  }

  function end() {
    corners = null;
    dragged = -1;
    form.hidden = board.hidden = true;
    start.hidden = false;
    name.value = "";
    render();
    changed();
    start.focus({ preventScroll: true });
  }

  function rectangle() {
    corners = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]];
    render();
  }

  async function finish(event) {
    event.preventDefault();
    if (corners.length < 3) {
      hint.textContent = "Give at least three corners: tap into the picture.";
      return;
    }
    const masks = kind.value === "mask" || kind.value === "pixelated";
    const place = { kind: masks ? "mask" : "zone", name: name.value.trim(), polygon: corners.map(([x, y]) => [round(x), round(y)]) };
    if (masks) place.look = kind.value === "pixelated" ? "pixelated" : "solid";
    if (kind.value === "weigh") place.sensitivity = Number(factor.value);
    if (kind.value === "touch") place.must_touch = true;
    if (await save(place)) end(); // else the drawing stays, and the page says why
  }

  function at(event) {
    const box = board.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  }

  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const index = [...board.children].indexOf(event.target);
    if (index >= 0) dragged = index;
    else if (corners.length < MOST) {
      corners.push(at(event));
      dragged = corners.length - 1;
    } else return;
    board.setPointerCapture(event.pointerId);
    render();
  });
  board.addEventListener("pointermove", (event) => {
    if (dragged < 0 || !corners) return;
    corners[dragged] = at(event);
    render();
  });
  for (const over of ["pointerup", "pointercancel"]) board.addEventListener(over, () => { dragged = -1; });
  board.addEventListener("keydown", (press) => {
    const index = [...board.children].indexOf(press.target);
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[press.key];
    if (index < 0 || (!step && press.key !== "Delete")) return;
    press.preventDefault();
    if (step) corners[index] = [clamp(corners[index][0] + step[0]), clamp(corners[index][1] + step[1])];
    else corners.splice(index, 1);
    render();
    board.children[Math.min(index, corners.length - 1)]?.focus();
  });

  function render() {
    const drawn = corners ?? [];
    while (board.children.length > drawn.length) board.lastChild.remove();
    while (board.children.length < drawn.length) board.append(el("button", { type: "button", class: "corner" }));
    drawn.forEach(([x, y], number) => {
      const corner = board.children[number];
      corner.style.left = `${100 * x}%`;
      corner.style.top = `${100 * y}%`;
      corner.setAttribute("aria-label", `corner ${number + 1}, ${Math.round(100 * x)} % from the left, ${Math.round(100 * y)} % from the top`);
    });
    hint.textContent = drawn.length < 3 ? "Tap into the picture to set corners, in order around the place. Drag a corner to move it; arrow keys move it, too."
      : `${drawn.length} corners. Save it when it covers the place.`;
    const shape = (place, type) => svg("polygon", { points: place.polygon.map((point) => point.join(",")).join(" "), class: type });
    shapes.replaceChildren(
      ...known.zones.map((zone) => shape(zone, "zone")), ...known.masks.map((mask) => shape(mask, "mask")),
      ...(drawn.length > 1 ? [shape({ polygon: drawn }, "drawn")] : []));
  }

  return {
    tools: el("div", { class: "drawtools" }, start, form),
    active: () => corners !== null,
    places(setup, operator) {
      known = setup;
      for (const option of kind.options) option.disabled = MASKS.includes(option.value) && Boolean(setup.why_not_opened);
      if (kind.selectedOptions[0]?.disabled) kind.value = "ignore";
      start.hidden = corners !== null || !operator;
      render();
    },
  };
}

const clamp = (share) => Math.min(1, Math.max(0, share));
const round = (share) => Math.round(share * 10000) / 10000;
