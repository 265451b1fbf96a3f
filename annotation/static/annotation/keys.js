// The keys of the voting page: off when the voter wants, each to be changed, never inside a field.

import { cards, form, stage, word } from "./page.js";
import { clearCurrent, currentCard, markCurrent, move, rankCurrent, step, tie } from "./ranking.js";

const dialog = document.getElementById("keys");
const on = document.getElementById("keys-on");
const STORE = "preference-arena-keys";
const fields = [...dialog.querySelectorAll("[data-action]")];
const defaults = Object.fromEntries(fields.map((field) => [field.dataset.action, field.value]));
const FIXED = /^[1-8a-h]$/;
const WRITES = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";
const PRESSES = "a, button, summary, input";

let keys = { ...defaults };
let acts = {}; // what the page itself can do: submit, next, undo

function load() {
  const kept = localStorage.getItem(STORE);
  if (kept === "on" || kept === "off") on.checked = kept === "on"; // as an earlier version kept it
  else if (kept) {
    const { off, changed } = JSON.parse(kept);
    on.checked = !off;
    keys = { ...defaults, ...changed };
  }
  draw();
}

function keep() {
  const changed = Object.fromEntries(Object.entries(keys).filter(([action, key]) => key !== defaults[action]));
  localStorage.setItem(STORE, JSON.stringify({ off: !on.checked, changed }));
}

export function draw() {
  for (const field of fields) field.value = keys[field.dataset.action];
  for (const shown of document.querySelectorAll("kbd[data-key]")) {
    const key = keys[shown.dataset.key];
    if (key) shown.textContent = key.length === 1 ? key.toUpperCase() : key;
  }
}

const plain = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);

// --- choosing a key ------------------------------------------------------------------------

dialog.addEventListener("keydown", (event) => {
  const field = event.target.closest("[data-action]");
  if (!field || ["Tab", "Escape", "Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  event.preventDefault();
  const key = plain(event);
  const note = document.getElementById("keys-note");
  const other = fields.find((one) => one !== field && keys[one.dataset.action] === key);
  const label = (one) => one.labels[0].textContent;
  if (event.isComposing || key === "Dead" || FIXED.test(key)) note.textContent = word("key_single");
  else if (other) note.textContent = word("key_taken", { action: label(other) });
  else {
    keys[field.dataset.action] = key;
    keep();
    draw();
    note.textContent = word("key_set", { action: label(field), key });
  }
});

document.getElementById("keys-reset").addEventListener("click", () => {
  keys = { ...defaults };
  keep();
  draw();
});

on.addEventListener("change", keep);

stage.addEventListener("click", (event) => {
  if (event.target.closest("#show-keys")) dialog.showModal();
});

// --- pressing one --------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const skip = stage.querySelector(".skip[open]");
  if (event.key === "Escape" && skip) {
    skip.open = false;
    skip.querySelector("summary").focus();
    return;
  }
  if (!on.checked || dialog.open || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches(WRITES) || event.repeat) return;
  if (pressed(plain(event), event.target)) event.preventDefault();
});

// True where the key meant something here.
function pressed(key, target) {
  // On a button or a link, Enter and Space are the browser's.
  if ((key === "Enter" || key === " ") && target.matches(PRESSES)) return false;
  if (document.getElementById("reveal")) {
    if (key === keys.undo) return acts.undo();
    return (key === keys.next || key === keys.submit) && acts.next();
  }
  if (!form()) return false;
  if (key === keys.help) return dialog.showModal(), true;
  if (key === keys.submit) return acts.submit();
  return onCards(key, target);
}

function onCards(key, target) {
  const all = cards();
  const asked = form().dataset.ask;
  if (/^[1-8]$/.test(key)) return byDigit(Number(key), asked, all);
  const place = "abcdefgh".indexOf(key);
  if (key.length === 1 && place >= 0 && place < all.length) return markCurrent(place, { focus: true }), true;
  // In a group of radio buttons the arrows are the browser's.
  if (key.startsWith("Arrow") && target.matches("input")) return false;
  if (key === keys.back) return step(-1), true;
  if (key === keys.forth) return step(1), true;
  if (key === keys.best) return best(currentCard());
  if (asked !== "ranking") return false;
  const name = currentCard().dataset.letter;
  const act = { [keys.clear]: clearCurrent, [keys.up]: () => move(name, -1), [keys.down]: () => move(name, 1), [keys.tie]: () => tie(name) }[key];
  act?.();
  return act !== undefined;
}

function byDigit(digit, asked, all) {
  if (asked === "strength") {
    const input = document.querySelectorAll("#strength input")[digit - 1];
    input?.click();
    input?.focus();
    return input !== undefined;
  }
  if (digit > all.length) return false;
  if (asked === "best") return best(all[digit - 1]);
  rankCurrent(digit);
  return true;
}

function best(card) {
  const control = card.querySelector(".pick input, button.best");
  if (card.querySelector(".pick input")) markCurrent(cards().indexOf(card), { focus: true });
  control?.click();
  return control !== null;
}

export function handle(own) {
  acts = own;
  load();
}
