const form = document.getElementById("login");
const wrong = document.getElementById("wrong");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  wrong.textContent = "";
  try {
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-True-Sight": "1" },
      body: JSON.stringify({ name: form.elements.name.value, password: form.elements.password.value }),
    });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    const { detail } = await answer.json();
    wrong.textContent = typeof detail === "string" ? detail : "the name or the password is wrong";
  } catch {
    wrong.textContent = "the page does not answer: try again";
  }
  button.disabled = false;
  form.elements.password.value = "";
  form.elements.password.focus();
});
