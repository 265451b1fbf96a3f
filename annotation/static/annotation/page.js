// What the voting page's scripts share: its words, what is said aloud, and how it is looked at.

export const stage = document.getElementById("stage");
export const preview = stage.hasAttribute("data-preview");
const live = document.getElementById("live");
const words = JSON.parse(stage.dataset.words);

export const form = () => document.getElementById("battle");
export const cards = () => [...stage.querySelectorAll("#battle .card")];
export const letter = (card) => card.dataset.letter;

// A sentence in the reader's language with its %(names)s filled in.
export function word(name, values = {}) {
  return words[name].replace(/%\((\w+)\)s/g, (whole, key) => values[key] ?? whole);
}

export function say(text) {
  live.textContent = text;
}

export function complain(text) {
  const note = document.createElement("p");
  note.className = "note bad";
  note.textContent = text;
  complainWith(note);
}

export function complainWith(note) {
  let box = document.getElementById("problem");
  if (!box) {
    box = document.createElement("div");
    box.id = "problem";
    box.setAttribute("role", "alert");
    stage.querySelector(".vote-bar")?.prepend(box);
  }
  box.replaceChildren(note);
}

export function calm() {
  document.getElementById("problem")?.replaceChildren();
}

// Tells whoever listens that the voter changed something in the form.
export function edited(name) {
  form()?.dispatchEvent(new CustomEvent("edited", { bubbles: true, detail: name }));
}

// --- attention -----------------------------------------------------------------------------

// Time counts while the page is in view and somebody did something within the last minute.
const IDLE = 60_000;

const seen = {};
let observer = null;

function fresh() {
  Object.assign(seen, { shown: performance.now(), active: 0, since: null, last: 0, first: null, revisions: 0, names: new Set(), device: null, dwell: [], deepest: [], visible: [] });
}

function running() {
  return seen.since !== null;
}

function add(now) {
  const spent = Math.max(0, Math.min(now, seen.last + IDLE) - seen.since);
  seen.active += spent;
  seen.visible.forEach((visible, i) => {
    if (visible) seen.dwell[i] += spent;
  });
  seen.since = now;
}

export function startClock() {
  if (running() || document.hidden || !form()) return;
  seen.since = seen.last = performance.now();
}

export function stopClock() {
  if (!running()) return;
  add(performance.now());
  seen.since = null;
}

function touch(device) {
  const now = performance.now();
  if (device) seen.device = device;
  if (!running()) return;
  add(now);
  seen.last = now;
}

function deepest() {
  const bottom = innerHeight;
  cards().forEach((card, i) => {
    const box = card.querySelector(".output").getBoundingClientRect();
    const share = box.height ? (bottom - box.top) / box.height : 1;
    seen.deepest[i] = Math.max(seen.deepest[i] ?? 0, Math.min(1, Math.max(0, share)));
  });
}

// A new battle is on the screen: everything from zero.
export function watch() {
  observer?.disconnect();
  fresh();
  const all = cards();
  seen.dwell = all.map(() => 0);
  seen.deepest = all.map(() => 0);
  seen.visible = all.map(() => false);
  observer = new IntersectionObserver((entries) => {
    if (running()) add(performance.now());
    for (const entry of entries) {
      const half = entry.intersectionRatio >= 0.5 || entry.intersectionRect.height > innerHeight / 2;
      seen.visible[all.indexOf(entry.target)] = entry.isIntersecting && half;
    }
    deepest();
  }, { threshold: [0, 0.25, 0.5, 0.75, 1] });
  all.forEach((card) => observer.observe(card));
  startClock();
}

// Writes what was seen into the form's two hidden fields.
export function fillTiming() {
  const fields = form().elements;
  fields.active_ms.value = Math.round(seen.active);
  fields.timing.value = JSON.stringify({
    first_ms: seen.first,
    revisions: seen.revisions,
    dwell_ms: seen.dwell.map(Math.round),
    scroll: seen.deepest.map((share) => Math.round(share * 1000) / 1000),
    device: seen.device,
    screen: innerWidth < 640 ? "small" : innerWidth < 1100 ? "medium" : "large",
  });
}

document.addEventListener("visibilitychange", () => (document.hidden ? stopClock() : startClock()));
addEventListener("pointermove", () => touch(null), { passive: true });
addEventListener("pointerdown", (event) => touch(event.pointerType || "mouse"), { passive: true });
addEventListener("keydown", () => touch("keyboard"), { passive: true });
addEventListener("scroll", () => { touch(null); deepest(); }, { passive: true });
stage.addEventListener("edited", (event) => {
  seen.first ??= Math.round(performance.now() - seen.shown);
  if (seen.names.has(event.detail)) seen.revisions += 1;
  seen.names.add(event.detail);
});

fresh();
