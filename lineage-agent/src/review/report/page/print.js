// On paper there is no scrolling: what is on the screen in boxes is there as short tables.

const PRINTED = 40;

function printed(title, heads, count, key, cells) {
  const order = Array.from({ length: count }, (_, at) => at).sort((a, b) => key(b) - key(a) || a - b);
  const rows = order.slice(0, PRINTED).map((at) => el("tr", null, cells(at).map((cell) => el("td", null, foreign(cell)))));
  const more = count > PRINTED ? el("p", { class: "small" }, `… and ${grouped(count - PRINTED)} more`) : null;
  return el("div", { class: "paper" }, el("table", null, el("caption", null, title), el("thead", null, el("tr", null, heads.map((head) => el("th", null, head)))),
    el("tbody", null, rows)), more);
}

function drawPaper() {
  const named = (number) => (number > 0 ? grouped(number) : "");
  show("processes", printed("Processes with the most events", ["Process", "Command", "Events", "Denied", "End"], processCount,
    (at) => processes.denied[at] * 1e9 + processes.events[at],
    (at) => [processName(at), text(processes.command[at]), grouped(processes.events[at]), named(processes.denied[at]), text(processes.ending[at])]));
  show("files", printed("Files worth a look", ["File", "Use", "Read", "Written"], fileCount,
    (at) => files.class[at] * 1e15 + files.bytes_written[at] + files.bytes_read[at],
    (at) => [text(files.path[at]), fileUse(at), bytes(files.bytes_read[at]), bytes(files.bytes_written[at])]));
  if (peerCount > 0) {
    show("network", printed("Connections", ["Way", "Other end", "Transport", "Sent", "Received"], peerCount,
      (at) => peers.bytes_sent[at] + peers.bytes_received[at],
      (at) => [WAYS[peers.way[at]], text(peers.end[at]), text(peers.transport[at]), bytes(peers.bytes_sent[at]), bytes(peers.bytes_received[at])]));
  }
  if (decisions.times.length > 0) {
    show("decisions", printed("Decisions, denials first", ["Verdict", "What", "By", "What came of it", "Times"], decisions.times.length,
      (at) => decisions.denied[at] * 1e12 + decisions.times[at],
      (at) => [decisions.denied[at] ? "denied" : "allowed", text(decisions.judged[at]), text(decisions.by[at]), text(decisions.effect[at]), grouped(decisions.times[at])]));
  }
}
