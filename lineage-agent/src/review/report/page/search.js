// Search over everything: processes, files, connections and events, and events by what they belong to.

const search = {
  query: "", only_: {}, kinds: "", rows: new Int32Array(0), type: new Uint8Array(0),

  /** Shows only the events of a process, a file or a time. */
  only(what) {
    Object.assign(this, { only_: what, query: "" });
    byId("query").value = "";
    this.find();
    goTo(byId("events"), this.list.box);
  },

  find() {
    const found = matches(this);
    this.type = found.type;
    this.rows = found.rows;
    this.list.reset(this.rows.length);
    drawFilters();
    const events = found.counts[3];
    const others = ["process", "file", "connection"].map((one, at) => found.counts[at] && counted(found.counts[at], one, one === "process" ? "processes" : `${one}s`));
    const said = [...others.filter(Boolean), counted(events, "event", "events")].join(", ");
    this.said.textContent = said;
    byId("found").textContent = this.query ? `${said} – Enter shows them` : "";
  },
};

/** Texts that hold the words, as a bit for each. */
function matchingTexts(words) {
  const hit = new Uint8Array(data.strings.length);
  search.lower ??= data.strings.map((one) => one.toLowerCase());
  search.lower.forEach((one, id) => (hit[id] = words.every((word) => one.includes(word)) ? 1 : 0));
  return hit;
}

/** What there is to show: types 0 process, 1 file, 2 connection, 3 event. */
function matches({ query, only_, kinds }) {
  const word = query.trim().toLowerCase();
  // `event 4711` is that one.
  const numbered = /^event (\d+)$/.exec(word)?.[1];
  const hit = word ? matchingTexts(word.split(/\s+/)) : null;
  const rows = [], type = [], counts = [0, 0, 0, 0];
  const add = (kind, row) => {
    rows.push(row);
    type.push(kind);
    counts[kind] += 1;
  };
  if (hit && !numbered && !only_.time && only_.process === undefined && only_.file === undefined) {
    for (let at = 0; at < processCount; at++) {
      if (hit[processes.name[at]] || hit[processes.command[at]] || hit[processes.exe[at]] || String(processes.pid[at]) === word) add(0, at);
    }
    for (let at = 0; at < fileCount; at++) if (hit[files.path[at]] || hit[files.blake3[at]] || hit[files.label[at]]) add(1, at);
    for (let at = 0; at < peerCount; at++) if (hit[peers.end[at]]) add(2, at);
  }
  const kind = data.kinds.map(([name, , group]) => (!kinds || String(group) === kinds) && (!hit || name.includes(word) ? 2 : 1));
  const flags = search.flags?.() ?? 0;
  for (let row = 0; row < events.count; row++) {
    const fits = kind[events.kind[row]] ?? 1;
    if (!fits || (events.flags[row] & flags) !== flags || !belongs(row, only_)) continue;
    const process = events.process[row];
    const named = process >= 0 && hit && hit[processes.name[process]];
    const text = hit?.[events.text[row]] || fits === 2 || named;
    if (numbered ? String(events.seq[row]) === numbered : !hit || text || String(events.seq[row]) === word) add(3, row);
  }
  return { rows: Int32Array.from(rows), type: Uint8Array.from(type), counts };
}

function belongs(row, { process, file, time }) {
  if (process !== undefined && events.process[row] !== process) return false;
  if (file !== undefined && events.file[row] !== file) return false;
  return !time || (events.time[row] >= time[0] && events.time[row] <= time[1]);
}

function foundRow(index) {
  const at = search.rows[index];
  const line = (seq, time, who, what, ...rest) => [
    el("span", { class: "num seq" }, seq), el("span", { class: "num wide" }, time), foreign(who, { class: "who wide" }), el("span", { class: "verb" }, what),
    el("span", { class: "what" }, ...rest),
  ];
  if (search.type[index] === 0) return line("", "", processName(at), "process", foreign(text(processes.command[at])));
  if (search.type[index] === 1) return line("", "", "", "file", foreign(text(files.path[at])));
  if (search.type[index] === 2) return line("", "", "", "network", `${WAYS[peers.way[at]]} `, foreign(text(peers.end[at])));
  const process = events.process[at];
  return line(events.seq[at], timeOfDay(events.time[at]), process < 0 ? "" : processName(process), verb(at), foreign(text(events.text[at])));
}

function openFound(index) {
  const at = search.rows[index], home = search.list.box;
  visit([processPlace, filePlace, peerPlace, eventPlace][search.type[index]](at), home);
}

/** The conditions that hold, each with a button that ends it. */
function drawFilters() {
  const { process, file, time } = search.only_;
  const names = [
    process !== undefined && `process ${processName(process)}`,
    file !== undefined && `file ${text(files.path[file])}`,
    time && `${timeOfDay(time[0])} to ${time[1] === Infinity ? "the end" : timeOfDay(time[1])}`,
  ].filter(Boolean);
  search.chips.replaceChildren(...names.map((name) => el("button", { type: "button", class: "chip", onclick: () => {
    search.only_ = {};
    search.find();
    search.list.box.focus();
  } }, foreign(name), " ✕", el("span", { class: "hidden" }, " (show all again)"))));
}

function drawSearch() {
  search.list = new List({
    role: "listbox", rowRole: "option", label: "What was found", draw: foundRow, open: openFound,
    attributes: (index) => ({
      class: rowClass(index), "aria-setsize": search.rows.length, "aria-posinset": index + 1,
    }),
  });
  search.said = el("output", { class: "small", "aria-live": "polite" });
  search.chips = el("span");
  const kinds = el("select", { "aria-label": "Kind", onchange: () => {
    search.kinds = kinds.value;
    search.find();
  } }, [["", "All kinds"], ["0", "Processes"], ["1", "Files"], ["2", "Network"], ["3", "Recorder"]].map(([value, name]) => el("option", { value }, name)));
  const ticks = [[NOTABLE, "notable"], [FAILED, "failed"], [DENIED, "denied"]].map(([flag, name]) => {
    const box = el("input", { type: "checkbox", onchange: () => search.find() });
    return { flag, box, label: el("label", null, box, ` only ${name}`) };
  });
  search.flags = () => ticks.reduce((all, { flag, box }) => all | (box.checked ? flag : 0), 0);
  show("events",
    el("div", { class: "tools" }, kinds, ticks.map((tick) => tick.label), search.chips, search.said),
    headed("found", search.list, ["Event", "num"], ["Time (UTC)", "num wide"], ["Process", "wide"], ["What"], [""]));
  const query = byId("query");
  let timer = 0;
  query.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      search.query = query.value;
      search.find();
    }, 120);
  });
  query.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    clearTimeout(timer);
    search.query = query.value;
    search.find();
    goTo(byId("events"), search.list.box);
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    query.focus();
    query.select();
  });
  search.find();
}

function rowClass(index) {
  const flags = search.type[index] === 3 ? events.flags[search.rows[index]] : 0;
  const parts = ["row", index === search.list.current && "current", flags & DENIED && "denied", flags & FAILED && "failed"];
  return parts.filter(Boolean).join(" ");
}
