// A form that tries a camera as the doctor does, and adds it.

import { NAME, api, change, el } from "./parts.js";

// refusals: monitors, {number, why_not_opened}, that can add none.
export function addCamera(refusals = []) {
  const name = el("input", { maxlength: 64, required: true, pattern: NAME, title: "letters, digits, - _ and .", autocomplete: "off", placeholder: "such as door" });
  const source = el("input", { maxlength: 2000, required: true, autocomplete: "off", spellcheck: "false", placeholder: "rtsp://user:password@192.168.1.20/stream" });
  const transport = el("select", {}, el("option", { value: "" }, "as it works"), el("option", { value: "tcp" }, "TCP"), el("option", { value: "udp" }, "UDP"));
  const monitor = el("select", {});
  const which = el("label", { hidden: true }, "Monitor", monitor);
  api("health").then((now) => { // with several monitors, it is asked which of them shall watch it
    const nodes = now.monitor.monitors ?? [];
    const refused = new Set(refusals.map((each) => each.number));
    monitor.append(...nodes.map((each, number) => refused.has(number) ? "" : el("option", { value: number }, each.node || `monitor ${number + 1}`)).filter(Boolean));
    which.hidden = nodes.length < 2;
  }).catch(() => {});
  const said = el("p", { class: "said", role: "status" });
  const found = el("ul", { class: "plain findings" });
  const test = el("button", { type: "button", onclick: () => run("Testing the camera, for some seconds ...", tryIt) }, "Test");
  const add = el("button", { type: "submit", class: "main" }, "Add");
  const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const form = el("form", { class: "stack", onsubmit: (event) => {
    event.preventDefault();
    run("Adding the camera ...", addIt);
  } },
  el("h2", { id: "add-title" }, "Add a camera"),
  which, el("label", {}, "Name", name), el("label", {}, "Address, or file on the monitor's machine", source), el("label", {}, "Transport of an RTSP camera", transport),
  said, found, el("div", { class: "row start" }, test, add, close));
  const dialog = el("dialog", { "aria-labelledby": "add-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();

  const given = () => ({ source: source.value.trim(), transport: transport.value || null, monitor: Number(monitor.value) });

  async function run(words, work) {
    if (!source.reportValidity()) return;
    test.disabled = add.disabled = true;
    said.className = "said";
    said.textContent = words;
    found.replaceChildren();
    try {
      await work();
    } catch (error) {
      said.className = "said bad";
      said.textContent = error.message;
    }
    test.disabled = add.disabled = false;
  }

  async function tryIt() {
    const answer = await change("cameras/test", "POST", given());
    said.textContent = answer.said;
    said.classList.toggle("bad", !answer.usable);
    found.replaceChildren(...answer.findings.map((each) => el("li", { class: `finding ${each.state}` },
      el("b", {}, { ok: "fine", warning: "warning", problem: "problem" }[each.state] ?? each.state), `: ${each.found}`, each.fix && el("span", { class: "muted" }, ` To fix it: ${each.fix}.`))));
  }

  async function addIt() {
    const answer = await change("cameras", "POST", { camera: name.value.trim(), ...given() });
    said.textContent = answer.said;
    name.value = source.value = "";
  }
}
