// The voting page: a vote sent without leaving the page, and the next battle fetched ahead.
// The page works as a plain form without it.

import { draw, handle } from "./keys.js";
import { cards, complain, complainWith, edited, fillTiming, form, preview, say, stage, startClock, stopClock, watch, word } from "./page.js";
import { equip, isComplete } from "./ranking.js";
import { done, holdBack, keepVote, keptVote, restore } from "./saving.js";

const FRAGMENT = { "HX-Request": "true" };
const RETRY = 5000;
const AHEAD_AFTER = 250;

let sending = false;
let upcoming = null; // a promise of the next stage's HTML
let ahead = null; // the same, of the battle after the one on the screen
let drawing = 0;
let reload = 0;
let retry = 0;

// --- sending -------------------------------------------------------------------------------

async function send(submitter) {
  const battle = form();
  if (sending) return;
  if (submitter?.value === "rank" && submitter.name === "answer" && !isComplete()) return;
  clearTimeout(retry);
  holdBack();
  stopClock();
  fillTiming();
  const body = new FormData(battle);
  if (submitter?.name) body.set(submitter.name, submitter.value);
  sending = true;
  battle.setAttribute("aria-busy", "true");
  try {
    await answered(await fetch(battle.getAttribute("action"), { method: "POST", body, headers: FRAGMENT }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    complain(word("offline_vote"));
    keepVote(submitter);
    retry = setTimeout(() => form() === battle && send(submitter), RETRY);
  } finally {
    sending = false;
    battle.removeAttribute("aria-busy");
    if (form() === battle) startClock();
  }
}

addEventListener("online", sendKept);

// A vote that this device kept, of the battle on the screen.
function sendKept() {
  const kept = keptVote();
  if (!kept || sending) return;
  form().elements.idempotency_key.value = kept.key;
  say(word("back"));
  send(kept);
}

async function answered(response) {
  const html = await response.text();
  if (response.ok) {
    done(form().elements.battle.value);
    const drawn = ahead;
    show(html);
    upcoming = drawn ? drawn.then((battle) => battle ?? fetchNext()) : fetchNext();
    return;
  }
  const note = new DOMParser().parseFromString(html, "text/html").querySelector("#problem > *, .problem");
  if (note) complainWith(document.adoptNode(note));
  else complain(word("refused", { status: response.status }));
}

const fetchNext = () => fetchStage(stage.dataset.next);

async function fetchStage(address) {
  if (!address) return null;
  try {
    const response = await fetch(address, { headers: FRAGMENT });
    return response.status === 200 ? await response.text() : null;
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

// Undo, or the names: small forms of their own that change what is on the stage.
async function exchange(small) {
  if (sending) return;
  sending = true;
  try {
    const response = await fetch(small.getAttribute("action"), { method: "POST", body: new FormData(small), headers: FRAGMENT });
    const html = await response.text();
    if (response.ok && small.id === "undo") upcoming = null; // what was fetched ahead comes after this battle
    if (response.ok) show(html);
    else await answered(new Response(html, { status: response.status }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    complain(word("offline_vote"));
  } finally {
    sending = false;
  }
}

// --- showing -------------------------------------------------------------------------------

function show(html) {
  // After the vote the heading says so, and it stands below the prompt's.
  const titles = ["reveal-title", "prompt-title", "waiting-title", "survey-title"];
  const title = () => titles.map((id) => document.getElementById(id)).find(Boolean);
  const wasReveal = document.getElementById("reveal") !== null;
  stage.innerHTML = html;
  ready();
  if (form()) tellShown();
  if (wasReveal) scrollTo(0, 0);
  (title() ?? cards()[0])?.focus({ preventScroll: true }); // across prompts there is no heading for all
  if (document.getElementById("reveal")) say(document.getElementById("reveal-title").textContent);
  else if (form()) say(word("new_battle", { k: cards().length }));
  else say(title()?.textContent ?? "");
}

// From here the vote before stands, and the time of this battle runs.
function tellShown() {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form().elements.csrfmiddlewaretoken.value);
  if (form().dataset.shown) fetch(form().dataset.shown, { method: "POST", body, keepalive: true }).catch(() => {});
}

// While the voter reads, the battle after this one is drawn and fetched, so that it is there at once.
function drawAhead() {
  clearTimeout(drawing);
  ahead = null;
  if (!form()?.elements.battle || !stage.dataset.ahead || preview) return;
  drawing = setTimeout(() => (ahead = fetchStage(stage.dataset.ahead)), AHEAD_AFTER);
}

function ready() {
  drawAhead();
  clearTimeout(reload);
  clearTimeout(retry);
  stopClock();
  draw();
  if (form()) {
    document.getElementById("show-keys").hidden = false;
    restore();
    equip();
    watch();
    if (stage.querySelector(".marks, .judge, .report, .scale-field")) import("./extras.js").then((extras) => extras.equip());
    sendKept();
  }
  if (hasLong()) import("./outputs.js").then((outputs) => outputs.arrange());
  const wait = document.getElementById("waiting")?.dataset.reload;
  if (wait) reload = setTimeout(lookAgain, Number(wait));
}

// Whether responses may have to be collapsed, or turns lined up.
function hasLong() {
  return [...stage.querySelectorAll(".card > .output")].some((one) => one.scrollHeight > 500 || one.querySelector(".turn"));
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
  // A form that leads to another page is the browser's.
  if (preview || event.target.matches("#survey, [data-plain]") || event.defaultPrevented) return;
  event.preventDefault();
  if (event.target.id === "battle") send(event.submitter);
  else exchange(event.target);
});

// What changes an order tells of it itself (ranking.js).
stage.addEventListener("input", (event) => {
  if (event.target.name && !event.target.matches(".ranks.main input, .report *")) edited(event.target.name);
});

stage.addEventListener("click", (event) => {
  if (event.target.closest("#next") && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    next();
  }
});

document.addEventListener("click", (event) => {
  const skip = stage.querySelector(".skip[open]");
  if (skip && !skip.contains(event.target)) skip.open = false;
});

handle({
  submit() {
    if (form().dataset.ask !== "best" || stage.querySelector(".vote-bar .primary")) form().requestSubmit(document.getElementById("submit-by-enter"));
    return true;
  },
  next() {
    next();
    return true;
  },
  undo() {
    const small = document.getElementById("undo");
    if (small) exchange(small);
    return small !== null;
  },
});

ready();
