// Page Now: changes of alerts as they come, a count in the title, a sound. Both are off until somebody wants them.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id), title = document.title, lists = byId("alerts"), recent = new Map();
  let sound = null;

  // As the form of the page narrows it down.
  function wanted({ dataset: { brand, rule, severity } }) {
    const only = lists.dataset;
    return (!only.brand || brand === only.brand) && (!only.rule || rule === only.rule) && +severity >= +only.severity;
  }

  // Of a row whose numbers alone are new. A page that does not show the alert needs none.
  function renew(old, row) {
    if (!old || old.dataset.state !== row.dataset.state || +old.dataset.at > +row.dataset.at) return;
    old.dataset.at = row.dataset.at;
    old.querySelector("p").replaceWith(row.querySelector("p").cloneNode(true));
  }

  // The row where it is, or at the top of the list of its new state; never an older change than the one that is there.
  function put(row, loud) {
    const old = byId(row.id), held = document.activeElement, focus = old && old.contains(held) ? held.id : "";
    if ("numbers" in row.dataset) return renew(old, row);
    if (old && +old.dataset.at > +row.dataset.at) return;
    if (old && old.dataset.state === row.dataset.state) old.replaceWith(row);
    else {
      if (old) old.remove();
      byId(row.dataset.state).prepend(row);
      row.classList.add("new");
      if (loud && row.dataset.state === "firing") ring();
    }
    htmx.process(row);
    local(row);
    if (focus) (byId(focus) || row.querySelector("a")).focus();
  }

  function count() {
    for (const list of lists.querySelectorAll(".alerts")) byId(`${list.id}-count`).textContent = list.children.length || "";
    const firing = byId("firing").children.length;
    document.title = byId("badge-on").checked && firing ? `(${firing}) ${title}` : title;
  }

  function ring() {
    if (!byId("sound-on").checked) return;
    sound = sound || new AudioContext();
    const tone = sound.createOscillator(), volume = sound.createGain(), at = sound.currentTime;
    for (const [hertz, after] of [[660, 0], [880, 0.15]]) tone.frequency.setValueAtTime(hertz, at + after);
    volume.gain.setValueAtTime(0.15, at);
    volume.gain.linearRampToValueAtTime(0, at + 0.4);
    tone.connect(volume).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.4);
  }

  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.target.id !== "changes") return;
    event.preventDefault();
    const holder = Object.assign(document.createElement("template"), { innerHTML: event.detail.data });
    for (const row of [...holder.content.querySelectorAll("li")].filter(wanted)) {
      if (recent.size > 500) recent.clear();
      if ("numbers" in row.dataset && recent.has(row.id)) renew(recent.get(row.id), row);
      else recent.set(row.id, row.cloneNode(true));
      put(row, true);
    }
    count();
  });
  // Lists that were read anew may be older than what the stream has told meanwhile.
  lists.addEventListener("htmx:afterSwap", () => {
    for (const row of recent.values()) put(row.cloneNode(true), false);
    count();
  });
  for (const [id, told] of [["badge-on", count], ["sound-on", ring]]) {
    const box = byId(id);
    box.checked = localStorage.getItem(id) === "on";
    box.onchange = () => [localStorage.setItem(id, box.checked ? "on" : "off"), told()];
  }
  byId("switches").hidden = false;
  count();
})();
