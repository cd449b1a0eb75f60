// The data of the page: columns, decoded once, and what is found in them.

const data = JSON.parse(byId("data").textContent);
const text = (id) => data.strings[id] ?? "";
const FAILED = 1, DENIED = 2, CLAIMED = 4, NOTABLE = 8;
const PROGRAM = 0, CONTENT = 1, SENT = 2, RECEIVED = 3, DEVICE = 4;

const hosts = data.hosts;
const lineages = data.lineages;
const processes = data.processes;
const files = data.files;
const peers = data.peers;
const decisions = data.decisions;
const processCount = processes.pid.length;
const fileCount = files.path.length;
const peerCount = peers.end.length;

/** Records: `seq` and `time` as they are, and `cause` as the `seq` that it is, or -1. */
const events = decodeEvents(data.events);

function decodeEvents(columns) {
  const count = columns.seq.length;
  const seq = new Float64Array(count), time = new Float64Array(count), cause = new Float64Array(count);
  const host = new Uint16Array(count);
  for (let at = 0, h = -1, s = 0, t = 0; at < count; at++) {
    while (h + 1 < hosts.length && hosts[h + 1].first <= at) {
      h += 1;
      s = 0;
      t = 0;
    }
    s += columns.seq[at];
    t += columns.time[at];
    seq[at] = s;
    time[at] = t;
    host[at] = Math.max(h, 0);
    cause[at] = columns.cause[at] > 0 ? s - columns.cause[at] : -1;
  }
  return {
    count, seq, time, cause, host,
    kind: Int16Array.from(columns.kind),
    process: Int32Array.from(columns.process),
    text: Uint32Array.from(columns.text),
    file: Int32Array.from(columns.file),
    peer: Int32Array.from(columns.peer),
    flags: Uint8Array.from(columns.flags),
    decided: new Map(columns.decided),
    leftOut: columns.left_out,
  };
}

/** The row of a record; -1 when the page has not got it. */
function rowOf(host, seq) {
  let low = hosts[host]?.first ?? 0;
  const end = hosts[host + 1]?.first ?? events.count;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events.seq[middle] < seq) low = middle + 1;
    else high = middle;
  }
  return low < end && events.seq[low] === seq ? low : -1;
}

const kindName = (row) => data.kinds[events.kind[row]]?.[0] ?? "?";
const kindMeaning = (row) => data.kinds[events.kind[row]]?.[1] ?? "";
const kindGroup = (row) => data.kinds[events.kind[row]]?.[2] ?? 3;

/** What happened in one word. */
function verb(row) {
  const name = kindName(row);
  const [group, what] = name.split(".");
  if (group === "thread" || group === "lineage" || group === "context") return group;
  return name === "evidence.loss" ? "LOSS" : (what ?? name);
}

function processName(process) {
  return `${text(processes.name[process]) || "?"}[${processes.pid[process] ?? "?"}]`;
}

/** First and last moment of all lineages, microseconds. */
const span = (() => {
  const [first, last] = [lineages.first, lineages.last].map((column) => column.filter((time) => time !== null));
  const reduce = (column, pick) => column.reduce((a, b) => pick(a, b), column[0] ?? 0);
  return [reduce(first, Math.min), reduce(last, Math.max)];
})();

/** Nodes and flows of all hosts, to be found by either end. */
const graph = decodeGraph(data.graphs);

function decodeGraph({ hosts: columns, rules }) {
  const sum = (name) => columns.reduce((all, host) => all + host[name].length, 0);
  const nodes = sum("node_seq"), flows = sum("from");
  const g = {
    rules, nodes, flows,
    kind: new Uint8Array(nodes), seq: new Float64Array(nodes), host: new Uint16Array(nodes), row: new Int32Array(nodes),
    from: new Int32Array(flows), to: new Int32Array(flows), rule: new Uint8Array(flows),
    first: new Float64Array(flows), last: new Float64Array(flows), record: new Float64Array(flows),
    programOf: new Map(), nodesOfFile: new Map(), nodesOfPeer: new Map(),
  };
  let node = 0, flow = 0;
  columns.forEach((host, h) => {
    const base = node;
    for (let at = 0; at < host.node_seq.length; at++, node++) {
      g.kind[node] = host.node_kind[at];
      g.seq[node] = host.node_seq[at];
      g.host[node] = h;
      g.row[node] = rowOf(h, host.node_seq[at]);
      nameNode(g, node);
    }
    for (let at = 0; at < host.from.length; at++, flow++) {
      g.from[flow] = base + host.from[at];
      g.to[flow] = base + host.to[at];
      g.rule[flow] = host.rule[at];
      g.first[flow] = host.first[at];
      g.last[flow] = host.span[at] < 0 ? Infinity : host.first[at] + host.span[at];
      g.record[flow] = host.first[at] + host.record[at];
    }
  });
  g.into = bucketed(g.to, nodes, (flow) => g.first[flow]);
  g.outOf = bucketed(g.from, nodes, (flow) => g.last[flow]);
  return g;
}

function nameNode(g, node) {
  const row = g.row[node];
  if (g.kind[node] === PROGRAM) g.programOf.set(`${g.host[node]}:${g.seq[node]}`, node);
  else if (row >= 0 && events.file[row] >= 0) push(g.nodesOfFile, events.file[row], node);
  else if (row >= 0 && events.peer[row] >= 0) push(g.nodesOfPeer, events.peer[row], node);
}

function push(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** Numbers of flows by node, those of one node by what `key` gives. */
function bucketed(ends, nodes, key) {
  const start = new Int32Array(nodes + 1);
  for (const node of ends) start[node + 1] += 1;
  for (let node = 0; node < nodes; node++) start[node + 1] += start[node];
  const next = start.slice(0, nodes), list = new Int32Array(ends.length);
  ends.forEach((node, flow) => (list[next[node]++] = flow));
  for (let node = 0; node < nodes; node++) {
    const part = list.subarray(start[node], start[node + 1]);
    if (part.length > 1) part.sort((a, b) => key(a) - key(b) || a - b);
  }
  return { start, list };
}

/** The program that a record began, as a node; -1 when it began none. */
function begunBy(row) {
  return graph.programOf.get(`${events.host[row]}:${events.seq[row]}`) ?? -1;
}

/** The program that acts in a record, as a node; -1 when it is none. */
function programOf(row) {
  return graph.programOf.get(`${events.host[row]}:${events.cause[row]}`) ?? -1;
}

/** The processes that records created, by row. */
const createdBy = (() => {
  const map = new Map();
  for (let process = 0; process < processCount; process++) {
    const row = processes.row[process];
    if (row !== null && events.process[row] !== process) map.set(row, process);
  }
  return map;
})();

/** A node in words. `ordinary` is what of the system nobody recorded has written. */
function describe(node) {
  const kind = graph.kind[node], row = graph.row[node];
  if (row < 0) return { kind, title: `record ${graph.seq[node]}`, detail: "not in this page", ordinary: false };
  if (kind === PROGRAM) return describeProgram(row);
  const written = graph.into.start[node + 1] > graph.into.start[node];
  const file = events.file[row], peer = events.peer[row];
  if (file >= 0) {
    const path = text(files.path[file]);
    const word = path.startsWith("pipe:") ? "Pipe" : undefined;
    const ordinary = kind === DEVICE ? !/^\/dev\/(pts\/|tty)/.test(path) : files.class[file] === 0 && !written;
    return { kind, word, title: path.split("/").pop() || path, detail: path, ordinary };
  }
  if (peer >= 0) {
    return { kind, title: text(peers.end[peer]), detail: text(peers.transport[peer]), ordinary: false };
  }
  return { kind, title: verb(row), detail: text(events.text[row]), ordinary: false };
}

function describeProgram(row) {
  const kind = PROGRAM, created = createdBy.get(row);
  const detail = text(events.text[row]);
  if (kindName(row) === "lineage.start") return { kind, title: "start", detail, ordinary: false };
  if (kindName(row) === "process.fork" && created !== undefined) {
    return { kind, title: processName(created), detail: `a copy of ${processName(events.process[row])}`, ordinary: false };
  }
  if (events.process[row] < 0) return { kind, title: "?", detail, ordinary: false };
  const program = events.file[row] < 0 ? "" : text(files.path[events.file[row]]).split("/").pop();
  const name = program ? `${program}[${processes.pid[events.process[row]] ?? "?"}]` : processName(events.process[row]);
  return { kind, title: name, detail, ordinary: false };
}
