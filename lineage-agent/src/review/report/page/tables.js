// Tables that can be sorted and filtered: files, connections, decisions.

/**
 * A table of so many things. A column has a `title`, a `width`, `cell(index)`, and `key(index)` to sort by, numbers
 * the largest first. `wide` columns are left out where there is no room.
 */
class Table {
  constructor({ label, count, columns, sort, keep, open }) {
    columns = columns.flat();
    Object.assign(this, { count, columns, keep, sort, down: true });
    this.order = [];
    this.head = el("div", { class: "row head", role: "row" }, columns.map((column, at) => this.header(column, at)));
    this.element = el("div", { class: "table", role: "grid" });
    this.list = new List({
      role: "rowgroup", rowRole: "row", label, owner: this.element,
      draw: (index) => columns.map((column) => el("span", { role: "gridcell", class: classes(column) }, column.cell(this.order[index]))),
      open: (index) => open(this.order[index], this.element),
      attributes: (index) => ({ "aria-rowindex": index + 2 }),
    });
    this.element.append(this.head, this.list.box);
    const template = (some) => some.map((column) => column.width).join(" ");
    this.element.style.setProperty("--columns", template(columns));
    this.element.style.setProperty("--narrow", template(columns.filter((column) => !column.wide)));
    this.update();
  }

  header(column, at) {
    const button = el("button", { type: "button", onclick: () => this.sortBy(at) }, column.title);
    return el("span", { role: "columnheader", class: classes(column) }, button);
  }

  sortBy(at) {
    this.down = this.sort === at ? !this.down : true;
    this.sort = at;
    this.update();
  }

  update() {
    const { key } = this.columns[this.sort];
    const order = [];
    for (let index = 0; index < this.count; index++) if (!this.keep || this.keep(index)) order.push(index);
    const words = this.count > 0 && typeof key(0) === "string";
    const sign = this.down === words ? 1 : -1;
    const compare = words ? (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) : (a, b) => key(a) - key(b);
    order.sort((a, b) => sign * compare(a, b) || a - b);
    this.order = order;
    this.element.setAttribute("aria-rowcount", order.length + 1);
    [...this.head.children].forEach((cell, at) => {
      const state = at !== this.sort ? "none" : sign === 1 ? "ascending" : "descending";
      cell.setAttribute("aria-sort", state);
    });
    this.list.reset(order.length);
  }
}

function classes(column) {
  return [column.number ? "num" : "", column.wide ? "wide" : ""].join(" ").trim();
}

const count = (title, column, wide) => ({
  title, width: "5rem", number: true, wide, key: (at) => column[at], cell: (at) => (column[at] > 0 ? grouped(column[at]) : ""),
});
const amount = (title, column, wide) => ({
  title, width: "5.2rem", number: true, wide, key: (at) => column[at], cell: (at) => (column[at] > 0 ? bytes(column[at]) : ""),
});
const words = (title, width, of, wide) => ({ title, width, wide, key: (at) => of(at), cell: (at) => foreign(of(at), { title: of(at) }) });

/** A path whose name stays whole when there is no room for all of it. */
function pathCell(path) {
  const at = path.lastIndexOf("/") + 1;
  return el("span", { class: "path", title: path }, foreign(path.slice(0, at), { class: "dim" }), foreign(path.slice(at)));
}

/** Columns with anything in them. */
const filled = (...columns) => columns.filter(([column]) => column.some((number) => number > 0)).map(([column, title]) => count(title, column, true));

const CLASSES = ["", "data", "", "changed", "may be secret"];

/** What a file is and was used for, in a few words. */
function fileUse(at) {
  const uses = ["read", "written", "changed", "executed"].filter((_, bit) => files.uses[at] & (1 << bit));
  return uses.join(", ");
}

function fileTag(at) {
  const label = text(files.label[at]) || CLASSES[files.class[at]];
  return label ? el("span", { class: files.class[at] === 4 ? "tag warn" : "tag" }, foreign(label)) : "";
}

/** Text that filters a table, and boxes to tick. */
function filterOf(label, change, boxes = []) {
  const input = el("input", { type: "search", placeholder: label, "aria-label": label, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => change());
  const ticks = boxes.map((name) => {
    const box = el("input", { type: "checkbox" });
    box.addEventListener("change", () => change());
    return { box, label: el("label", null, box, ` ${name}`) };
  });
  const said = el("output", { class: "small", "aria-live": "polite" });
  const element = el("div", { class: "tools" }, input, ticks.map((tick) => tick.label), said);
  return { element, said, word: () => input.value.toLowerCase(), ticked: (at) => ticks[at].box.checked };
}

function drawFiles() {
  const filter = filterOf("Filter files", () => table.update(), ["also those of the system"]);
  const keep = (at) => (filter.ticked(0) || files.class[at] > 0) && text(files.path[at]).toLowerCase().includes(filter.word());
  const table = new Table({
    label: "Files", count: fileCount, sort: 0, keep,
    columns: [
      { title: "Kind", width: "6.8rem", key: (at) => files.class[at], cell: fileTag },
      { ...words("File", "minmax(6rem, 1fr)", (at) => text(files.path[at])), cell: (at) => pathCell(text(files.path[at])) },
      words("Use", "8rem", fileUse, true), amount("Read", files.bytes_read, true), amount("Written", files.bytes_written),
      filled([files.failed, "Failed"], [files.denied, "Denied"]), count("Processes", files.processes, true),
      words("BLAKE3", "6rem", (at) => text(files.blake3[at]), true),
    ],
    open: (at, home) => visit(filePlace(at), home),
  });
  show("files", el("p", { class: "lead" }, "By name: what each was used for, and what went in and out of it."), filter.element, table.element);
}

const WAYS = ["→ to", "← from", "on"];

function drawNetwork() {
  if (peerCount === 0) return show("network", el("p", { class: "empty" }, "No connections were recorded."));
  const filter = filterOf("Filter connections", () => table.update());
  const shown = (at) => `${text(peers.end[at])} ${text(peers.transport[at])}`;
  const table = new Table({
    label: "Connections", count: peerCount, sort: 3, keep: (at) => shown(at).toLowerCase().includes(filter.word()),
    columns: [
      words("Way", "3.4rem", (at) => WAYS[peers.way[at]]), words("Other end", "minmax(6rem, 1fr)", (at) => text(peers.end[at])),
      words("Transport", "8rem", (at) => text(peers.transport[at]), true), amount("Sent", peers.bytes_sent), amount("Received", peers.bytes_received, true),
      count("Times", peers.times, true), filled([peers.failed, "Failed"], [peers.denied, "Denied"]), count("Processes", peers.processes, true),
    ],
    open: (at, home) => visit(peerPlace(at), home),
  });
  show("network", filter.element, table.element);
}

const OUTCOMES = {
  prevented: "did not happen",
  "killed-before-run": "ended before it ran",
  "killed-after-effect": "happened, process ended",
  "would-deny": "happened, only audited",
  "not-prevented": "happened, not prevented",
};

/** What came of a decision. */
function outcome(at) {
  const effect = text(decisions.effect[at]);
  return OUTCOMES[effect] ?? effect;
}

function drawDecisions() {
  const number = decisions.times.length;
  if (number === 0) return show("decisions", el("p", { class: "empty" }, "None: no policy decided about any of these events."));
  const filter = filterOf("Filter decisions", () => table.update());
  const judged = (at) => text(decisions.judged[at]);
  const shown = (at) => `${judged(at)} ${text(decisions.by[at])} ${outcome(at)}`;
  const verdict = (at) => el("span", { class: decisions.denied[at] ? "tag bad" : "tag" }, decisions.denied[at] ? "denied" : "allowed");
  const table = new Table({
    label: "Decisions", count: number, sort: 0, keep: (at) => shown(at).toLowerCase().includes(filter.word()),
    columns: [
      { title: "Verdict", width: "6rem", key: (at) => decisions.denied[at], cell: verdict },
      { ...words("What", "minmax(8rem, 2fr)", judged), cell: (at) => (judged(at).includes(" /") ? pathCell(judged(at)) : foreign(judged(at))) },
      words("By", "minmax(6rem, 1fr)", (at) => text(decisions.by[at]), true),
      words("What came of it", "13rem", outcome, true), count("Times", decisions.times, true), count("Processes", decisions.processes, true),
    ],
    open: (at, home) => visit(firstPlace(decisions.first[at]), home),
  });
  show("decisions", filter.element, table.element);
}
