// A list of any length of which only what is seen is in the page.

const ROW_HEIGHT = 28;
let listCount = 0;

/**
 * A box that scrolls through rows of one height. It, or the `owner` around it, has the focus, and says which row is the
 * current one; arrows, page and end keys move that, Enter opens it. `draw(index)` gives the children of a row.
 */
class List {
  constructor({ role, rowRole, label, draw, open, attributes, keys, owner }) {
    Object.assign(this, { draw, open, attributes, keys, rowRole });
    this.id = `list-${listCount++}`;
    this.count = 0;
    this.current = 0;
    this.rows = el("div", { class: "rows", role: "presentation" });
    this.box = el("div", { class: "box", role }, this.rows);
    this.owner = fill(owner ?? this.box, { tabindex: 0, "aria-label": label }, []);
    this.box.addEventListener("scroll", () => this.paint(), { passive: true });
    this.owner.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.paint()).observe(this.box);
  }

  /** Shows so many rows, from the first on. */
  reset(count) {
    this.count = count;
    this.current = 0;
    this.box.scrollTop = 0;
    this.resize();
  }

  /** The rows changed; the current one stays. */
  resize(count = this.count) {
    this.count = count;
    this.current = Math.max(0, Math.min(this.current, count - 1));
    this.rows.style.height = `${count * ROW_HEIGHT}px`;
    this.box.classList.toggle("empty", count === 0);
    this.painted = null;
    this.paint();
  }

  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_HEIGHT) - 4);
    const last = Math.min(this.count, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW_HEIGHT) + 4);
    const window = `${first} ${last} ${this.current}`;
    if (window === this.painted) return;
    this.painted = window;
    // What the scroll bar takes, so that heads of columns stand above them.
    this.box.parentElement?.style.setProperty("--gutter", `${this.box.offsetWidth - this.box.clientWidth - 2}px`);
    const rows = [];
    for (let index = first; index < last; index++) rows.push(this.row(index));
    this.rows.replaceChildren(...rows);
    const shown = this.current >= first && this.current < last;
    if (shown) this.owner.setAttribute("aria-activedescendant", `${this.id}-${this.current}`);
    else this.owner.removeAttribute("aria-activedescendant");
  }

  row(index) {
    const current = index === this.current;
    const row = el("div", {
      id: `${this.id}-${index}`,
      class: current ? "row current" : "row",
      role: this.rowRole,
      "aria-selected": String(current),
      "data-index": index,
      ...this.attributes?.(index),
    }, this.draw(index));
    row.style.top = `${index * ROW_HEIGHT}px`;
    return row;
  }

  /** Makes a row the current one, and visible. */
  select(index) {
    if (this.count === 0) return;
    this.current = Math.max(0, Math.min(index, this.count - 1));
    const top = this.current * ROW_HEIGHT, box = this.box;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW_HEIGHT - box.clientHeight;
    this.paint();
  }

  key(event) {
    if (event.target !== this.owner || event.altKey || event.ctrlKey || event.metaKey || this.count === 0) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_HEIGHT) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    if (event.key in steps) this.select(this.current + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.open(this.current, event);
    else if (!this.keys?.(event, this.current)) return;
    event.preventDefault();
  }

  clicked(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.select(Number(row.dataset.index));
    this.open(this.current, event);
  }
}

/** A list with a line of titles above it, each with its class, for the eye only: the rows say it all. */
function headed(name, list, ...titles) {
  const head = titles.map(([title, className]) => el("span", { class: className }, title));
  return el("div", { class: name }, el("div", { class: "row head", "aria-hidden": "true" }, head), list.box);
}
