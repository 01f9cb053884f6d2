// The page: asks for a look once a second, draws it, and says so when none comes.

import { MemoryChart } from "./chart.js";
import { $, say, span } from "./draw.js";
import * as panels from "./panels.js";

const EVERY_MS = 1000;
const LATE_MS = 5000;
const chart = new MemoryChart($("chart"));
let last = null; // the newest look
let heard = 0; // when it came, by this browser's clock
let broken = "";

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(LATE_MS), credentials: "same-origin" });
  if (!answer.ok) throw new Error(answer.status === 401 ? "The token is no longer good: open the link anew." : `The dashboard answers ${answer.status}.`);
  return answer.json();
}

async function loadHistory() {
  chart.set(await ask("/api/history"));
}

function draw() {
  if (!last) return;
  const { look, cost, point, folded, problem } = last;
  panels.head(look, problem, last.own_share);
  panels.tiles(look, cost, point);
  panels.costs(cost);
  panels.tree(look, folded, draw);
  panels.processes(look);
  panels.mailboxes(look);
  panels.classes(look);
  panels.restarts(look);
  panels.letters(look);
  panels.pools(look);
  if (point) chart.add(point);
  say($("chart-note"), point ? "The upper edge is all that the node takes; no page is counted twice." : "Not measured yet, or not to be read.");
  document.documentElement.dataset.drawn = String(look.observer.looks);
}

function age() {
  const late = !heard || Date.now() - heard > LATE_MS;
  const seconds = last ? (Date.now() - heard) / 1000 + last.age_s : 0;
  $("age").className = `dim age ${heard ? (late || seconds > 5 ? "late" : "live") : ""}`;
  say($("age-text"), !heard ? "waiting" : late || seconds > 3 ? `seen ${span(seconds)} ago` : "live");
  if (late && broken) {
    $("banner").hidden = false;
    $("banner").className = "bad";
    say($("banner"), broken);
  }
}

async function follow() {
  for (;;) {
    const began = Date.now();
    try {
      if (!heard || began - heard > 60_000) await loadHistory(); // at first, and when this tab slept
      last = await ask("/api/state");
      heard = Date.now();
      broken = "";
      draw();
    } catch (error) {
      broken = error instanceof TypeError || error.name === "TimeoutError" ? "The dashboard does not answer: it has ended, or is out of reach." : error.message;
    }
    age();
    await new Promise((wake) => setTimeout(wake, Math.max(100, EVERY_MS - (Date.now() - began))));
  }
}

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("actorlab-theme", root.dataset.theme); } catch { /* not kept, then */ }
  chart.recolour();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.recolour());

follow();
