"use strict";
// Elements and words. Whatever came from the evidence becomes a text node here, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An element with attributes (`onclick` and the like are listeners) and children, which are text or elements. */
function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Adds children to a section. */
function show(id, ...children) {
  fill(byId(id), null, children);
}

function byId(id) {
  return document.getElementById(id);
}

/** Foreign text, which keeps its direction to itself. */
function foreign(text, attributes) {
  return el("bdi", { dir: "ltr", ...attributes }, text);
}

/** A whole number with its digits in groups of three. */
function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

function counted(number, one, many) {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

function scaled(value, step, units) {
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= step;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value < 9.995 ? 2 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A number of bytes: exact below 10 000, then three digits. */
function bytes(count) {
  return count < 10000 ? `${grouped(count)} B` : scaled(count, 1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
}

/** A span of microseconds. */
function duration(us) {
  if (!(us >= 0)) return "";
  if (us < 60e6) return scaled(us, 1000, ["µs", "ms", "s"]);
  const seconds = Math.floor(us / 1e6);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${two(Math.floor(seconds / 3600) % 24)} h`;
}

/** A moment, microseconds since 1970, as date and time of day (UTC). */
function moment(us) {
  const ms = us / 1000;
  if (!(Math.abs(ms) < 8.64e15)) return ["?", "?"];
  const [date, rest] = new Date(Math.floor(ms)).toISOString().split("T");
  return [date, rest.slice(0, 12)];
}

function timeOfDay(us) {
  return moment(us)[1];
}

/** Goes to a section without surprising whoever wants no motion. */
function goTo(element, focus) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  (focus ?? element).focus({ preventScroll: true });
}
