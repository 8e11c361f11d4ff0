// Asks before something is done that cannot simply be undone.

import { el } from "./parts.js";

// act: what the button does, in words
export function sure(question, act) {
  return new Promise((done) => {
    const dialog = el("dialog", { "aria-labelledby": "question" },
      el("form", { method: "dialog", class: "stack" }, el("p", { id: "question" }, question),
        el("div", { class: "row start" }, el("button", { class: "main", value: "yes" }, act), el("button", { value: "no" }, "Cancel"))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
