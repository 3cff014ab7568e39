// The console's own script. Every page works without it.
"use strict";

// Times in the reader's zone; UTC, as the server wrote it, stays on hover.
function local(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.dataset.local = "";
    const fine = time.dataset.to === "minutes" ? "short" : "medium";
    const day = !time.closest("[data-dated]") && at.toDateString() === new Date().toDateString();
    time.textContent = at.toLocaleString(undefined, day ? { timeStyle: fine } : { dateStyle: "medium", timeStyle: fine });
  }
}

// A line that a screen reader says, too; it goes by itself.
function notice(text) {
  const line = Object.assign(document.createElement("p"), { textContent: text });
  document.getElementById("notices").replaceChildren(line);
  setTimeout(() => line.remove(), 10000);
}

// One press is one act: until the answer is there, the form is busy.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => [...document.forms].forEach((form) => delete form.dataset.sent));

// A part that is on its way: the style shows it, and a screen reader waits for it.
for (const [name, busy] of [["beforeRequest", true], ["afterRequest", false]])
  document.addEventListener(`htmx:${name}`, (event) => event.detail.target.setAttribute("aria-busy", busy));

// An act that is left, or done, goes from the page on which it was asked for.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-close]")) return;
  event.preventDefault();
  document.getElementById("act").replaceChildren();
  document.getElementById("main").focus();
});

// The session ended while somebody typed: sent as a plain form, what was typed is kept and shown again.
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status, form = event.detail.elt.closest("form");
  if ((status === 401 || status === 403) && form && form.method === "post") {
    form.removeAttribute("hx-post");
    HTMLFormElement.prototype.submit.call(form);
  } else if (status === 401) location.reload();
  else notice(event.detail.xhr.statusText || "It failed: load the page again.");
});
document.addEventListener("htmx:sendError", () => notice("The console does not answer. What is shown may be old."));
document.addEventListener("htmx:load", (event) => local(event.detail.elt));
local(document);
