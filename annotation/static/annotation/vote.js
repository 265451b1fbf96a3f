// The voting page: keys, a vote sent without leaving the page, and the next battle fetched ahead.
// The page works as a plain form without it.

const stage = document.getElementById("stage");
const live = document.getElementById("live");
const dialog = document.getElementById("keys");
const keysOn = document.getElementById("keys-on");

let current = 0; // the card that the next digit ranks
let sending = false;
let upcoming = null; // a promise of the next stage's HTML
let reload = 0;

// Time with the battle shown and the page in view: what the vote says of the attention it got.
const clock = { ms: 0, since: null };

function runClock() {
  if (clock.since === null && !document.hidden) clock.since = performance.now();
}

function stopClock() {
  if (clock.since !== null) clock.ms += performance.now() - clock.since;
  clock.since = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stopClock() : runClock()));

const form = () => document.getElementById("battle");
const cards = () => [...stage.querySelectorAll("#battle .card")];
const chosen = (card) => card.querySelector(".rank input:checked");
const letter = (card) => card.dataset.letter;

function say(text) {
  live.textContent = text;
}

function complain(text) {
  const box = document.getElementById("problem");
  const note = document.createElement("p");
  note.className = "note bad";
  note.textContent = text;
  box.replaceChildren(note);
}

// --- ranking -------------------------------------------------------------------------------

function markCurrent(index, { focus = false } = {}) {
  current = index;
  cards().forEach((card, i) => card.classList.toggle("current", i === index));
  const card = cards()[index];
  if (!focus || !card) return;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function unranked() {
  return cards().filter((card) => !chosen(card));
}

function rankCurrent(rank) {
  const all = cards();
  const input = all[current]?.querySelector(`.rank input[value="${rank}"]`);
  if (!input) return;
  input.checked = true;
  ranked(all[current]);
  const next = [...all.slice(current + 1), ...all.slice(0, current)].find((card) => !chosen(card));
  if (next) markCurrent(all.indexOf(next), { focus: true });
}

function clearCurrent() {
  const card = cards()[current];
  const input = card && chosen(card);
  if (!input) return;
  input.checked = false;
  say(`${letter(card)} has no rank now.`);
}

function ranked(card) {
  card.classList.remove("missing");
  const left = unranked();
  const rest = left.length ? `Still without a rank: ${left.map(letter).join(", ")}.` : "All are ranked. Enter submits.";
  say(`${letter(card)} has rank ${chosen(card).value}. ${rest}`);
  if (!left.length) document.getElementById("problem").replaceChildren();
}

function isComplete() {
  const left = unranked();
  cards().forEach((card) => card.classList.toggle("missing", left.includes(card)));
  if (!left.length) return true;
  complain(`Give every response a rank: ${left.map(letter).join(", ")} ${left.length > 1 ? "have" : "has"} none yet. Equal ranks are ties.`);
  markCurrent(cards().indexOf(left[0]), { focus: true });
  return false;
}

// --- sending -------------------------------------------------------------------------------

async function send(submitter) {
  const battle = form();
  if (sending) return;
  if (submitter?.value === "rank" && submitter.name === "answer" && !isComplete()) return;
  stopClock();
  battle.elements.active_ms.value = Math.round(clock.ms);
  const body = new FormData(battle);
  if (submitter?.name) body.set(submitter.name, submitter.value);
  sending = true;
  battle.setAttribute("aria-busy", "true");
  try {
    await answered(await fetch(battle.getAttribute("action"), { method: "POST", body, headers: { "HX-Request": "true" } }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    complain("The vote did not reach the server. Your answer is still here: check the connection, then submit it again.");
  } finally {
    sending = false;
    battle.removeAttribute("aria-busy");
    if (form() === battle) runClock();
  }
}

async function answered(response) {
  const html = await response.text();
  if (response.ok) {
    show(html);
    upcoming = fetchNext();
    return;
  }
  const page = new DOMParser().parseFromString(html, "text/html");
  const note = page.querySelector("#problem > *, .problem");
  if (note) document.getElementById("problem").replaceChildren(document.adoptNode(note));
  else complain(`The server could not take the vote (${response.status}). Your answer is still here: submit it again, or open this page in a new tab.`);
}

async function fetchNext() {
  try {
    const response = await fetch(stage.dataset.next, { headers: { "HX-Request": "true" } });
    return response.ok ? await response.text() : null;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return null; // offline: the link to the page says so better than we could
  }
}

async function next() {
  if (!document.getElementById("reveal") || sending) return;
  sending = true;
  const html = await (upcoming ?? fetchNext());
  upcoming = null;
  sending = false;
  if (html === null) location.assign(stage.dataset.home);
  else show(html);
}

// --- showing -------------------------------------------------------------------------------

function show(html) {
  const title = () => document.getElementById("reveal-title") ?? document.getElementById("prompt-title") ?? document.getElementById("waiting-title");
  const wasReveal = document.getElementById("reveal") !== null;
  stage.innerHTML = html;
  ready();
  if (wasReveal) scrollTo(0, 0);
  title()?.focus({ preventScroll: true });
  if (document.getElementById("reveal")) say(document.getElementById("reveal-title").textContent);
  else if (form()) say(`New battle with ${cards().length} responses.`);
  else say(title()?.textContent ?? "");
}

function ready() {
  clearTimeout(reload);
  stopClock();
  clock.ms = 0;
  if (form()) {
    document.getElementById("show-keys").hidden = false;
    const left = unranked()[0];
    markCurrent(left ? cards().indexOf(left) : 0);
    runClock();
  }
  const wait = document.getElementById("waiting")?.dataset.reload;
  if (wait) reload = setTimeout(lookAgain, Number(wait));
}

async function lookAgain() {
  const html = await fetchNext();
  if (html === null) reload = setTimeout(lookAgain, 10000);
  else if (html.includes('id="battle"')) show(html);
  else {
    stage.innerHTML = html; // quietly: progress alone is not worth an announcement
    ready();
  }
}

// --- events --------------------------------------------------------------------------------

stage.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.submitter);
});

stage.addEventListener("change", (event) => {
  if (!event.target.matches(".rank input")) return;
  const card = event.target.closest(".card");
  markCurrent(cards().indexOf(card));
  ranked(card);
});

stage.addEventListener("focusin", (event) => {
  const index = cards().indexOf(event.target.closest(".card"));
  if (index >= 0) markCurrent(index);
});

stage.addEventListener("click", (event) => {
  if (event.target.closest("#show-keys")) dialog.showModal();
  if (event.target.closest("#next") && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    next();
  }
});

document.addEventListener("click", (event) => {
  const skip = stage.querySelector(".skip[open]");
  if (skip && !skip.contains(event.target)) skip.open = false;
});

const WRITES = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";
const PRESSES = "a, button, summary, input";

document.addEventListener("keydown", (event) => {
  const skip = stage.querySelector(".skip[open]");
  if (event.key === "Escape" && skip) {
    skip.open = false;
    skip.querySelector("summary").focus();
    return;
  }
  if (!keysOn.checked || dialog.open || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches(WRITES) || event.repeat) return;
  if (act(event)) event.preventDefault();
});

// True where the key meant something here.
function act(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "?" && form()) {
    dialog.showModal();
    return true;
  }
  if (document.getElementById("reveal")) {
    if (key !== "n" && (key !== "Enter" || event.target.matches(PRESSES))) return false;
    next();
    return true;
  }
  return form() !== null && rankByKey(key, event.target);
}

function rankByKey(key, target) {
  const all = cards();
  if (/^[1-8]$/.test(key)) {
    if (Number(key) > all.length) return false;
    rankCurrent(key);
    return true;
  }
  const place = "abcdefgh".indexOf(key);
  if (key.length === 1 && place >= 0 && place < all.length) {
    markCurrent(place, { focus: true });
    return true;
  }
  // In a group of radio buttons the arrows are the browser's.
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (step && !target.matches("input")) {
    markCurrent((current + step + all.length) % all.length, { focus: true });
    return true;
  }
  if (key === "Backspace") {
    clearCurrent();
    return true;
  }
  if (key === "Enter" && !target.matches(PRESSES)) {
    send(document.getElementById("submit-by-enter"));
    return true;
  }
  return false;
}

// --- the voter's choice of keys ------------------------------------------------------------

const KEYS = "preference-arena-keys";
keysOn.checked = localStorage.getItem(KEYS) !== "off";
keysOn.addEventListener("change", () => localStorage.setItem(KEYS, keysOn.checked ? "on" : "off"));

ready();
