// When how much happened: a lane for each kind of thing, drawn from the records.

const LANES = ["Processes", "Files", "Network", "Recorder", "Denied"];
const LANE_HEIGHT = 40, LABEL_WIDTH = 84, AXIS_HEIGHT = 24;

const timeline = { buckets: 0, from: 0, to: Infinity, counts: [] };

function drawTimeline() {
  const whole = span[1] - span[0];
  const [date, from] = moment(span[0]);
  const [dateTo, to] = moment(span[1]);
  timeline.figure = el("div");
  timeline.said = el("p", { class: "small", "aria-live": "polite" });
  show("timeline",
    el("p", { class: "lead" }, `${date} ${from} to ${date === dateTo ? "" : `${dateTo} `}${to} UTC, ${duration(whole)}. `,
      "Choose a time with the pointer or the arrow keys, and a span by dragging or with Shift."),
    el("div", { class: "figure" }, timeline.figure),
    el("div", { class: "tools" },
      el("button", { type: "button", onclick: showChosenTime }, "Show these events"), timeline.said));
  new ResizeObserver(() => layTimeline()).observe(timeline.figure);
}

function layTimeline() {
  const width = timeline.figure.clientWidth;
  if (width === timeline.width || width === 0) return;
  timeline.width = width;
  timeline.buckets = Math.max(20, Math.min(400, Math.floor((width - LABEL_WIDTH) / 4)));
  countBuckets();
  timeline.from = Math.min(timeline.from, timeline.buckets - 1);
  timeline.to = Math.min(timeline.to, timeline.buckets - 1);
  const lanes = LANES.map((name, lane) => ({ name, lane })).filter(({ lane }) => timeline.counts[lane].some((count) => count > 0));
  const height = lanes.length * LANE_HEIGHT + AXIS_HEIGHT;
  timeline.band = svg("rect", { class: "band", y: 0, height: height - AXIS_HEIGHT });
  const drawing = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "slider", tabindex: 0, "aria-label": "Time", "aria-valuemin": 0, "aria-valuemax": timeline.buckets - 1,
    onkeydown: timelineKey, onpointerdown: timelinePointer, onpointermove: timelinePointer,
  }, timeline.band, lanes.map(({ name, lane }, at) => drawLane(name, lane, at)), drawAxis(height));
  timeline.drawing = drawing;
  timeline.figure.replaceChildren(drawing);
  chooseTime(timeline.from, timeline.to);
}

function countBuckets() {
  timeline.counts = LANES.map(() => new Uint32Array(timeline.buckets));
  for (let row = 0; row < events.count; row++) {
    const at = bucketOf(events.time[row]);
    timeline.counts[kindGroup(row)][at] += 1;
    if (events.flags[row] & DENIED) timeline.counts[4][at] += 1;
  }
}

function bucketOf(time) {
  const whole = Math.max(1, span[1] - span[0]);
  const at = Math.floor(((time - span[0]) / whole) * timeline.buckets);
  return Math.max(0, Math.min(timeline.buckets - 1, at || 0));
}

function bucketTime(at) {
  return span[0] + (at / timeline.buckets) * (span[1] - span[0]);
}

function bucketX(at) {
  return LABEL_WIDTH + (at / timeline.buckets) * (timeline.width - LABEL_WIDTH);
}

/** One lane as one shape; heights by the square root, so that little is seen beside much. */
function drawLane(name, lane, at) {
  const counts = timeline.counts[lane], base = (at + 1) * LANE_HEIGHT - 4;
  let most = 1;
  for (const count of counts) most = Math.max(most, count);
  const wide = Math.max(1, bucketX(1) - bucketX(0) - 1);
  let path = "";
  counts.forEach((count, bucket) => {
    if (count === 0) return;
    const tall = Math.max(2, Math.sqrt(count / most) * (LANE_HEIGHT - 10));
    path += `M${bucketX(bucket).toFixed(1)} ${base}v${-tall.toFixed(1)}h${wide.toFixed(1)}v${tall.toFixed(1)}z`;
  });
  return [
    svg("line", { class: "base", x1: LABEL_WIDTH, x2: timeline.width, y1: base + 0.5, y2: base + 0.5 }),
    svg("text", { class: "lane", x: 0, y: base - 4 }, name),
    svg("path", { class: lane === 4 ? "bars bad" : "bars", d: path }),
  ];
}

function drawAxis(height) {
  const ticks = Math.max(2, Math.min(6, Math.floor((timeline.width - LABEL_WIDTH) / 120)));
  const marks = [];
  for (let tick = 0; tick <= ticks; tick++) {
    const at = (tick / ticks) * timeline.buckets;
    const anchor = tick === 0 ? "start" : tick === ticks ? "end" : "middle";
    const label = span[1] - span[0] < 120e6 ? timeOfDay(bucketTime(at)) : timeOfDay(bucketTime(at)).slice(0, 8);
    marks.push(svg("text", { class: "tick", x: bucketX(at), y: height - 6, "text-anchor": anchor }, label));
  }
  return marks;
}

/** Chooses the span between two buckets, and says what is in it. */
function chooseTime(anchor, to) {
  timeline.from = anchor;
  timeline.to = to;
  const [first, last] = [Math.min(anchor, to), Math.max(anchor, to)];
  timeline.band.setAttribute("x", bucketX(first));
  timeline.band.setAttribute("width", Math.max(2, bucketX(last + 1) - bucketX(first)));
  timeline.band.classList.toggle("whole", first === 0 && last + 1 === timeline.buckets);
  const within = LANES.map((name, lane) => {
    let count = 0;
    for (let at = first; at <= last; at++) count += timeline.counts[lane][at];
    return count > 0 ? `${name.toLowerCase()} ${grouped(count)}` : null;
  });
  const said = `${timeOfDay(bucketTime(first))} to ${timeOfDay(bucketTime(last + 1))}: ${within.filter(Boolean).join(", ") || "nothing"}`;
  timeline.said.textContent = said;
  timeline.drawing.setAttribute("aria-valuenow", to);
  timeline.drawing.setAttribute("aria-valuetext", said);
}

function timelineKey(event) {
  const page = Math.ceil(timeline.buckets / 10);
  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -1e9, End: 1e9 };
  if (event.key === "Enter") showChosenTime();
  else if (event.key in steps) {
    const to = Math.max(0, Math.min(timeline.buckets - 1, timeline.to + steps[event.key]));
    chooseTime(event.shiftKey ? timeline.from : to, to);
  } else return;
  event.preventDefault();
}

function timelinePointer(event) {
  if (event.type === "pointermove" && !(event.buttons & 1)) return;
  const x = event.clientX - timeline.drawing.getBoundingClientRect().left;
  const part = (x - LABEL_WIDTH) / Math.max(1, timeline.width - LABEL_WIDTH);
  const at = Math.max(0, Math.min(timeline.buckets - 1, Math.floor(part * timeline.buckets)));
  const keep = event.type === "pointermove" || event.shiftKey;
  chooseTime(keep ? timeline.from : at, at);
}

function showChosenTime() {
  const [first, last] = [Math.min(timeline.from, timeline.to), Math.max(timeline.from, timeline.to)];
  const end = last + 1 === timeline.buckets ? Infinity : bucketTime(last + 1);
  search.only({ time: [bucketTime(first), end] });
}
