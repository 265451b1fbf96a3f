// The lease on a battle: renewed while the annotator works on it, and said in words before it ends.
// The page works without it: opening the page again renews the lease as well.

const WARN_SECONDS = 120;
const RENEW_SECONDS = 60;

let shown = null; // the #lease element whose time runs
let endsAt = 0;
let renewedAt = 0;
let said = "";

const lease = () => document.getElementById("lease");
const token = () => document.querySelector("#battle [name=csrfmiddlewaretoken]")?.value ?? "";

function left() {
  return Math.max(0, Math.round((endsAt - performance.now()) / 1000));
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function start(element) {
  shown = element;
  endsAt = performance.now() + Number(element.dataset.seconds) * 1000;
  renewedAt = performance.now();
  said = "";
}

async function renew() {
  const element = lease();
  if (!element) return;
  renewedAt = performance.now();
  const body = new FormData();
  body.set("battle", element.dataset.battle);
  try {
    const response = await fetch(element.dataset.keep, { method: "POST", body, headers: { "X-CSRFToken": token() } });
    if (response.ok) endsAt = performance.now() + (await response.json()).seconds * 1000;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // offline: the lease runs on, and the page says so
  }
  tell();
}

// Once a minute at most: what a screen reader hears each second is noise.
function tell() {
  const element = lease();
  if (!element) return;
  const seconds = left();
  const warning = document.getElementById("lease-warning");
  const near = seconds < WARN_SECONDS;
  document.getElementById("lease-keep").hidden = !near;
  document.getElementById("lease-text").hidden = near;
  warning.hidden = !near;
  const stage = !near ? "" : seconds === 0 ? "over" : seconds > 60 ? "two" : "one";
  if (stage === said) return;
  said = stage;
  warning.textContent = stage === "over" ? element.dataset.over : stage ? element.dataset.left.replace("{time}", clock(seconds)) : "";
}

function tick() {
  const element = lease();
  if (!element) return;
  if (element !== shown) start(element);
  tell();
}

function worked() {
  if (lease() && left() > 0 && performance.now() - renewedAt > RENEW_SECONDS * 1000) renew();
}

for (const event of ["pointerdown", "keydown", "input", "scroll"]) document.addEventListener(event, worked, { passive: true });
document.addEventListener("click", (event) => {
  if (event.target.closest("#lease-keep")) renew();
});
setInterval(tick, 1000);
tick();
