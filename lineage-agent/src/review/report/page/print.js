// On paper there is no scrolling: what is on the screen in boxes is there as short tables.

const PRINTED = 40;

/** Columns of numbers. */
const NUMBERS = ["Events", "Denied", "Read", "Written", "Sent", "Received", "Times"];

/** A table of the things with the largest keys, none of those below 0; the second column has the long texts. */
function printed(title, heads, count, key, cells) {
  const order = Array.from({ length: count }, (_, at) => at).filter((at) => key(at) >= 0).sort((a, b) => key(b) - key(a) || a - b);
  const kind = heads.map((head) => (NUMBERS.includes(head) ? "num" : null));
  const rows = order.slice(0, PRINTED).map((at) => el("tr", null, cells(at).map((cell, column) => el("td", { class: kind[column] }, foreign(cell)))));
  const more = count > rows.length ? el("p", { class: "small" }, `… and ${grouped(count - rows.length)} more`) : null;
  return el("div", { class: "paper" }, el("table", null, el("caption", null, title), el("thead", null, el("tr", null, heads.map((head, column) => el("th", { class: kind[column] }, head)))),
    el("tbody", null, rows)), more);
}

function drawPaper() {
  const named = (number) => (number > 0 ? grouped(number) : "");
  show("processes", printed("Processes with the most events", ["Process", "Command", "Events", "Denied", "End"], processCount,
    (at) => processes.denied[at] * 1e9 + processes.events[at],
    (at) => [processName(at), text(processes.command[at]), grouped(processes.events[at]), named(processes.denied[at]), text(processes.ending[at])]));
  show("files", printed("Files worth a look", ["Use", "File", "Read", "Written"], fileCount,
    (at) => (files.class[at] > 0 ? files.class[at] : -1) * 1e15 + files.bytes_written[at] + files.bytes_read[at],
    (at) => [fileUse(at), text(files.path[at]), bytes(files.bytes_read[at]), bytes(files.bytes_written[at])]));
  if (peerCount > 0) {
    show("network", printed("Connections", ["Way", "Other end", "Transport", "Sent", "Received"], peerCount,
      (at) => peers.bytes_sent[at],
      (at) => [WAYS[peers.way[at]], text(peers.end[at]), text(peers.transport[at]), bytes(peers.bytes_sent[at]), bytes(peers.bytes_received[at])]));
  }
  if (decisions.times.length > 0) {
    show("decisions", printed("Decisions, denials first", ["Verdict", "What", "By", "What came of it", "Times"], decisions.times.length,
      (at) => decisions.denied[at] * 1e12 + decisions.times[at],
      (at) => [decisions.denied[at] ? "denied" : "allowed", text(decisions.judged[at]), text(decisions.by[at]), outcome(at), grouped(decisions.times[at])]));
  }
}
