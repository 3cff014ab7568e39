// Draws the charts of a page by uPlot, from JSON (charts.py). Without it the tables beside them say the same.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const LOOKS = {
  main: { stroke: "accent", width: 2 }, before: { stroke: "before", width: 1.5, dash: [5, 4] }, limit: { stroke: "warning", width: 1.5, dash: [8, 4] },
  negative: { stroke: "critical", width: 2 }, neutral: { stroke: "quiet", width: 1.5 }, positive: { stroke: "good", width: 2 },
  dots: { stroke: "critical", width: 2, dots: true }, low: { stroke: "before", width: 1 }, high: { stroke: "before", width: 1 },
};

function series(line, n, data) {
  const look = LOOKS[line.look] || { stroke: `other-${(n % 7) + 1}`, width: 1.5 };
  const show = (value) => value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: data.digits }) + (data.unit === "%" ? " %" : "");
  return {
    label: line.label, stroke: () => colour(look.stroke), width: look.width, dash: look.dash, spanGaps: look.dots || ["low", "high", "limit"].includes(line.look),
    points: { show: look.dots || data.x.length < 3, size: 6 }, value: (plot, value) => show(value),
  };
}

// Alerts: a line where each began, a triangle above it; one of the period that runs is at the end.
const place = (plot, mark, end, canvas) => Math.min(plot.valToPos(mark.x, "x", canvas), end);
const marks = (data) => (plot) => {
  const { ctx, bbox } = plot, size = 5 * devicePixelRatio;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2, 3]);
  for (const mark of data.marks) {
    const x = place(plot, mark, bbox.left + bbox.width, true);
    if (x < bbox.left) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(mark.severity >= 7 ? "critical" : mark.severity >= 4 ? "warning" : "info");
    ctx.stroke(new Path2D(`M${x} ${bbox.top}v${bbox.height}`));
    ctx.fill(new Path2D(`M${x - size} ${bbox.top}h${2 * size}L${x} ${bbox.top + 1.6 * size}`));
  }
  ctx.restore();
};

// Times of the axis, in the reader's zone and language; the day where one begins.
function times(plot, ticks, axis, space, step) {
  const days = step >= 86400, year = step >= 86400 * 28 ? "numeric" : undefined;
  const day = (at) => at.toLocaleDateString(undefined, { day: "numeric", month: "short", year });
  const time = (at) => at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  return ticks.map((tick, n) => {
    const at = new Date(tick * 1000), first = n === 0 || new Date(ticks[n - 1] * 1000).getDate() !== at.getDate();
    return days ? day(at) : first ? `${time(at)}\n${day(at)}` : time(at);
  });
}
const whole = (plot, at) => at == null ? "–" : new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

// A click on an alert's line leads to it, one elsewhere to the posts of its point.
function follow(plot, data) {
  const { left, top, idx } = plot.cursor;
  const near = data.marks.find((mark) => top < 24 && Math.abs(place(plot, mark, plot.over.clientWidth) - left) < 8);
  const href = near ? near.href : data.links[idx];
  if (href) location.href = href;
}

function draw(box, data) {
  if (!data.x.length) return;
  const axis = { stroke: () => colour("quiet"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line"), width: 1 } };
  const low = data.lines.findIndex((line) => line.look === "low"), high = data.lines.findIndex((line) => line.look === "high");
  const plot = new uPlot({
    width: box.clientWidth, height: 240, series: [{ label: "Time", value: whole }, ...data.lines.map((line, n) => series(line, n, data))],
    axes: [{ ...axis, values: times, space: 70 }, { ...axis, size: 60, values: (self, ticks) => ticks.map((tick) => tick.toLocaleString()) }],
    scales: { y: { range: (self, least, most) => [Math.min(0, least), most > 0 ? most * 1.08 : 1] } },
    bands: low < 0 || high < 0 ? [] : [{ series: [high + 1, low + 1], fill: () => colour("line") + "99" }],
    cursor: { drag: { setScale: false, x: false, y: false } },
    hooks: { draw: [marks(data)] },
  }, [data.x, ...data.lines.map((line) => line.values)], box);
  plot.over.addEventListener("click", () => follow(plot, data));
  box.classList.toggle("still", !data.links.length && !data.marks.length);
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 240 })).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
}

async function load(box) {
  box.setAttribute("aria-busy", true);
  try {
    draw(box, await (await fetch(box.dataset.chart, { headers: { Accept: "application/json" } })).json()); // an error is none
  } catch {
    box.textContent = "The chart can't be had now: the table below has its numbers.";
  }
  box.setAttribute("aria-busy", false);
}

function all(root) {
  for (const box of root.querySelectorAll("[data-chart]:not(.drawn, .without)")) {
    box.classList.add(window.uPlot ? "drawn" : "without");
    if (window.uPlot) load(box);
  }
}
document.addEventListener("htmx:load", (event) => all(event.detail.elt));
all(document);
