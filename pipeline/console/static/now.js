// Page Now: changes of alerts as they come, a count in the title, a sound. Both are off until somebody wants them.
const byId = (id) => document.getElementById(id), title = document.title, lists = byId("alerts"), recent = new Map();
const live = byId("live"), silent = byId("silent"), since = silent.querySelector("time"), QUIET_MS = 12_000;
let sound = null, heard = 0, lost = false;

// As the form of the page narrows it down.
function wanted({ dataset: { brand, rule, severity } }) {
  const only = lists.dataset;
  return (!only.brand || brand === only.brand) && (!only.rule || rule === only.rule) && +severity >= +only.severity;
}

// The stream gives a sign of life every 4 s. Once it has begun, a page without one says since when what it shows may be old.
function look() {
  const away = lost || (heard && Date.now() - heard > QUIET_MS);
  [live.hidden, silent.hidden] = [away, !away];
}

function hear() {
  [heard, lost] = [Date.now(), false];
  since.title = since.dateTime = new Date().toISOString();
  delete since.dataset.local;
  local(silent);
  look();
}

// Of a row whose numbers alone are new. A page that does not show the alert needs none.
function renew(old, row) {
  if (!old || old.dataset.state !== row.dataset.state || +old.dataset.at > +row.dataset.at) return;
  old.dataset.at = row.dataset.at;
  old.querySelector("p").replaceWith(row.querySelector("p").cloneNode(true));
}

// The row where it is, or at its place in the list of its new state; never an older change than the one that is there.
function put(row, loud) {
  const old = byId(row.id), held = document.activeElement, focus = old && old.contains(held) ? held.id : "";
  if ("numbers" in row.dataset) return renew(old, row);
  if (old && +old.dataset.at > +row.dataset.at) return;
  const list = byId(row.dataset.state), moved = !old || old.parentNode !== list;
  if (old) old.remove();
  list.insertBefore(row, [...list.children].find((each) => each.dataset.order > row.dataset.order) || null);
  row.classList.toggle("new", moved);
  if (moved && loud && list.id === "firing") ring();
  htmx.process(row);
  if (focus) (byId(focus) || row.querySelector("a")).focus();
}

function count() {
  for (const list of lists.querySelectorAll(".alerts")) byId(`${list.id}-count`).textContent = list.children.length || "";
  document.title = byId("badge-on").checked && byId("firing").firstElementChild ? `(${byId("firing").children.length}) ${title}` : title;
}

function ring() {
  if (!byId("sound-on").checked) return;
  sound = sound || new AudioContext();
  const tone = sound.createOscillator(), volume = sound.createGain(), at = sound.currentTime;
  for (const [hertz, after] of [[660, 0], [880, 0.15]]) tone.frequency.setValueAtTime(hertz, at + after);
  volume.gain.setValueAtTime(0.15, at).linearRampToValueAtTime(0, at + 0.4);
  tone.connect(volume).connect(sound.destination);
  tone.start(at);
  tone.stop(at + 0.4);
}

document.addEventListener("htmx:sseBeforeMessage", (event) => {
  hear();
  if (event.target.id !== "changes") return;
  event.preventDefault();
  const holder = Object.assign(document.createElement("template"), { innerHTML: event.detail.data });
  local(holder.content);
  for (const row of [...holder.content.querySelectorAll("li")].filter(wanted)) {
    if (recent.size > 500) recent.clear();
    if ("numbers" in row.dataset && recent.has(row.id)) renew(recent.get(row.id), row);
    else recent.set(row.id, row.cloneNode(true));
    put(row, true);
  }
  count();
});
document.addEventListener("htmx:sseError", () => look(lost = true));
setInterval(look, 2000);
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
