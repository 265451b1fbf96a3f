// Ranking: the radio buttons hold the order; it is also moved by buttons, keys, and by dragging.

import { calm, cards, complain, edited, form, letter, say, stage, word } from "./page.js";

let current = 0; // the card that the next digit ranks

export const chosen = (card) => card.querySelector(".ranks.main input:checked");
const ranking = () => form()?.dataset.ask === "ranking";
const byLetter = (name) => cards().find((card) => letter(card) === name);

export function markCurrent(index, { focus = false } = {}) {
  current = index;
  cards().forEach((card, i) => card.classList.toggle("current", i === index));
  const card = cards()[index];
  if (!focus || !card) return;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

export const currentCard = () => cards()[current];

export function step(by) {
  const all = cards();
  markCurrent((current + by + all.length) % all.length, { focus: true });
}

function unranked() {
  return ranking() ? cards().filter((card) => !chosen(card)) : [];
}

// --- by number -----------------------------------------------------------------------------

export function rankCurrent(rank) {
  const all = cards();
  const input = all[current]?.querySelector(`.ranks.main input[value="${rank}"]`);
  if (!input) return;
  input.checked = true;
  ranked(all[current]);
  const next = [...all.slice(current + 1), ...all.slice(0, current)].find((card) => !chosen(card));
  if (next) markCurrent(all.indexOf(next), { focus: true });
}

export function clearCurrent() {
  const card = cards()[current];
  const input = card && chosen(card);
  if (!input) return;
  input.checked = false;
  drawOrder();
  edited(input.name);
  say(word("unranked", { letter: letter(card) }));
}

export function ranked(card) {
  const left = changed(card);
  const rest = left.length ? word("left", { letters: left.map(letter).join(", ") }) : word("all_ranked");
  say(`${word("ranked", { letter: letter(card), rank: chosen(card).value })} ${rest}`);
}

function changed(card) {
  card.classList.remove("missing");
  drawOrder();
  edited(chosen(card).name);
  const left = unranked();
  if (!left.length) calm();
  return left;
}

export function isComplete() {
  const left = unranked();
  cards().forEach((card) => card.classList.toggle("missing", left.includes(card)));
  if (!left.length) return true;
  complain(word(left.length > 1 ? "some_missing" : "one_missing", { letters: left.map(letter).join(", ") }));
  markCurrent(cards().indexOf(left[0]), { focus: true });
  return false;
}

// --- by place ------------------------------------------------------------------------------

// The ranked letters, best first; those of one tier are tied.
function tiers() {
  const ranks = new Map();
  for (const card of cards()) {
    const rank = chosen(card)?.value;
    if (rank) ranks.set(rank, [...(ranks.get(rank) ?? []), letter(card)]);
  }
  return [...ranks.keys()].sort((a, b) => a - b).map((rank) => ranks.get(rank));
}

function write(order) {
  let rank = 1;
  for (const tier of order) {
    for (const name of tier) byLetter(name).querySelector(`.ranks.main input[value="${rank}"]`).checked = true;
    rank += tier.length;
  }
}

function tell(name) {
  const card = byLetter(name);
  const place = chosen(card).value;
  const with_ = tiers().find((tier) => tier.includes(name)).filter((other) => other !== name);
  changed(card);
  const values = { letter: name, other: with_.join(", "), place, k: cards().length };
  say(word(with_.length ? "tied" : "moved", values));
}

// `name` goes before or after `other`, or beside it.
export function place(name, where, other) {
  const order = tiers().map((tier) => tier.filter((one) => one !== name)).filter((tier) => tier.length);
  let at = order.findIndex((tier) => tier.includes(other));
  if (at < 0) at = order.push([other]) - 1;
  if (where === "equal") order[at].push(name);
  else order.splice(where === "better" ? at : at + 1, 0, [name]);
  write(order);
  tell(name);
}

export function move(name, by) {
  const order = tiers();
  const at = order.findIndex((tier) => tier.includes(name));
  if (at < 0) order.push([name]);
  else if (order[at].length > 1) {
    order[at] = order[at].filter((one) => one !== name);
    order.splice(by < 0 ? at : at + 1, 0, [name]);
  } else {
    order.splice(at, 1);
    order.splice(Math.max(0, Math.min(order.length, at + by)), 0, [name]);
  }
  write(order);
  tell(name);
}

export function tie(name) {
  const order = tiers();
  const at = order.findIndex((tier) => tier.includes(name));
  const others = at < 0 ? order.at(-1) : (order[at - 1] ?? order[at + 1]);
  if (others) place(name, "equal", others[0]);
}

// --- what of it is drawn -------------------------------------------------------------------

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "tight move";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

// The buttons and handles that only work with this script.
export function equip() {
  if (!ranking()) return;
  for (const card of cards()) {
    const name = letter(card);
    const group = document.createElement("span");
    group.className = "moves";
    group.append(
      button("↑", word("up", { letter: name }), () => move(name, -1)),
      button("↓", word("down", { letter: name }), () => move(name, 1)),
      button("=", word("tie", { letter: name }), () => tie(name)),
    );
    card.querySelector(".ranks.main").append(group);
    const handle = document.createElement("span");
    handle.className = "handle";
    handle.dataset.drag = name;
    handle.textContent = "⠿";
    handle.setAttribute("aria-hidden", "true");
    card.querySelector("header h3").before(handle);
  }
  drawOrder();
  const left = unranked()[0];
  markCurrent(left ? cards().indexOf(left) : 0);
}

function drawOrder() {
  const list = document.getElementById("order");
  if (!list) return;
  const order = tiers();
  let rank = 1;
  list.replaceChildren(...order.map((tier) => {
    const item = document.createElement("li");
    item.append(`${rank} `, ...tier.map((name) => {
      const chip = document.createElement("span");
      chip.className = "chip";
      chip.dataset.drag = chip.dataset.letter = name;
      chip.textContent = name;
      return chip;
    }));
    rank += tier.length;
    return item;
  }));
  list.hidden = !order.length;
}

// --- by dragging ---------------------------------------------------------------------------

const drag = { name: null, ghost: null, target: null, where: null };
const EDGE = 72;

stage.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest("[data-drag]");
  if (!grip || event.button > 0 || drag.name) return;
  event.preventDefault();
  drag.name = grip.dataset.drag;
  drag.id = event.pointerId;
  drag.ghost = document.createElement("div");
  drag.ghost.className = "ghost";
  document.body.append(drag.ghost);
  // The page keeps the pointer, whatever becomes of the grip.
  stage.setPointerCapture(event.pointerId);
  follow(event);
});

stage.addEventListener("pointermove", (event) => {
  if (drag.name && event.pointerId === drag.id) follow(event);
});

stage.addEventListener("pointerup", (event) => {
  if (!drag.name || event.pointerId !== drag.id) return;
  const { name, target, where } = drag;
  drop();
  if (target) place(name, where, target.dataset.letter);
});

stage.addEventListener("pointercancel", drop);

function follow(event) {
  const { clientX: x, clientY: y } = event;
  drag.ghost.style.transform = `translate(${x + 12}px, ${y + 12}px)`;
  aim(document.elementFromPoint(x, y)?.closest(".chip, #battle .card"), x, y);
  if (y < EDGE) scrollBy(0, -16);
  else if (y > innerHeight - EDGE) scrollBy(0, 16);
}

function aim(target, x, y) {
  drag.target?.classList.remove("drop-better", "drop-equal", "drop-worse");
  drag.target = target && target.dataset.letter !== drag.name ? target : null;
  drag.ghost.textContent = drag.name;
  if (!drag.target) return;
  const box = drag.target.getBoundingClientRect();
  const beside = target.matches(".chip") || getComputedStyle(target.parentElement).gridTemplateColumns.includes(" ");
  const along = beside ? (x - box.left) / box.width : (y - box.top) / box.height;
  const share = beside && getComputedStyle(stage).direction === "rtl" ? 1 - along : along;
  drag.where = share < 1 / 3 ? "better" : share > 2 / 3 ? "worse" : "equal";
  drag.target.classList.add(`drop-${drag.where}`);
  drag.ghost.textContent = word(drag.where, { letter: drag.name, other: drag.target.dataset.letter });
}

function drop() {
  drag.target?.classList.remove("drop-better", "drop-equal", "drop-worse");
  drag.ghost?.remove();
  Object.assign(drag, { name: null, ghost: null, target: null });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && drag.name) drop();
});

stage.addEventListener("change", (event) => {
  if (!event.target.matches(".ranks.main input")) return;
  const card = event.target.closest(".card");
  markCurrent(cards().indexOf(card));
  ranked(card);
});

stage.addEventListener("focusin", (event) => {
  const index = cards().indexOf(event.target.closest(".card"));
  if (index >= 0) markCurrent(index);
});
