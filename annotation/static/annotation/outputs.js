// Long responses collapse to one height in all slots and open together; the turns of whole conversations
// line up across the columns. Without this script everything is shown in full. vote.js loads it where it
// is needed.

const TALLEST = 40; // rem: what an output may take before all are collapsed
const KEPT = "preference-arena-shown-in-full";
const stage = document.getElementById("stage");

const outputs = () => [...stage.querySelectorAll(".cards .card > .output")];
const button = () => document.getElementById("show-all");

function battleId() {
  const field = stage.querySelector("#battle [name=battle]");
  return field?.value ?? sessionStorage.getItem(`${KEPT}-last`) ?? "";
}

function limit() {
  return TALLEST * parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function collapse(on) {
  const control = button();
  if (!control) return;
  control.dataset.more ??= control.textContent;
  control.setAttribute("aria-expanded", String(!on));
  control.textContent = on ? control.dataset.more : control.dataset.less;
  for (const output of outputs()) {
    output.classList.toggle("clipped", on && output.scrollHeight > limit());
    output.classList.toggle("collapsed", on);
  }
}

// The state is the voter's: it stays when the names are shown, and after a reload.
function shownInFull() {
  return sessionStorage.getItem(KEPT) === battleId();
}

export function arrange() {
  const control = button();
  if (!control) return;
  if (stage.querySelector("#battle")) sessionStorage.setItem(`${KEPT}-last`, battleId());
  align();
  collapse(false);
  const tall = outputs().some((output) => output.scrollHeight > limit());
  control.hidden = !tall;
  if (tall) collapse(!shownInFull());
}

// Each turn as tall as the tallest of its row, where the columns stand side by side.
function align() {
  const columns = outputs().map((output) => [...output.querySelectorAll(":scope > .turn")]);
  for (const turn of columns.flat()) turn.style.removeProperty("min-block-size");
  if (columns.length < 2 || columns.some((turns) => turns.length < 2)) return;
  const tops = new Set(outputs().map((output) => Math.round(output.getBoundingClientRect().top)));
  if (tops.size === columns.length) return; // stacked
  const rows = Math.max(...columns.map((turns) => turns.length));
  for (let row = 0; row < rows; row += 1) {
    const turns = columns.map((column) => column[row]).filter(Boolean);
    const tallest = Math.max(...turns.map((turn) => turn.getBoundingClientRect().height));
    for (const turn of turns) turn.style.setProperty("min-block-size", `${tallest}px`);
  }
}

stage.addEventListener("click", (event) => {
  if (!event.target.closest("#show-all")) return;
  const open = button().getAttribute("aria-expanded") === "true";
  if (open) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, battleId());
  collapse(open);
});

// Whatever takes the focus must be seen: a link below the fold opens all of them.
stage.addEventListener("focusin", (event) => {
  const output = event.target.closest(".output.collapsed");
  if (output && event.target.getBoundingClientRect().bottom > output.getBoundingClientRect().bottom) collapse(false);
});

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's bars come and go
  width = innerWidth;
  arrange();
});
