// Page Now: changes of alerts as they come, a count in the title, a sound. Both are off until somebody wants them.
"use strict";
(() => {
  const lists = document.getElementById("alerts"), title = document.title, byId = (id) => document.getElementById(id);
  if (!lists) return;

  // As the form of the page narrows it down.
  function wanted(row) {
    const { brand, rule, severity } = lists.dataset, of = row.dataset;
    return (!brand || of.brand === brand) && (!rule || of.rule === rule) && Number(of.severity) >= Number(severity);
  }

  // The row in its list: where it is, or at the top of the list of its new state. An older change than the one there is none.
  function put(row) {
    const old = byId(row.id), held = document.activeElement, focus = old && old.contains(held) ? held.id : "";
    if (old && Number(old.dataset.at) > Number(row.dataset.at)) return;
    const moves = !old || old.dataset.state !== row.dataset.state;
    if (!moves) old.replaceWith(row);
    else {
      if (old) old.remove();
      byId(row.dataset.state).prepend(row);
      row.classList.add("new");
      if (row.dataset.state === "firing") ring();
    }
    htmx.process(row);
    local(row);
    if (focus) (byId(focus) || row.querySelector("a")).focus();
    count();
  }

  function count() {
    for (const list of lists.querySelectorAll(".alerts")) byId(`${list.id}-count`).textContent = list.children.length || "";
    const firing = byId("firing").children.length;
    document.title = byId("badge-on").checked && firing ? `(${firing}) ${title}` : title;
  }

  let sound = null;
  function ring() {
    if (!byId("sound-on").checked) return;
    sound = sound || new AudioContext();
    const tone = sound.createOscillator(), volume = sound.createGain(), at = sound.currentTime;
    tone.frequency.setValueAtTime(660, at);
    tone.frequency.setValueAtTime(880, at + 0.15);
    volume.gain.setValueAtTime(0.15, at);
    volume.gain.linearRampToValueAtTime(0, at + 0.4);
    tone.connect(volume).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.4);
  }

  lists.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.target.id !== "changes") return;
    event.preventDefault();
    const holder = document.createElement("template");
    holder.innerHTML = event.detail.data;
    for (const row of holder.content.querySelectorAll("li")) if (wanted(row)) put(row);
  });
  lists.addEventListener("htmx:afterSwap", count);
  for (const [id, told] of [["badge-on", count], ["sound-on", ring]]) {
    byId(id).checked = localStorage.getItem(id) === "on";
    byId(id).addEventListener("change", (event) => {
      localStorage.setItem(id, event.target.checked ? "on" : "off");
      told();
    });
  }
  byId("switches").hidden = false;
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (!close) return;
    event.preventDefault();
    byId(close.dataset.close).replaceChildren();
    byId("main").focus();
  });
  count();
})();
