// Following flows, exactly as `lineage why` and `lineage impact` do: back to causes, on to effects, never back in time.

/** Flows to a node that began by this time, the earliest first. */
function flowsInto(node, time) {
  const { start, list } = graph.into;
  const flows = [];
  for (let at = start[node]; at < start[node + 1] && graph.first[list[at]] <= time; at++) flows.push(list[at]);
  return flows;
}

/** Flows from a node that had not ended before this time. */
function flowsOutOf(node, time) {
  const { start, list } = graph.outOf;
  const flows = [];
  for (let at = start[node + 1] - 1; at >= start[node] && graph.last[list[at]] >= time; at--) flows.push(list[at]);
  return flows.reverse();
}

/** Most nodes of one walk. */
const NODES_MAX = 1 << 20;

/** What is reached from pairs of a node and a time: a map from node to that time. */
function walk(back, starts) {
  const reached = new Map();
  const heap = new Heap((a, b) => (back ? b[1] - a[1] : a[1] - b[1]) || a[0] - b[0]);
  for (const start of starts) heap.push(start);
  for (let next = heap.pop(); next && reached.size < NODES_MAX; next = heap.pop()) {
    const [node, time] = next;
    if (reached.has(node)) continue;
    reached.set(node, time);
    for (const flow of back ? flowsInto(node, time) : flowsOutOf(node, time)) {
      const other = back ? graph.from[flow] : graph.to[flow];
      if (!reached.has(other)) heap.push([other, beyond(flow, time, back)]);
    }
  }
  return reached;
}

/** The time that matters on the other side of a flow. */
function beyond(flow, time, back) {
  return back ? Math.min(graph.last[flow], time) : Math.max(graph.first[flow], time);
}

/** The record itself, or if no process acts in it, the one that led to what the recorder says. */
function actingRow(row) {
  for (let steps = 0; steps < 8 && events.process[row] < 0 && events.cause[row] >= 0; steps++) {
    const before = rowOf(events.host[row], events.cause[row]);
    if (before < 0) break;
    row = before;
  }
  return row;
}

/** The flows that a record tells of: by it something moved, or had moved at the latest. */
function toldBy(row) {
  const seq = events.seq[row], program = programOf(row), begun = begunBy(row);
  const told = (flow) => graph.record[flow] === seq || (graph.last[flow] === seq && graph.first[flow] < seq);
  const ends = program < 0 ? [] : [...flowsInto(program, seq), ...flowsOutOf(program, 0)].filter(told);
  return begun < 0 ? ends : [...new Set([...ends, ...flowsInto(begun, seq)])];
}

/** Where to look for causes of a record: in the program that acted, and in what began by it. */
function causesOf(row) {
  const acting = actingRow(row), seq = events.seq[acting];
  const begun = begunBy(acting), from = begun >= 0 && flowsInto(begun, seq).length > 0 ? begun : -1;
  return [from, programOf(acting)].filter((node) => node >= 0).map((node) => [node, seq]);
}

/** Where to look for effects of a record: where something went by what it tells. */
function effectsOf(row) {
  const acting = actingRow(row), begun = begunBy(acting);
  const starts = toldBy(acting).map((flow) => [graph.to[flow], graph.first[flow]]);
  return begun < 0 ? starts : [[begun, events.seq[acting]], ...starts];
}

/** The programs from this one up to the start of the lineage. */
function spine(program) {
  const chain = [];
  for (let node = program; node >= 0; ) {
    chain.push(node);
    const origin = flowsInto(node, Infinity).find((flow) => isDescent(flow));
    const from = origin === undefined ? -1 : graph.from[origin];
    node = from >= 0 && graph.seq[from] < graph.seq[node] ? from : -1;
  }
  return chain;
}

/** Whether the one program came from the other. */
function isDescent(flow) {
  return ["start", "fork", "exec"].includes(graph.rules[graph.rule[flow]][0]);
}

class Heap {
  constructor(compare) {
    this.compare = compare;
    this.items = [];
  }

  push(item) {
    const { items, compare } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (compare(items[at], items[up]) >= 0) break;
      [items[at], items[up]] = [items[up], items[at]];
      at = up;
    }
  }

  pop() {
    const { items, compare } = this;
    if (items.length < 2) return items.pop();
    const top = items[0];
    items[0] = items.pop();
    for (let at = 0; ; ) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        if (below < items.length && compare(items[below], items[least]) < 0) least = below;
      }
      if (least === at) return top;
      [items[at], items[least]] = [items[least], items[at]];
      at = least;
    }
  }
}
