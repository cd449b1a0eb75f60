// The verdict first, then who, when, where, and what for.

const VERDICTS = {
  VERIFIED: ["good", "Everything is what was signed, and nothing that was signed is missing."],
  VERIFIED_WITH_LOSS: ["good", "Everything is what was signed. The evidence itself says that some events were not recorded."],
  TAMPERED: ["bad", "Something is not what was signed."],
  INCOMPLETE: ["poor", "Something that was signed is not there."],
  UNVERIFIABLE: ["poor", "Something cannot be judged with what was at hand."],
  NOTHING_VERIFIED: ["poor", "There was nothing to verify."],
};

const VERDICT_WORDS = {
  VERIFIED: "Verified",
  VERIFIED_WITH_LOSS: "Verified, with loss",
  TAMPERED: "Tampered",
  INCOMPLETE: "Incomplete",
  UNVERIFIABLE: "Unverifiable",
  NOTHING_VERIFIED: "Nothing verified",
};

const STATES = {
  governed: "governed",
  audited: "audited: denials were only recorded",
  unsigned: "by policies without a grant",
  lapsed: "by a grant that was over",
  ungoverned: "by nothing",
  unknown: "not told",
};

function drawVerdict() {
  const outcome = data.verification;
  const [tone, meaning] = outcome
    ? VERDICTS[outcome.verdict] ?? ["poor", ""]
    : ["none", "Nothing in this page was checked: it shows what the evidence says, and not whether that is true."];
  const title = outcome ? VERDICT_WORDS[outcome.verdict] ?? outcome.verdict : "Not verified";
  show("verdict",
    el("div", { class: `verdict ${tone}` },
      el("p", { class: "small" }, subject()),
      el("h1", { id: "verdict-title" }, title),
      el("p", null, meaning, outcome && tone !== "good" ? " What follows is what the files say now." : null),
      outcome ? [outcome.hosts.map(verifiedHost), findings(outcome)] : howToVerify(),
      missing()));
}

/** What the page is about. */
function subject() {
  const one = lineages.id.length === 1;
  const who = one ? foreign(shortened(beginning(0))) : counted(lineages.id.length, "lineage", "lineages");
  const where = hosts.length === 1 ? foreign(text(hosts[0].name) || text(hosts[0].id)) : counted(hosts.length, "host", "hosts");
  return lineages.id.length === 0 ? ["Evidence of ", where] : ["Evidence of ", who, " on ", where, `, ${moment(span[0])[0]}`];
}

function verifiedHost(host) {
  const pin = { "epoch-root": "the root of its epoch keys", "host-key": "its static key", none: "nothing" };
  const period = host.period ? `, ${host.period[0]} to ${host.period[1]}` : "";
  return el("p", { class: "small" },
    "Host ", el("code", null, host.host), `: ${counted(host.records, "record", "records")} in ${host.segments_valid} of `,
    `${counted(host.segments, "segment", "segments")} proven`, period, `. What vouches for it: ${pin[host.pin] ?? host.pin}.`);
}

function howToVerify() {
  return [
    el("p", null, "To check every record, signature and link, offline, with what was noted when the host was set up:"),
    el("pre", null, "lineage verify EVIDENCE --trust root:…\nlineage report EVIDENCE -o FILE --trust root:…"),
  ];
}

function findings(outcome) {
  if (outcome.findings.length === 0) return el("p", { class: "small" }, "No findings.");
  const list = outcome.findings.map((finding) => el("li", { class: `finding ${finding.severity}` },
    el("span", { class: "tag" }, finding.severity), el("strong", null, finding.code), " ", finding.meaning,
    el("span", { class: "small" }, ...whereFound(finding))));
  const more = (outcome.more ?? []).map((more) => el("li", null, `${grouped(more.count)} more: ${more.code}`));
  const unmet = (outcome.unmet ?? []).length > 0 ? el("p", null, `Not met: ${outcome.unmet.join(", ")}`) : null;
  return [unmet, el("h3", null, "Findings"), el("ul", { class: "findings" }, list, more)];
}

function whereFound(finding) {
  const parts = [];
  if (finding.file) parts.push(" In ", foreign(finding.file), ".");
  if (finding.rows) parts.push(` Records ${finding.rows[0]} to ${finding.rows[1]}.`);
  if (finding.expected) parts.push(" Expected ", foreign(finding.expected), ".");
  if (finding.found) parts.push(" Found ", foreign(finding.found), ".");
  return parts;
}

/** What was not recorded, not read, or has no room in the page. */
function missing() {
  const { lost, told, unread } = data.missing;
  const notes = unread.map((id) => ["Not all of the evidence could be read: ", foreign(text(id)), "."]);
  if (lost > 0) notes.push([`The kernel had no room for ${counted(lost, "event", "events")}, which are not here.`]);
  for (const [what, times] of Object.entries(told)) notes.push([foreign(what), times > 0 ? `: ${grouped(times)} times.` : "."]);
  const left = [
    [events.leftOut, "record", "records"], [processes.left_out, "process", "processes"], [files.left_out, "use of files", "uses of files"],
    [peers.left_out, "use of connections", "uses of connections"], [data.graphs.left_out, "flow", "flows"],
    [decisions.left_out, "decision", "decisions"],
  ];
  for (const [count, one, many] of left) {
    if (count > 0) notes.push([`This page has no room for ${counted(count, one, many)} more.`]);
  }
  if (notes.length === 0) return null;
  return [el("h3", null, "Not in this page"), el("ul", { class: "findings" }, notes.map((note) => el("li", { class: "finding loss" }, note)))];
}

function drawFacts() {
  const total = (column) => column.reduce((all, one) => all + one, 0);
  const denied = total(lineages.denied);
  const numbers = [
    [hosts.reduce((all, host) => all + host.records, 0), "event", "events"],
    [total(lineages.processes), "process", "processes"],
    [fileCount, "file", "files"],
    [total(lineages.connections), "connection", "connections"],
    [total(lineages.failed), "failed call", "failed calls"],
    [denied, "denial", "denials"],
  ];
  show("facts",
    el("ul", { class: "numbers" }, numbers.map(([number, one, many]) => el("li", { class: many === "denials" && denied > 0 ? "bad" : null },
      el("strong", null, grouped(number)), " ", number === 1 ? one : many))),
    el("div", { class: "cards" }, hosts.map(hostCard), Array.from(lineages.id.slice(0, LINEAGES_SHOWN), (_, at) => lineageCard(at))),
    lineages.id.length > LINEAGES_SHOWN ? el("p", { class: "small" }, `… and ${lineages.id.length - LINEAGES_SHOWN} more lineages`) : null);
}

const LINEAGES_SHOWN = 24;

/** Names with their values, those that there are. */
function pairs(list) {
  return el("dl", null, list.filter(([, value]) => value).map(([name, value]) => [el("dt", null, name), el("dd", null, value)]));
}

function hostCard(host) {
  const spots = host.blind_spots.map(text).join(", ");
  return el("article", { class: "card" },
    el("h3", null, "Host ", foreign(text(host.name) || text(host.id))),
    pairs([
      ["Id", el("code", null, text(host.id))],
      ["Kernel", host.kernel > 0 && foreign(`${text(host.kernel)} ${text(host.machine)}`)],
      ["Recorder", host.agent > 0 && foreign(`lineage ${text(host.agent)}, tier ${text(host.tier)}`)],
      ["Cannot see", host.blind_spots.length > 0 && el("details", null,
        el("summary", null, counted(host.blind_spots.length, "kind of thing", "kinds of things")),
        foreign(spots), ". ", el("code", null, "lineage doctor"), " explains them.")],
    ]));
}

function lineageCard(at) {
  const [date, from] = moment(lineages.first[at]);
  const [dateTo, to] = moment(lineages.last[at]);
  const governed = data.contexts.list.filter((context) => context.lineage === at);
  const purpose = governed.map((context) => text(context.purpose)).filter(Boolean)[0];
  return el("article", { class: "card" },
    el("h3", null, "Lineage ", foreign(shortened(beginning(at)))),
    pairs([
      ["When", `${date} ${from} to ${date === dateTo ? "" : `${dateTo} `}${to} UTC, ${duration(lineages.last[at] - lineages.first[at])}`],
      ["Purpose", purpose && foreign(purpose)],
      ["Governed", el("ul", null, governance(at, governed))],
      ["Did", lineages.id.length > 1 && `${counted(lineages.records[at], "event", "events")}, ${counted(lineages.processes[at], "process", "processes")}, `
        + counted(lineages.denied[at], "denial", "denials")],
      ["End", lineages.ended[at] ? null : "not recorded"],
      ["Id", el("code", null, text(lineages.id[at]))],
    ]));
}

/** How a lineage began, without its id. */
function beginning(at) {
  const began = text(lineages.began[at]).replace(text(lineages.id[at]), "").replace(/^starts (with )?/, "");
  return began.trim() || "of which the start is missing";
}

/** A command may be a whole program; in full it is in the tree and in its record. */
function shortened(command) {
  return command.length > COMMAND_SHOWN ? `${command.slice(0, COMMAND_SHOWN)}…` : command;
}

const COMMAND_SHOWN = 160;

/** How a lineage was governed: as verified where it was, otherwise as its contexts say. */
function governance(at, contexts) {
  const proven = (data.verification?.hosts ?? []).flatMap((host) => host.governance).find((one) => one.lineage === text(lineages.id[at]));
  if (proven && proven.breaks.length + proven.intervals.filter((one) => one.state !== "ungoverned").length > 0) {
    const unbroken = proven.unbroken ? "without a break, by a grant of an issuer that is trusted" : "not proven to be without a break";
    return [
      el("li", null, unbroken),
      proven.intervals.map((one) => el("li", null, `from ${timeOfDay(Date.parse(one.from) * 1000)} ${STATES[one.state] ?? one.state}`,
        one.issuer ? [", issued by ", foreign(one.issuer)] : null)),
      proven.breaks.map((one) => el("li", { class: "bad" }, foreign(one.why))),
    ];
  }
  if (contexts.length === 0) return el("li", null, UNGOVERNED);
  return contexts.slice(0, CONTEXTS_SHOWN).map((context) => {
    const policies = context.policies.map(text).join(", ");
    const by = policies ? ["by ", foreign(policies)] : UNGOVERNED;
    const grants = context.grants > 0 ? `, under ${counted(context.grants, "grant", "grants")}` : "";
    const lapsed = context.lapsed > 0 ? [", nothing authorised any more: ", foreign(text(context.lapsed))] : null;
    return el("li", null, by, policies ? ` (${text(context.enforcement)})` : null, grants, lapsed);
  });
}

const CONTEXTS_SHOWN = 12, UNGOVERNED = "by nothing: only recorded";
