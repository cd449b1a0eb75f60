// The processes as a tree, each with the time it lived.

/** Up to so many processes, all are shown at first; of more, those near the roots. */
const OPEN_AT_FIRST = 400;

const tree = { children: new Map(), expanded: new Uint8Array(processCount), level: new Uint16Array(processCount), rows: [] };

function drawTree() {
  const roots = [];
  for (let process = 0; process < processCount; process++) {
    const parent = processes.parent[process];
    if (parent === null) roots.push(process);
    else {
      push(tree.children, parent, process);
      tree.level[process] = tree.level[parent] + 1;
    }
  }
  tree.roots = roots;
  expandAtFirst();
  tree.list = new List({
    role: "tree", rowRole: "treeitem", label: "Processes",
    draw: (index) => treeRow(tree.rows[index]),
    open: (index, event) => openProcess(index, event),
    attributes: (index) => treeAttributes(tree.rows[index]),
    keys: (event, index) => treeKey(event, index),
  });
  const all = (open) => () => {
    tree.expanded.fill(open ? 1 : 0);
    flattenTree();
  };
  show("processes",
    el("div", { class: "tools" }, el("button", { type: "button", onclick: all(true) }, "Expand all"),
      el("button", { type: "button", onclick: all(false) }, "Collapse all"),
      el("span", { class: "small wide" }, "→ and ← open and close, Enter chooses")),
    headed("tree", tree.list, ["Process"], [""], ["Events", "num wide"], ["Lived", "when wide"]));
  flattenTree();
}

function expandAtFirst() {
  let shown = 0;
  for (let level = tree.roots; level.length > 0; ) {
    shown += level.length;
    if (shown > OPEN_AT_FIRST) break;
    for (const process of level) tree.expanded[process] = 1;
    level = level.flatMap((process) => tree.children.get(process) ?? []);
  }
}

function flattenTree() {
  const rows = [], pending = [...tree.roots].reverse();
  while (pending.length > 0) {
    const process = pending.pop();
    rows.push(process);
    const children = tree.children.get(process);
    if (children && tree.expanded[process]) for (let at = children.length - 1; at >= 0; at--) pending.push(children[at]);
  }
  tree.rows = rows;
  tree.list.resize(rows.length);
}

function treeAttributes(process) {
  const siblings = tree.children.get(processes.parent[process]) ?? tree.roots;
  const parents = tree.children.has(process);
  return {
    "aria-level": tree.level[process] + 1,
    "aria-setsize": siblings.length,
    "aria-posinset": siblings.indexOf(process) + 1,
    "aria-expanded": parents ? String(tree.expanded[process] === 1) : null,
  };
}

function treeRow(process) {
  const open = !tree.children.has(process) ? "" : tree.expanded[process] ? "▾" : "▸";
  const indent = Math.min(tree.level[process], 24);
  const name = el("span", { class: "who" },
    el("span", { class: "twist", "aria-hidden": "true" }, open), foreign(processName(process), { class: "name" }),
    foreign(text(processes.command[process]) || text(processes.exe[process]), { class: "dim" }));
  name.style.paddingInlineStart = `${indent * 16}px`;
  return [
    name,
    el("span", { class: "tags" },
      processes.denied[process] > 0 ? el("span", { class: "tag bad" }, `${processes.denied[process]} denied`) : null,
      processes.ended_badly[process] ? foreign(text(processes.ending[process]), { class: "tag" }) : null),
    el("span", { class: "num wide" }, grouped(processes.events[process]), el("span", { class: "hidden" }, " events")),
    lifetime(process),
  ];
}

/** When a process lived, within the time of everything. */
function lifetime(process) {
  const whole = Math.max(1, span[1] - span[0]);
  const from = processes.started[process] ?? span[0], to = processes.ended[process] ?? span[1];
  const bar = el("span", { class: "life" });
  const part = (time) => Math.min(100, Math.max(0, (100 * (time - span[0])) / whole));
  bar.style.insetInlineStart = `${part(from)}%`;
  bar.style.width = `max(2px, ${part(to) - part(from)}%)`;
  const took = processes.ended[process] === null ? "to the end" : duration(to - from);
  return el("span", { class: "when wide" }, el("span", { class: "num" }, took), el("span", { class: "track" }, bar));
}

function openProcess(index, event) {
  const process = tree.rows[index];
  if (event.target.closest?.(".twist") && tree.children.has(process)) return toggleProcess(process);
  visit(processPlace(process), tree.list.box);
}

function toggleProcess(process) {
  tree.expanded[process] ^= 1;
  flattenTree();
}

function treeKey(event, index) {
  const process = tree.rows[index], parents = tree.children.has(process), open = tree.expanded[process] === 1;
  if (event.key === "ArrowRight" && parents) {
    if (open) tree.list.select(index + 1);
    else toggleProcess(process);
  } else if (event.key === "ArrowLeft") {
    const parent = processes.parent[process];
    if (parents && open) toggleProcess(process);
    else if (parent !== null) tree.list.select(tree.rows.lastIndexOf(parent, index));
  } else return false;
  return true;
}
