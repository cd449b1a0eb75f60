// What somebody who looks for the first time should see first, each to walk on from.

/** Most of one kind. */
const HIGHLIGHTS_MAX = 5;

const READ = 1, WRITTEN = 2, EXECUTED = 8, SENSITIVE = 4;

/** Up to so many of `count` things that fit, the largest key first. */
function foremost(count, fits, key) {
  const all = Array.from({ length: count }, (_, at) => at).filter(fits);
  return all.sort((a, b) => key(b) - key(a) || a - b).slice(0, HIGHLIGHTS_MAX);
}

/** Who used a file or a connection, `column` being the one of events that names those. */
function users(column, at) {
  const seen = new Set();
  column.forEach((one, row) => one === at && events.process[row] >= 0 && seen.add(events.process[row]));
  return several([...seen][0], seen.size);
}

function several(process, count) {
  if (process === undefined || process < 0) return "";
  return ` by ${processName(process)}${count > 1 ? ` and ${grouped(count - 1)} more` : ""}`;
}

/** What stands out, the worst first: a tag, a name, what there is to say of it, and the place where a walk begins. */
function highlights() {
  const denied = foremost(decisions.times.length, (at) => decisions.denied[at], (at) => decisions.times[at]);
  const secret = foremost(fileCount, (at) => files.class[at] === SENSITIVE, (at) => files.uses[at]);
  const leaves = (at) => peers.bytes_sent[at] > 0 && !text(peers.transport[at]).startsWith("unix");
  const sent = foremost(peerCount, leaves, (at) => peers.bytes_sent[at]);
  const made = (at) => files.uses[at] & WRITTEN && files.uses[at] & (READ | EXECUTED) && files.processes[at] > 1
    && files.class[at] < SENSITIVE && text(files.path[at]).startsWith("/");
  const passed = foremost(fileCount, made, (at) => (files.uses[at] & EXECUTED) * 1e15 + files.bytes_written[at]);
  return [
    denied.map((at) => ({
      tag: "denied", tone: "bad", name: text(decisions.judged[at]), place: () => firstPlace(decisions.first[at]),
      detail: `${counted(decisions.times[at], "time", "times")}${several(events.process[decisions.first[at]], decisions.processes[at])}: ${outcome(at)}`,
    })),
    secret.map((at) => ({
      tag: "may be secret", tone: "warn", name: text(files.path[at]), place: () => filePlace(at),
      detail: (fileUse(at) || "tried") + users(events.file, at),
    })),
    sent.map((at) => ({
      tag: "sent away", tone: "warn", name: text(peers.end[at]), place: () => peerPlace(at),
      detail: `${bytes(peers.bytes_sent[at])} sent, ${bytes(peers.bytes_received[at])} received${users(events.peer, at)}`,
    })),
    passed.map((at) => ({
      tag: files.uses[at] & EXECUTED ? "made and run" : "passed on", name: text(files.path[at]), place: () => filePlace(at),
      detail: fileUse(at) + users(events.file, at),
    })),
  ].flat();
}

function drawHighlights() {
  const list = highlights();
  if (list.length === 0) {
    show("highlights", el("p", { class: "empty" }, "Nothing in these events: no denial, no file that may hold a secret, nothing sent over a network, no file passed between processes."));
    return;
  }
  show("highlights",
    el("p", { class: "lead" }, `Up to ${HIGHLIGHTS_MAX} of each kind. Choose one to see what led to it and what came of it.`),
    el("ul", { class: "highlights" }, list.map(({ tag, tone, name, detail, place }) => {
      const button = el("button", { type: "button", onclick: () => visit(place(), button) },
        el("span", { class: tone ? `tag ${tone}` : "tag" }, tag), " ", foreign(name, { class: "name" }), " ", foreign(detail, { class: "dim" }));
      return el("li", null, button);
    })));
}
