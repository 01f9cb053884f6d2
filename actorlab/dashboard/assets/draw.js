// Drawing: elements without markup strings, keyed tables that keep their rows, and figures as people read them.

export const $ = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set a node's text, and touch the page only when it changed, so that a selection lives. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A bar of `share` (0 to 1): a width set through the object model, which the page's policy allows. */
export function bar(kind, share) {
  const filled = h("i", { class: kind });
  filled.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return filled;
}

/**
 * Fill a table. `columns` are {title, cell(row) → text or node, kind?: classes of the cell, or a function of the row}.
 * Rows are known by `key`, and their elements stay the same from one look to the next.
 */
export function fill(table, columns, rows, key, nothing) {
  if (!table.tHead) {
    table.append(h("thead", {}, h("tr", {}, ...columns.map((one) =>
      h("th", { class: typeof one.kind === "function" || one.kind?.includes("num") ? "num" : null, scope: "col", title: one.help }, one.title)))));
    table.append(h("tbody"));
  }
  const body = table.tBodies[0];
  const known = new Map([...body.rows].filter((row) => row.dataset.key).map((row) => [row.dataset.key, row]));
  const wanted = rows.map((row) => {
    const name = String(key(row));
    const line = known.get(name) ?? h("tr", { "data-key": name }, ...columns.map(() => h("td")));
    known.delete(name);
    columns.forEach((column, at) => {
      const cell = line.cells[at];
      const kind = typeof column.kind === "function" ? column.kind(row) : column.kind ?? "";
      if (cell.className !== kind) cell.className = kind;
      const value = column.cell(row);
      if (value instanceof Node) {
        if (!cell.firstChild || !cell.firstChild.isEqualNode(value) || cell.childNodes.length !== 1) cell.replaceChildren(value);
      } else {
        say(cell, value);
        if (kind.includes("cut")) cell.title = value;
      }
    });
    return line;
  });
  if (!wanted.length) wanted.push(h("tr", {}, h("td", { class: "none", colspan: columns.length }, nothing)));
  wanted.forEach((line, at) => { if (body.rows[at] !== line) body.insertBefore(line, body.rows[at] ?? null); });
  while (body.rows.length > wanted.length) body.lastElementChild.remove();
}

export function bytes(size) {
  if (size === null || size === undefined) return "?";
  for (const [unit, scale] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (Math.abs(size) >= 0.99995 * scale) {
      const shown = size / scale;
      return `${shown >= 99.95 ? Math.round(shown).toLocaleString("en") : shown.toFixed(1)} ${unit}`;
    }
  }
  return `${Math.round(size)} B`;
}

export const count = (number) => (number === null || number === undefined ? "?" : Math.round(number).toLocaleString("en"));

export function rate(number) {
  if (number === null || number === undefined) return "–";
  if (number === 0) return "0";
  return number < 10 ? number.toFixed(1) : count(number);
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "?";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

/** `package.module:Class` as `Class`; the whole stands in the title. */
export const short = (cls) => cls.slice(cls.lastIndexOf(":") + 1);

const LEVELS = {
  running: "good", ready: "good", idle: "good", sleeping: "good", "disk-sleep": "good", waiting: "good",
  starting: "warn", restarting: "warn", stopping: "warn", draining: "warn", husk: "warn",
  hung: "bad", stopped: "bad", dead: "bad", failed: "bad", gone: "bad", zombie: "bad", "tracing-stop": "bad",
};
export const level = (state) => LEVELS[state] ?? "";
export const status = (state, help) => h("span", { class: `status ${level(state)}`, title: help }, state);
