// Causes and effects of one thing, to walk along: what led to it on the left, what came of it on the right.

/** Cards on one side before one asks for all, and then. */
const CARDS_AT_FIRST = 10, CARDS_MAX = 500;

/** Things in the lists of everything that led there or came of it. */
const REACHED_MAX = 300;

const KIND_WORDS = ["Program", "File", "Sent to", "Received from", "Device"];

/** What kind of thing a description is of. */
const kindWord = (it) => it.word ?? KIND_WORDS[it.kind];

const why = { trail: [], now: null, home: null };

/** A place on the walk: an event or a node, what matters `until` then of its causes, and `since` then of its effects. */
function eventPlace(row) {
  return { row, node: -1, until: events.seq[row], since: events.seq[row] };
}

function nodePlace(node, until = Infinity, since = 0) {
  return { row: -1, node, until, since };
}

/** The last program a process ran, which says most of what it was. */
function processPlace(process) {
  let node = -1;
  for (let row = processes.row[process] ?? 0; row < events.count; row++) {
    if ((createdBy.get(row) ?? events.process[row]) === process && begunBy(row) >= 0) node = begunBy(row);
  }
  return node >= 0 ? nodePlace(node) : firstPlace(processes.row[process]);
}

function filePlace(file) {
  const nodes = graph.nodesOfFile.get(file);
  return nodes ? nodePlace(nodes.at(-1)) : firstPlace(files.first[file]);
}

/** What was sent to the other end of a connection, and if nothing was, what came from it. */
function peerPlace(peer) {
  const nodes = graph.nodesOfPeer.get(peer);
  return nodes ? nodePlace(nodes.findLast((node) => graph.kind[node] === SENT) ?? nodes.at(-1)) : firstPlace(peers.first[peer]);
}

function firstPlace(row) {
  return row === null || row === undefined ? null : eventPlace(row);
}

function visit(place, home) {
  if (!place) return;
  if (home) {
    why.trail = [];
    why.home = home;
  } else if (why.now) why.trail.push(why.now);
  why.now = place;
  drawWhy();
  goTo(byId("why"), why.centre);
}

function goBack() {
  if (why.trail.length > 0) {
    why.now = why.trail.pop();
    drawWhy();
    why.centre.focus();
  } else if (why.home) goTo(why.home.closest("section"), why.home);
}

/** The flows at both sides of a place. */
function sides({ row, node, until, since }) {
  if (node >= 0) return { causes: flowsInto(node, until), effects: flowsOutOf(node, since), program: -1 };
  const acting = actingRow(row), told = toldBy(acting), program = programOf(acting);
  return {
    causes: told.filter((flow) => graph.from[flow] !== program),
    effects: told,
    program,
  };
}

/** The nodes at the other ends of flows, each once with the flows there, the latest first. */
function grouping(flows, end) {
  const map = new Map();
  for (const flow of flows) push(map, end[flow], flow);
  return [...map].sort((a, b) => graph.record[b[1].at(-1)] - graph.record[a[1].at(-1)]);
}

function drawWhy() {
  const place = why.now;
  const { causes, effects, program } = sides(place);
  const left = grouping(causes, graph.from).map(([node, flows]) => ({ node, flows, back: true }));
  if (program >= 0) left.unshift({ node: program, flows: [], back: true });
  const right = grouping(effects, graph.to).map(([node, flows]) => ({ node, flows, back: false }));
  why.centre = el("div", { class: "focus", tabindex: -1, role: "group", "aria-label": "What is looked at" }, centre(place));
  why.columns = [side("Causes", left), why.centre, side("Effects", right)];
  why.lines = svg("svg", { class: "lines", "aria-hidden": "true" });
  const walkable = el("div", { class: "walk", onkeydown: walkKey }, why.lines, why.columns);
  why.panel.replaceChildren();
  fill(why.panel, null, [
    el("div", { class: "tools" }, el("button", { type: "button", onclick: goBack, disabled: why.trail.length === 0 && !why.home }, "← Back")),
    chain(place, program), walkable, everything(place)]);
  drawLines();
}

/** What is looked at, in full. */
function centre(place) {
  if (place.row >= 0) return eventFacts(place.row);
  const it = describe(place.node), row = graph.row[place.node];
  const process = row < 0 || it.kind !== PROGRAM ? -1 : (createdBy.get(row) ?? events.process[row]);
  const file = row < 0 || it.kind === PROGRAM ? -1 : events.file[row];
  return [
    el("p", { class: "small" }, kindWord(it)), el("h3", null, foreign(it.title)), el("p", null, foreign(it.detail)),
    el("p", { class: "small" }, limits(place)),
    row >= 0 ? el("button", { type: "button", onclick: () => visit(eventPlace(row)) }, `Event ${grouped(events.seq[row])}`) : null,
    process >= 0 ? el("button", { type: "button", onclick: () => search.only({ process }) }, "All its events") : null,
    file >= 0 ? el("button", { type: "button", onclick: () => search.only({ file }) }, "All events of this file") : null,
    otherWay(place.node),
  ];
}

/** From what was sent to an end to what was received from it, and back. */
function otherWay(node) {
  const peer = graph.row[node] < 0 ? -1 : events.peer[graph.row[node]];
  const sent = graph.kind[node] === SENT;
  const other = graph.nodesOfPeer.get(peer)?.findLast((one) => graph.kind[one] === (sent ? RECEIVED : SENT));
  if (other === undefined) return null;
  return el("button", { type: "button", onclick: () => visit(nodePlace(other)) }, sent ? "What was received there" : "What was sent there");
}

function limits({ node, until, since }) {
  const parts = [];
  const at = (seq) => {
    const row = rowOf(graph.host[node], seq);
    return row < 0 ? `event ${seq}` : `event ${grouped(seq)} at ${timeOfDay(events.time[row])}`;
  };
  if (until < Infinity) parts.push(`causes until ${at(until)}`);
  if (since > 0) parts.push(`effects from ${at(since)} on`);
  return parts.join(", ");
}

function eventFacts(row) {
  const [date, time] = moment(events.time[row]);
  const process = events.process[row];
  const flags = events.flags[row];
  return [
    el("p", { class: "small" }, `Event ${grouped(events.seq[row])}, ${date} ${time} UTC`),
    el("h3", null, kindName(row)), el("p", null, foreign(text(events.text[row]))),
    el("p", { class: "small" }, kindMeaning(row).split(/(?<=\.) /)[0].replaceAll("`", "")),
    process >= 0 ? el("p", null, "By ", foreign(processName(process)), " ", foreign(text(processes.command[process]), { class: "dim" })) : null,
    flags & CLAIMED ? el("p", { class: "small" }, "The names are claimed by the process; the kernel holds none.") : null,
    el("p", { class: "small" }, "More: ", el("code", null, `lineage why EVIDENCE ${events.seq[row]}`)),
    process >= 0 ? el("button", { type: "button", onclick: () => search.only({ process }) }, "All events of this process") : null,
  ];
}

/** One side: cards, those of the system behind a button. */
function side(title, items) {
  const described = items.map((item) => ({ ...item, it: describe(item.node) }));
  const own = described.filter(({ it }) => !it.ordinary), system = described.filter(({ it }) => it.ordinary);
  const list = el("ul");
  const add = (some) => {
    list.append(...some.slice(0, CARDS_MAX).map((item) => el("li", null, card(item))));
    if (some.length > CARDS_MAX) list.append(el("li", { class: "small" }, `… and ${some.length - CARDS_MAX} more`));
  };
  const more = (some, label) => {
    if (some.length === 0) return null;
    const button = el("button", { type: "button", class: "more", onclick: () => {
      const next = list.children.length;
      add(some);
      button.remove();
      list.children[next]?.querySelector("button")?.focus();
      drawLines();
    } }, label);
    return button;
  };
  add(own.slice(0, CARDS_AT_FIRST));
  const nothing = items.length === 0 ? el("p", { class: "small" }, title === "Causes" ? "None recorded: it begins here." : "None recorded.") : null;
  const rest = own.slice(CARDS_AT_FIRST);
  return el("div", { class: "side", role: "group", "aria-label": title }, el("h3", null, title), nothing, list,
    more(rest, `${grouped(rest.length)} more, earlier`), more(system, `${counted(system.length, "file", "files")} of the system`));
}

function card({ node, flows, back, it }) {
  const last = flows.at(-1);
  const how = last === undefined ? "ran this" : howItFlowed(flows);
  const place = why.now;
  const go = () => {
    if (last === undefined) return visit(nodePlace(node, place.until, place.since));
    const [since, until] = [graph.first[flows[0]], graph.last[last]];
    visit(back ? nodePlace(node, Math.min(until, place.until), since) : nodePlace(node, until, Math.max(since, place.since)));
  };
  return el("button", { type: "button", class: `node kind-${it.kind}`, onclick: go },
    el("span", { class: "small" }, `${kindWord(it)}, ${how}`), foreign(it.title, { class: "name" }),
    it.detail === it.title ? null : foreign(it.detail, { class: "dim" }));
}

function howItFlowed(flows) {
  const last = flows.at(-1), [rule, known] = graph.rules[graph.rule[last]];
  const row = rowOf(graph.host[graph.from[last]], graph.record[last]);
  const at = row < 0 ? "" : ` at ${timeOfDay(events.time[row])}`;
  const times = flows.length > 1 ? ` ${grouped(flows.length)} times, last` : "";
  return `${known ? "" : "perhaps "}${rule}${times}${at}`;
}

/** Who ran what, up to the start of the lineage. */
function chain(place, program) {
  const start = program >= 0 ? program : place.node >= 0 && graph.kind[place.node] === PROGRAM ? place.node : -1;
  if (start < 0) return null;
  const steps = spine(start).reverse().map((node) => {
    const it = describe(node);
    const current = node === place.node ? "step" : null;
    return el("li", null, el("button", { type: "button", class: "step", "aria-current": current, title: it.detail,
      onclick: () => visit(nodePlace(node, place.until, 0)) }, foreign(it.title)));
  });
  return el("nav", { class: "chain", "aria-label": "Who ran what" }, el("ol", null, steps));
}

/** All that led there and came of it, by data and programs, however far. */
function everything(place) {
  const starts = (back) => {
    if (place.node >= 0) return [[place.node, back ? place.until : place.since]];
    return back ? causesOf(place.row) : effectsOf(place.row);
  };
  return [[true, "All that led there"], [false, "All that came of it"]].map(([back, title]) => {
    const details = el("details", null, el("summary", null, title));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      details.append(reachedList(walk(back, starts(back)), back, place.node));
    });
    return details;
  });
}

function reachedList(reached, back, itself) {
  const things = [...reached].filter(([node]) => node !== itself).map(([node, time]) => ({ node, time, it: describe(node) }));
  const own = things.filter(({ it }) => !it.ordinary).sort((a, b) => (back ? b.time - a.time : a.time - b.time));
  const place = ({ node, time }) => (back ? nodePlace(node, time, 0) : nodePlace(node, Infinity, time));
  return el("div", null,
    el("p", { class: "small" }, `${counted(things.length, "thing", "things")}, ${grouped(things.length - own.length)} of them files of the system`),
    el("ul", { class: "reached" }, own.slice(0, REACHED_MAX).map((thing) => el("li", null,
      el("button", { type: "button", class: "step", onclick: () => visit(place(thing)) },
        `${kindWord(thing.it)} `, foreign(thing.it.title), " ", foreign(thing.it.detail, { class: "dim" }))))),
    own.length > REACHED_MAX ? el("p", { class: "small" }, `… and ${grouped(own.length - REACHED_MAX)} more`) : null);
}

/** Arrow keys: left to the causes, right to the effects, up and down among them. */
function walkKey(event) {
  const [left, middle, right] = why.columns;
  const column = why.columns.find((it) => it.contains(document.activeElement));
  const cards = (side) => [...side.querySelectorAll(".node, .more")];
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  let next;
  if (event.key === "ArrowLeft") next = column === right ? middle : cards(left)[0];
  else if (event.key === "ArrowRight") next = column === left ? middle : cards(right)[0];
  else if (step && column !== middle) next = cards(column)[cards(column).indexOf(document.activeElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** Lines from each card to the middle. */
function drawLines() {
  if (!why.lines?.parentElement) return;
  const box = why.lines.parentElement.getBoundingClientRect();
  const middle = why.centre.getBoundingClientRect();
  why.lines.setAttribute("width", box.width);
  why.lines.setAttribute("height", box.height);
  const paths = [];
  for (const [at, column] of [[0, why.columns[0]], [1, why.columns[2]]]) {
    for (const node of column.querySelectorAll(".node")) {
      const card = node.getBoundingClientRect();
      if (card.right > middle.left && card.left < middle.right) continue;
      const [from, to] = at === 0 ? [card.right, middle.left] : [middle.right, card.left];
      const y = card.top + card.height / 2 - box.top;
      const target = Math.min(Math.max(y, middle.top - box.top + 16), middle.bottom - box.top - 16);
      const [x1, x2, y1, y2] = [from - box.left, to - box.left, at === 0 ? y : target, at === 0 ? target : y];
      paths.push(svg("path", { d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}` }));
    }
  }
  why.lines.replaceChildren(...paths);
}

function drawGraph() {
  why.panel = el("div", { class: "panel" });
  show("why", why.panel);
  // To begin with, what stands out most.
  why.now = highlights()[0]?.place() ?? (processCount > 0 ? processPlace(0) : null) ?? eventPlace(0);
  drawWhy();
  new ResizeObserver(() => drawLines()).observe(why.panel);
}
