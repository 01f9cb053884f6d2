// The page's panels: each draws one part of a look at the node.

import { $, bar, bytes, clock, count, fill, h, level, rate, say, short, span, status } from "./draw.js";

function tile(name, big, small, under, bad = false) {
  const [number, unit] = big.split(" ");
  return h("div", { class: "tile" }, h("h3", {}, name),
    h("div", { class: "big" }, number, unit ? h("small", {}, unit) : null),
    h("p", { title: small }, small), h("p", { class: bad ? "bad" : null, title: under }, under));
}

export function tiles(look, cost, point) {
  const { totals, sharing } = look;
  const whole = cost.find((row) => row.worker === null);
  const each = whole ? whole.private_bytes + whole.shared_bytes : null;
  const letters = totals.dead_lettered;
  const actors = look.classes.reduce((sum, row) => sum + row.restarts, 0);
  const drawn = [
    tile("Memory, everything", bytes(point && point.private_bytes + point.libraries_bytes + point.shared_bytes),
      `private ${bytes(point?.private_bytes)}, code ${bytes(point?.libraries_bytes)}`, `shared memory ${bytes(point?.shared_bytes)}, once`),
    tile("One agent", bytes(each), whole ? `over ${count(whole.actors)} in workers` : "no agents in workers",
      whole?.unshared_bytes ? `unshared ${bytes(whole.unshared_bytes)}` : "nothing shared yet"),
    tile("Saved by sharing", bytes(sharing?.saved_bytes), sharing ? `${bytes(sharing.once_bytes)} held once` : "not told",
      sharing ? `mapped by ${count(sharing.mappers)} processes` : "by this system"),
    tile("Messages a second", rate(totals.rate), `${count(totals.handled)} handled`,
      `${count(totals.failed)} failed`, totals.failed > 0),
    tile("Waiting", count(totals.depth), "messages in mailboxes", bytes(totals.mailbox_bytes)),
    tile("Restarts", count(actors + totals.restarts), `${count(actors)} of actors, ${count(totals.restarts)} of workers`,
      `${count(letters)} dead letter${letters === 1 ? "" : "s"}`, letters > 0),
  ];
  const where = $("tiles");
  drawn.forEach((one, at) => {
    const there = where.children[at];
    if (!there) where.append(one);
    else if (!there.isEqualNode(one)) there.replaceWith(one);
  });
}

export function costs(rows) {
  const most = Math.max(1, ...rows.map((row) => Math.max(row.private_bytes + row.shared_bytes, row.unshared_bytes ?? 0)));
  $("cost").replaceChildren(...(rows.length ? rows.map((row) => {
    const each = row.private_bytes + row.shared_bytes;
    const name = row.worker === null ? "the node" : `worker ${row.worker}`;
    const times = row.unshared_bytes && each ? ` · ${(row.unshared_bytes / each).toFixed(1)} × less` : "";
    return h("div", { class: "bar-row" },
      h("div", { class: "names" }, h("span", {}, h("b", {}, name), ` ${count(row.actors)} agents`),
        h("span", {}, h("b", {}, bytes(each)), row.unshared_bytes ? ` of ${bytes(row.unshared_bytes)}${times}` : "")),
      h("div", { class: "track" }, bar("private", row.private_bytes / most), bar("shared", row.shared_bytes / most)),
      row.unshared_bytes ? h("div", { class: "track" }, bar("unshared", row.unshared_bytes / most)) : null);
  }) : [h("p", { class: "note" }, "No agents in workers, or their memory is not measured yet.")]));
  say($("cost-note"), rows.some((row) => row.unshared_bytes)
    ? "Unshared: if each agent kept a copy of its own of all that its worker has mapped from pools."
    : "Nothing is mapped from a pool, so there is nothing that agents share but libraries.");
}

const closed = new Set();

export function tree(look, folded, redraw) {
  const actors = new Map(look.actors.map((actor) => [actor.address, actor]));
  const rows = [];
  let hiddenBelow = null;
  look.tree.forEach((row, at) => {
    if (hiddenBelow !== null && row.depth > hiddenBelow) return;
    hiddenBelow = null;
    const parent = (look.tree[at + 1]?.depth ?? -1) > row.depth;
    const key = row.address || `${row.depth}/${row.name}/${at}`;
    if (parent && closed.has(key)) hiddenBelow = row.depth;
    rows.push({ ...row, key, parent, actor: actors.get(row.address) });
  });
  const twig = (row) => {
    if (!row.parent) return h("span", { class: "twig" });
    const shut = closed.has(row.key);
    return h("button", { class: "twig", type: "button", "aria-expanded": String(!shut), "data-twig": row.key,
      "aria-label": `${shut ? "show" : "hide"} what is below ${row.name}` }, shut ? "▸" : "▾");
  };
  const name = (row) => {
    const cell = h("span", { class: `name${row.parent || row.restart.includes(",") ? " supervisor" : ""}` }, twig(row), row.name);
    cell.style.paddingLeft = `${row.depth * 20}px`;
    return cell;
  };
  fill($("tree"), [
    { title: "name", cell: name },
    { title: "kind", cell: (row) => short(row.kind), kind: "dim cut" },
    { title: "restart", cell: (row) => row.restart, kind: "dim" },
    { title: "state", cell: (row) => (row.status ? status(row.status) : "") },
    { title: "restarts", cell: (row) => (row.address ? count(row.restarts) : ""), kind: (row) => (row.restarts ? "num bad" : "num dim") },
    { title: "waiting", cell: (row) => (row.actor ? count(row.actor.depth) : ""), kind: "num" },
    { title: "msg/s", cell: (row) => (row.actor ? rate(row.actor.rate) : ""), kind: "num" },
    { title: "place", cell: (row) => (row.address ? place(row.address) : ""), kind: "dim mono" },
  ], rows, (row) => row.key, "No supervision tree: this node's actors have no supervisor.");
  say($("tree-note"), folded ? `${count(folded)} more are not drawn; actorlab ps lists them` : "");
  $("tree").onclick = (event) => {
    const key = event.target.closest("[data-twig]")?.dataset.twig;
    if (!key) return;
    if (!closed.delete(key)) closed.add(key);
    redraw();
  };
}

const place = (address) => {
  const home = address.split(".")[0];
  return /^\d+$/.test(home) ? (home === "0" ? "controller" : `worker ${home}`) : home;
};

export function processes(look) {
  const name = (one) => (one.role === "worker" ? `worker ${one.worker}` : one.role);
  fill($("processes"), [
    { title: "process", cell: name },
    { title: "state", cell: (one) => status(one.state, one.holder || (one.silent_s > 1 ? `silent for ${span(one.silent_s)}` : null)) },
    { title: "actors", cell: (one) => (one.worker === null ? "" : count(one.actors)), kind: "num" },
    { title: "private", cell: (one) => bytes(one.memory?.uss_bytes), kind: "num", help: "USS: what its end would give back" },
    { title: "PSS", cell: (one) => bytes(one.memory?.pss_bytes), kind: "num", help: "private, and its share of what it shares" },
    { title: "cpu", cell: (one) => (one.cpu === null ? "–" : `${Math.round(one.cpu * 100)} %`), kind: "num" },
    { title: "gc p99", cell: (one) => (one.gc?.collections ? span(one.gc.p99_s) : "–"), kind: "num dim" },
    { title: "restarts", cell: (one) => count(one.restarts), kind: (one) => (one.restarts ? "num bad" : "num dim") },
  ], look.processes, (one) => one.role + (one.worker ?? one.pid), "No process of the node lives.");
}

export function mailboxes(look) {
  const busiest = look.actors.toSorted((a, b) => b.depth - a.depth || b.rate - a.rate || b.handled - a.handled).slice(0, 50);
  const depth = (actor) => {
    const share = actor.capacity ? actor.depth / actor.capacity : 0;
    return h("span", {}, count(actor.depth), h("span", { class: `fill${share > 0.8 ? " bad" : ""}`, title: `of ${count(actor.capacity)}` }, bar("", share)));
  };
  const names = new Map(look.tree.map((row) => [row.address, row.name]));
  fill($("mailboxes"), [
    { title: "actor", cell: (actor) => actor.name || names.get(actor.address) || actor.address, kind: "cut" },
    { title: "class", cell: (actor) => short(actor.cls), kind: "dim cut" },
    { title: "waiting", cell: depth, kind: "num" },
    { title: "bytes", cell: (actor) => bytes(actor.mailbox_bytes), kind: "num dim" },
    { title: "msg/s", cell: (actor) => rate(actor.rate), kind: "num" },
    { title: "handled", cell: (actor) => count(actor.handled), kind: "num" },
    { title: "state", cell: (actor) => status(actor.state) },
  ], busiest, (actor) => actor.address, "No actors.");
}

export function classes(look) {
  const one = (row) => (row.marginal ? `${bytes(row.marginal.bytes)}${row.marginal.trusted ? "" : " ?"}` : "–");
  fill($("classes"), [
    { title: "class", cell: (row) => short(row.cls), kind: "cut" },
    { title: "actors", cell: (row) => count(row.actors), kind: "num" },
    { title: "one more", cell: one, kind: "num", help: "private memory that one more takes, measured as they started; ? where too few were" },
    { title: "waiting", cell: (row) => count(row.depth), kind: "num" },
    { title: "msg/s", cell: (row) => rate(row.rate), kind: "num" },
    { title: "failed", cell: (row) => count(row.failed), kind: (row) => (row.failed ? "num bad" : "num dim") },
    { title: "restarts", cell: (row) => count(row.restarts), kind: (row) => (row.restarts ? "num bad" : "num dim") },
  ], look.classes, (row) => row.cls, "No actors.");
}

const STARTS = ["node_started", "worker_started"]; // of the first life of a thing: no restarts

export function restarts(look) {
  fill($("restarts"), [
    { title: "at", cell: (row) => clock(row.at), kind: "mono dim" },
    { title: "what", cell: (row) => row.kind.replaceAll("_", " ") },
    { title: "who", cell: (row) => row.actor || (row.worker === null ? "" : `worker ${row.worker}`), kind: "cut" },
    { title: "why", cell: (row) => row.text, kind: "text dim" },
  ], look.restarts.filter((row) => !STARTS.includes(row.kind)), (row) => `${row.at}/${row.kind}/${row.address}/${row.worker}`, "Nothing was restarted.");
}

export function letters(look) {
  fill($("letters"), [
    { title: "at", cell: (row) => clock(row.at), kind: "mono dim" },
    { title: "to", cell: (row) => row.actor || row.address, kind: "cut" },
    { title: "why", cell: (row) => row.reason.replaceAll("_", " ") },
    { title: "message", cell: (row) => row.message, kind: "text mono dim" },
  ], look.dead_letters.map((row, at) => ({ ...row, key: `${row.at}/${row.address}/${at}` })), (row) => row.key,
  look.totals.dead_lettered ? "Counted; what they said is no longer kept." : "Every message was handled.");
  const counts = Object.entries(look.dead_letter_counts).sort((a, b) => b[1] - a[1]);
  const chips = counts.map(([reason, number]) => h("span", {}, `${reason.replaceAll("_", " ")} ${count(number)}`));
  if ($("reasons").textContent !== chips.map((chip) => chip.textContent).join("")) $("reasons").replaceChildren(...chips);
}

export function pools(look) {
  const rows = look.pools.flatMap((pool) => [
    { ...pool, key: pool.name, whole: true },
    ...pool.datasets.map((one) => ({ ...one, key: `${pool.name}/${one.name}`,
      holders: pool.leases.filter((lease) => lease.dataset === one.name) })),
  ]);
  const holders = (row) => {
    if (row.whole) return row.max_bytes ? `of ${bytes(row.max_bytes)} at most` : "";
    const by = new Set(row.holders.map((lease) => (lease.worker === null ? `pid ${lease.pid}` : lease.worker ? `worker ${lease.worker}` : "controller") + (lease.stopped ? " (stopped)" : "")));
    return by.size ? `held by ${[...by].join(", ")}` : "held by nobody";
  };
  fill($("pools"), [
    { title: "pool, dataset", cell: (row) => h("span", { class: row.whole ? "pool" : "dataset" }, row.name) },
    { title: "version", cell: (row) => (row.whole ? row.backend : row.current ? `v${row.current}, ${row.versions} kept` : "–"), kind: "dim" },
    { title: "live", cell: (row) => bytes(row.live_bytes), kind: "num" },
    { title: "retired", cell: (row) => bytes(row.retired_bytes), kind: "num" },
    { title: "cold", cell: (row) => bytes(row.cold_bytes), kind: "num" },
    { title: "", cell: holders, kind: "text dim" },
  ], rows, (row) => row.key, "No pool: agents share no context of their own.");
}

export function head(look, problem, share) {
  say($("node"), look.name);
  document.title = `${look.name} · actorlab`;
  const { totals } = look;
  say($("about"), `pid ${look.pid} · up ${span(look.uptime_s)} · ${count(totals.workers)} worker${totals.workers === 1 ? "" : "s"} · ${count(totals.actors)} actors`);
  say($("state"), look.state);
  $("state").className = `pill ${level(look.state)}`;
  const stuck = look.processes.filter((one) => ["stopped", "hung"].includes(one.state)).map((one) => (one.role === "worker" ? `worker ${one.worker}` : `the ${one.role}`));
  let text = problem;
  if (!text && look.state === "dead") text = "The node has ended. This is the last that was seen of it.";
  if (!text && stuck.length) text = `Not running on: ${stuck.join(", ")}. The figures are still read from shared memory.`;
  $("banner").hidden = !text;
  $("banner").className = look.state === "dead" ? "bad" : "";
  say($("banner"), text || "");
  const cost = look.observer;
  say($("observer"), `This dashboard itself, answering and all: ${(share * 100).toFixed(2)} % of a core, ${(cost.share * 100).toFixed(2)} of it for ${count(cost.looks)} looks; the last took ${span(cost.last_look_s)}, the last at memory ${span(cost.last_dear_look_s)}.`);
}
