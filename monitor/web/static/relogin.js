// A session has ended: log in again in place, so that nothing on the page is lost.

import { el } from "./parts.js";

let asking = null; // one dialog for all requests that wait

export function logInAgain() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  return new Promise((done) => {
    const wrong = el("p", { class: "wrong", role: "alert" });
    const name = el("input", { name: "name", autocomplete: "username", maxlength: 64, required: true });
    const password = el("input", { name: "password", type: "password", autocomplete: "current-password", maxlength: 1000, required: true });
    const form = el("form", { class: "stack" },
      el("h2", { id: "again" }, "Log in again"),
      el("p", { class: "muted" }, "Your session has ended. What you were doing is kept."),
      el("label", {}, "Name", name), el("label", {}, "Password", password), wrong,
      el("div", { class: "row" }, el("button", { class: "main", type: "submit" }, "Log in"),
        el("button", { type: "button", onclick: () => location.assign("/login") }, "Leave this page")));
    const dialog = el("dialog", { "aria-labelledby": "again" }, form);
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // Escape would leave requests that wait
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      wrong.textContent = "";
      try {
        const answer = await fetch("/api/v1/session", {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-True-Sight": "1" },
          body: JSON.stringify({ name: name.value, password: password.value }),
        });
        if (answer.ok) {
          dialog.close();
          dialog.remove();
          done();
          return;
        }
        const { detail } = await answer.json();
        wrong.textContent = typeof detail === "string" ? detail : "the name or the password is wrong";
      } catch {
        wrong.textContent = "the page does not answer: try again";
      }
      password.value = "";
      password.focus();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
