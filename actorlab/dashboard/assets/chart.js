// The chart of memory over time: its parts stacked, so that the upper edge is what the node takes in all.

import { bytes, clock, h } from "./draw.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Opaque, so that the lower series covers the stacked one behind it and each keeps its own colour.
const paler = (name) => `color-mix(in srgb, ${colour(name)} 62%, ${colour("--card")})`;

const PARTS = [["private", "--private"], ["libraries", "--libraries"], ["shared", "--shared"]];

export class MemoryChart {
  constructor(where) {
    this.where = where;
    this.points = [];
    this.tip = h("div", { class: "chart-tip", hidden: "" });
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(where);
  }

  /** Replace all points: {at (s since 1970), private_bytes, libraries_bytes, shared_bytes}. */
  set(points) {
    this.points = [...points];
    this.draw();
  }

  add(point) {
    const newest = this.points[this.points.length - 1];
    if (newest && point.at <= newest.at) return;
    this.points.push(point);
    if (this.points.length > 4000) this.points.shift();
    this.draw();
  }

  size() {
    return { width: Math.max(200, this.where.clientWidth), height: this.where.clientHeight || 250 };
  }

  /** Draw anew, in the colours that hold now. */
  recolour() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  draw() {
    // uPlot finds no range in a single point; the first one is drawn from a second before on.
    const points = this.points.length === 1 ? [{ ...this.points[0], at: this.points[0].at - 1 }, this.points[0]] : this.points;
    const level = (parts) => points.map((point) => parts.reduce((sum, [name]) => sum + point[`${name}_bytes`], 0));
    // The tallest first: each later one is drawn over it.
    const stacked = [points.map((point) => point.at), ...[3, 2, 1].map((many) => level(PARTS.slice(0, many)))];
    if (this.plot) this.plot.setData(stacked);
    else if (this.points.length) this.plot = this.make(stacked);
  }

  make(stacked) {
    const axis = {
      stroke: colour("--dim"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const series = (name) => ({
      stroke: colour(name), fill: paler(name), width: 1.5,
      points: { show: false },
      paths: window.uPlot.paths.linear(),
    });
    const options = {
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { range: (_, low, high) => (high - low < 60 ? [high - 60, high] : [low, high]) },
        y: { range: (_, low, high) => [0, (high || 1) * 1.12] },
      },
      axes: [
        { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map(clock), space: 90, size: 28 },
        { ...axis, values: (_, ticks) => ticks.map((size) => (size ? bytes(size) : "0")), size: 68 },
      ],
      series: [{}, ...PARTS.toReversed().map(([, name]) => series(name))],
      hooks: {
        init: [(plot) => plot.over.append(this.tip)],
        setCursor: [(plot) => this.point(plot)],
      },
    };
    return new window.uPlot(options, stacked, this.where);
  }

  point(plot) {
    const at = plot.cursor.idx;
    this.tip.hidden = at === null || at === undefined || plot.cursor.left < 0;
    if (this.tip.hidden) return;
    const here = this.points[Math.min(at, this.points.length - 1)];
    const all = PARTS.reduce((sum, [name]) => sum + here[`${name}_bytes`], 0);
    const lines = PARTS.toReversed().map(([name]) => `${name.padEnd(10)} ${bytes(here[`${name}_bytes`]).padStart(9)}`);
    this.tip.textContent = [`${clock(here.at).padEnd(10)} ${bytes(all).padStart(9)}`, ...lines].join("\n");
    const right = plot.cursor.left > plot.over.clientWidth / 2;
    this.tip.style.left = right ? "" : `${plot.cursor.left + 12}px`;
    this.tip.style.right = right ? `${plot.over.clientWidth - plot.cursor.left + 12}px` : "";
    this.tip.style.top = "8px";
  }
}
