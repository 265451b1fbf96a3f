// Nothing that was filled in is lost: drafts on the server, on this device while it is offline,
// and a vote that could not be sent goes out when the connection is back.

import { form, preview, stage, word } from "./page.js";

const WAIT = 700;
const DRAFT = "preference-arena-draft:";
const VOTE = "preference-arena-vote:";
const PASSING = ["csrfmiddlewaretoken", "idempotency_key", "active_ms", "timing", "guidelines"];

let timer = 0;
let number = 0; // of the newest change: an answer to an older one says nothing of this

const id = () => form()?.elements.battle.value;

function state(name) {
  const box = document.getElementById("saved");
  if (box) box.textContent = name && word(name);
}

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // a full or forbidden store: the page itself still has everything
  }
}

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

const fields = () => [...new FormData(form())].filter(([name]) => !PASSING.includes(name));

async function save() {
  const battle = form();
  const mine = ++number;
  const key = DRAFT + id();
  try {
    const response = await fetch(battle.dataset.draft, { method: "POST", body: new FormData(battle) });
    if (form() !== battle || mine !== number) return;
    if (response.ok) store(key, null);
    state(response.ok ? "saved" : "not_saved");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    if (form() === battle) state(store(key, fields()) ? "kept" : "not_saved");
  }
}

stage.addEventListener("edited", () => {
  clearTimeout(timer);
  if (!form()?.dataset.draft || preview) return;
  state("saving");
  timer = setTimeout(save, WAIT);
});

addEventListener("online", () => {
  if (form()?.dataset.draft && stored(DRAFT + id())) save();
});

// The page goes: what is not yet saved is sent along.
addEventListener("pagehide", () => {
  const battle = form();
  if (!timer || !battle?.dataset.draft) return;
  clearTimeout(timer);
  fetch(battle.dataset.draft, { method: "POST", body: new FormData(battle), keepalive: true }).catch(() => store(DRAFT + id(), fields()));
});

// The battle is answered: no draft of it may come after the vote.
export function done(battle) {
  clearTimeout(timer);
  timer = 0;
  number += 1;
  store(DRAFT + battle, null);
  store(VOTE + battle, null);
}

export function holdBack() {
  clearTimeout(timer);
  timer = 0;
}

// What this device kept of the battle on the screen goes back into its form.
export function restore() {
  timer = 0;
  const kept = form() && stored(DRAFT + id());
  if (!kept) return;
  for (const [name, value] of kept) {
    const field = form().elements[name];
    if (!field || name === "battle") continue;
    const inputs = field instanceof RadioNodeList ? [...field] : [field];
    for (const input of inputs) {
      if (["radio", "checkbox"].includes(input.type)) input.checked ||= input.value === value;
      else if (input.type !== "hidden") input.value = value;
    }
  }
  state("kept");
  save();
}

// A vote that did not reach the server, kept until it has.
export function keepVote(submitter) {
  store(VOTE + id(), { name: submitter?.name, value: submitter?.value, key: form().elements.idempotency_key.value });
}

export function keptVote() {
  return form() && stored(VOTE + id());
}
