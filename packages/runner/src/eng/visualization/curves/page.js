"use strict";
// Data: {runs: [{name, title, status}], charts: [{name, axis, folded, curves: [[run, steps, values]]}], source};
// a value that is not finite is null. Where there is a source, the page asks it for newer data.
let data = JSON.parse(document.getElementById("data").textContent);
const source = data.source;
const colors = ["#3b6fd4", "#d9622b", "#2f9e6e", "#b3479e", "#b38a1d", "#2b9db5", "#8a5cd6", "#c8465a", "#6f8a2e", "#7a6a5a"];
const color = run => colors[run % colors.length];
const shown = data.runs.map(() => true), charts = new Map();
const margin = { left: 58, right: 10, top: 8, bottom: 26 };
let logScale = false;

function element(parent, name, attributes = {}, text) {
  const svg = parent instanceof SVGElement || name === "svg";
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "not finite";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}

// Round numbers between two ends; powers of ten on a logarithmic axis that spans several.
function ticks(low, high, wanted, logarithmic) {
  if (logarithmic && high - low > 1) {
    const step = Math.max(1, Math.ceil((high - low) / wanted));
    const found = [];
    for (let power = Math.ceil(low); power <= high; power += step) found.push(power);
    return found;
  }
  const raw = (high - low) / wanted || 1;
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * base).find(candidate => candidate >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

// First index whose step is not below `wanted`.
function search(steps, wanted) {
  let low = 0, high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

class Chart {
  constructor(parent, description, number) {
    this.clip = "clip-" + number;
    this.axis = description.axis;
    this.take(description.curves);
    this.figure = element(parent, "figure", { "data-name": description.name, "data-axis": this.axis });
    const caption = element(this.figure, "figcaption", {}, description.name + " ");
    element(caption, "small", {}, "over " + this.axis);
    this.svg = element(this.figure, "svg", { role: "img", "aria-label": description.name + " over " + this.axis });
    this.tip = element(this.figure, "div", { class: "tip", hidden: "" });
    this.svg.addEventListener("pointerdown", event => this.press(event));
    this.svg.addEventListener("pointermove", event => this.move(event));
    this.svg.addEventListener("pointerup", event => this.release(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("dblclick", () => this.zoom(...this.whole));
    this.svg.addEventListener("wheel", event => this.turn(event), { passive: false });
    this.draw();
  }

  // New points: the range follows them where all of the curve is shown, and stays where the reader looks at a part.
  take(curves) {
    const follows = !this.range || (this.range[0] === this.whole[0] && this.range[1] === this.whole[1]);
    this.curves = curves;
    const steps = curves.flatMap(([, s]) => [s[0], s[s.length - 1]]);
    this.whole = [Math.min(...steps), Math.max(...steps)];
    if (this.whole[0] === this.whole[1]) this.whole = [this.whole[0] - 0.5, this.whole[1] + 0.5];
    if (follows) this.range = [...this.whole];
  }

  value(raw) {
    if (raw === null) return null;
    return logScale ? (raw > 0 ? Math.log10(raw) : null) : raw;
  }

  visible() { return this.curves.filter(([run]) => shown[run]); }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;  // folded away
    this.width = width; this.height = height;
    this.svg.replaceChildren();
    this.figure.dataset.from = this.range[0];
    this.figure.dataset.to = this.range[1];
    const parts = this.visible().map(([run, steps, values]) => this.part(run, steps, values));
    const all = parts.flatMap(part => part.points.map(point => point[1]));
    let low = Infinity, high = -Infinity;
    for (const value of all) { if (value < low) low = value; if (value > high) high = value; }
    if (!all.length) {
      const why = !this.visible().length ? "no run is switched on" : logScale ? "nothing positive here" : "no finite values here";
      element(this.svg, "text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, why);
      return;
    }
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
    this.values = [low - room, high + room];
    this.drawAxes();
    for (const part of parts) this.drawPart(part);
    this.overlay = element(this.svg, "g");
  }

  // Points in range, with neighbours; where many fall on one pixel, their lowest and highest.
  part(run, steps, values) {
    const from = Math.max(0, search(steps, this.range[0]) - 1), to = Math.min(steps.length, search(steps, this.range[1]) + 1);
    const buckets = Math.max(1, Math.floor(this.width)), size = (to - from) / buckets;
    const points = [];
    let gap = false;
    const add = index => {
      const value = this.value(values[index]);
      if (value === null) gap = true;
      else { points.push([steps[index], value, gap]); gap = false; }
    };
    if (size <= 4) for (let index = from; index < to; index++) add(index);
    else for (let bucket = 0; bucket < buckets; bucket++) {
      const start = Math.floor(from + bucket * size), end = Math.min(to, Math.floor(from + (bucket + 1) * size));
      let lowest = start, highest = start;
      for (let index = start; index < end; index++) {
        const value = this.value(values[index]);
        if (value === null) continue;
        if (this.value(values[lowest]) === null || value < this.value(values[lowest])) lowest = index;
        if (this.value(values[highest]) === null || value > this.value(values[highest])) highest = index;
      }
      for (const index of [...new Set([lowest, highest])].sort((a, b) => a - b)) add(index);
    }
    return { run, points };
  }

  x(step) {
    const [from, to] = this.range;
    return margin.left + (step - from) / (to - from) * (this.width - margin.left - margin.right);
  }

  y(value) {
    const [low, high] = this.values;
    return this.height - margin.bottom - (value - low) / (high - low) * (this.height - margin.top - margin.bottom);
  }

  step(x) {
    const share = (x - margin.left) / (this.width - margin.left - margin.right);
    return this.range[0] + Math.min(1, Math.max(0, share)) * (this.range[1] - this.range[0]);
  }

  drawAxes() {
    const right = this.width - margin.right, bottom = this.height - margin.bottom;
    for (const value of ticks(...this.values, 5, logScale)) {
      const y = this.y(value);
      element(this.svg, "line", { class: "grid", x1: margin.left, x2: right, y1: y, y2: y });
      element(this.svg, "text", { x: margin.left - 6, y: y + 4, "text-anchor": "end" }, short(logScale ? 10 ** value : value));
    }
    for (const step of ticks(...this.range, 6, false))
      element(this.svg, "text", { x: this.x(step), y: bottom + 16, "text-anchor": "middle" }, short(step));
    const clip = element(element(this.svg, "defs"), "clipPath", { id: this.clip });
    element(clip, "rect", { x: margin.left, y: 0, width: Math.max(0, right - margin.left), height: bottom + 2 });
  }

  drawPart({ run, points }) {
    const clip = "url(#" + this.clip + ")";
    const path = points.map(([step, value, gap], index) =>
      (index && !gap ? "L" : "M") + this.x(step).toFixed(1) + " " + this.y(value).toFixed(1)).join("");
    element(this.svg, "path", { class: "curve", d: path, stroke: color(run), "clip-path": clip, "data-run": data.runs[run].name });
    if (points.length <= 30) for (const [step, value] of points)
      element(this.svg, "circle", { class: "dot", cx: this.x(step), cy: this.y(value), r: 2.2, fill: color(run), "clip-path": clip });
  }

  place(event) { return event.clientX - this.svg.getBoundingClientRect().left; }

  press(event) {
    this.pressedAt = this.place(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  move(event) {
    const x = this.place(event);
    if (this.overlay) this.overlay.replaceChildren();
    if (this.pressedAt !== undefined && Math.abs(x - this.pressedAt) > 4) {
      element(this.overlay, "rect", {
        class: "band", x: Math.min(x, this.pressedAt), width: Math.abs(x - this.pressedAt),
        y: margin.top, height: this.height - margin.top - margin.bottom });
    }
    this.tell(x);
  }

  release(event) {
    const from = this.pressedAt, to = this.place(event);
    this.pressedAt = undefined;
    if (from !== undefined && Math.abs(to - from) > 4)
      this.zoom(...[this.step(from), this.step(to)].sort((a, b) => a - b));
  }

  leave() {
    this.tip.hidden = true;
    if (this.overlay) this.overlay.replaceChildren();
  }

  turn(event) {
    event.preventDefault();
    const at = this.step(this.place(event)), factor = event.deltaY < 0 ? 0.8 : 1.25;
    this.zoom(at + (this.range[0] - at) * factor, at + (this.range[1] - at) * factor);
  }

  zoom(from, to) {
    from = Math.max(from, this.whole[0]);
    to = Math.min(to, this.whole[1]);
    if (to - from < (this.whole[1] - this.whole[0]) * 1e-6) return;
    this.range = [from, to];
    this.draw();
  }

  // The nearest point of every run, on the line through the pointer.
  tell(x) {
    const wanted = this.step(x), rows = [];
    let nearest;
    for (const [run, steps, values] of this.visible()) {
      let index = Math.min(search(steps, wanted), steps.length - 1);
      if (index > 0 && wanted - steps[index - 1] < steps[index] - wanted) index--;
      rows.push([run, steps[index], values[index]]);
      if (nearest === undefined || Math.abs(steps[index] - wanted) < Math.abs(nearest - wanted)) nearest = steps[index];
    }
    if (!rows.length || !this.overlay) return;
    element(this.overlay, "line", {
      class: "cross", x1: this.x(nearest), x2: this.x(nearest), y1: margin.top, y2: this.height - margin.bottom });
    this.tip.replaceChildren();
    element(this.tip, "div", {}, this.axis + " " + short(nearest));
    for (const [run, step, value] of rows) {
      const row = element(this.tip, "div", { "data-run": data.runs[run].name });
      row.style.color = color(run);
      row.textContent = data.runs[run].name + ": " + short(value) + (step === nearest ? "" : " (at " + short(step) + ")");
    }
    this.tip.hidden = false;
    const left = x > this.width / 2 ? x - this.tip.offsetWidth - 12 : x + 24;
    this.tip.style.left = Math.max(0, left) + "px";
    this.tip.style.top = "40px";
  }
}

const place = id => document.getElementById(id);
const drawAll = () => charts.forEach(chart => chart.draw());

function showRuns() {
  place("runs").replaceChildren();
  data.runs.forEach((described, run) => {
    if (shown[run] === undefined) shown[run] = true;
    const label = element(place("runs"), "label");
    const box = element(label, "input", { type: "checkbox", "data-run": described.name });
    box.checked = shown[run];
    element(label, "span", { class: "swatch" }).style.background = color(run);
    element(label, "span", {}, described.title);
    element(label, "span", { class: "status" }, described.status);
    box.addEventListener("change", () => { shown[run] = box.checked; drawAll(); });
  });
}

function showCharts() {
  const before = charts.size, figures = [];
  for (const description of data.charts) {
    const key = JSON.stringify([description.name, description.axis]), known = charts.get(key);
    const parent = place(description.folded ? "folded" : "charts");
    if (known) known.take(description.curves);
    else charts.set(key, new Chart(parent, description, charts.size));
    figures.push([parent, charts.get(key).figure]);
  }
  if (before && charts.size > before) figures.forEach(([parent, figure]) => parent.appendChild(figure));  // in order
  place("timings").hidden = !data.charts.some(description => description.folded);
  drawAll();
}

// Asks for what is new; waits longer where an answer took long.
async function refresh(version) {
  const began = performance.now();
  try {
    const answer = await fetch(source + "?have=" + encodeURIComponent(version), { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    if (answer.status === 200) {
      data = await answer.json();
      version = data.version;
      const focused = document.activeElement && document.activeElement.dataset.run;
      showRuns();
      if (focused) document.querySelector("input[data-run=" + CSS.escape(focused) + "]")?.focus();
      showCharts();
    }
    place("live").textContent = "live";
  } catch (error) {
    place("live").textContent = "eng watch has ended: these are its last values";
  }
  setTimeout(refresh, Math.max(1000, 4 * (performance.now() - began)), version);
}

showRuns();
showCharts();
place("log").addEventListener("change", event => { logScale = event.target.checked; drawAll(); });
place("reset").addEventListener("click", () => charts.forEach(chart => chart.zoom(...chart.whole)));
place("timings").addEventListener("toggle", drawAll);
new ResizeObserver(drawAll).observe(place("charts"));
if (source) { place("live").hidden = false; refresh(data.version); }
