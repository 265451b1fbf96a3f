// The parts of a form that not every arena asks for: marked passages, scales, the rewrite, reports.

import { cards, complain, complainWith, edited, form, say, stage, word } from "./page.js";

const points = (text) => [...text].length; // code points: what Python counts

export function equip() {
  for (const box of stage.querySelectorAll(".marks")) equipMarks(box);
  for (const field of stage.querySelectorAll(".scale-field input")) equipScale(field);
  paint();
}

// --- marked passages -----------------------------------------------------------------------

function equipMarks(box) {
  box.querySelector(".mark-buttons").hidden = false;
  for (const item of box.querySelectorAll(".mark-list li")) addRemover(item);
}

function addRemover(item) {
  if (item.querySelector("button")) return;
  const remover = document.createElement("button");
  remover.type = "button";
  remover.className = "tight remove";
  remover.textContent = "×";
  remover.setAttribute("aria-label", `${word("remove")}: ${item.querySelector("q").textContent}`);
  remover.addEventListener("click", () => {
    const list = item.parentElement;
    item.remove();
    paint();
    edited("mark");
    list.closest(".marks").querySelector(".mark-button").focus();
  });
  item.append(remover);
}

// The selected words of this card as offsets in what it shows.
function selected(output) {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!output.contains(range.startContainer) || !output.contains(range.endContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(output);
  before.setEnd(range.startContainer, range.startOffset);
  const quote = range.toString();
  const start = points(before.toString());
  return quote.trim() ? { start, end: start + points(quote), quote } : null;
}

let last = null; // the selection before a press on a button could end it

document.addEventListener("selectionchange", () => {
  for (const card of cards()) {
    const found = selected(card.querySelector(".output"));
    if (found) last = { card, ...found };
  }
});

stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".mark-button")) event.preventDefault(); // the selection stays
});

stage.addEventListener("click", (event) => {
  const button = event.target.closest(".mark-button");
  if (!button) return;
  const card = button.closest(".card");
  const found = selected(card.querySelector(".output")) ?? (last?.card === card ? last : null);
  if (!found) return say(word("nothing_marked"));
  addMark(card, button.dataset.label, found);
  last = null;
  getSelection().removeAllRanges();
});

function addMark(card, label, { start, end, quote }) {
  const item = document.createElement("li");
  item.className = label;
  item.dataset.start = start;
  item.dataset.end = end;
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "shown-mark";
  field.value = `${card.dataset.token}:${label}:${start}:${end}:${quote}`;
  const text = document.createElement("span");
  const strong = document.createElement("strong");
  strong.textContent = `${word(label)}: `;
  const words = document.createElement("q");
  words.dir = "auto";
  words.lang = "";
  words.textContent = quote;
  text.append(strong, words);
  item.append(field, text);
  addRemover(item);
  card.querySelector(".mark-list").append(item);
  paint();
  edited("mark");
  say(word("marked", { label: word(label), quote }));
}

// Colours the passages where the browser can do so without touching the text.
function paint() {
  if (!CSS.highlights) return;
  for (const label of ["good", "bad"]) {
    const ranges = [...stage.querySelectorAll(`.mark-list li.${label}[data-start]`)].map((item) =>
      rangeOf(item.closest(".card").querySelector(".output"), Number(item.dataset.start), Number(item.dataset.end)));
    CSS.highlights.set(`mark-${label}`, new Highlight(...ranges.filter(Boolean)));
  }
}

function rangeOf(output, start, end) {
  const range = document.createRange();
  const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
  let at = 0;
  let begun = false;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const length = points(node.data);
    if (!begun && start < at + length) {
      range.setStart(node, units(node.data, start - at));
      begun = true;
    }
    if (begun && end <= at + length) {
      range.setEnd(node, units(node.data, end - at));
      return range;
    }
    at += length;
  }
  return null;
}

const units = (text, count) => [...text].slice(0, count).join("").length;

// --- scales --------------------------------------------------------------------------------

// A slider beside the number. It is grey until somebody touches it: its middle is no answer.
function equipScale(field) {
  if (field.nextElementSibling) return;
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = 100;
  slider.tabIndex = -1;
  slider.setAttribute("aria-hidden", "true");
  const follow = () => {
    slider.classList.toggle("untouched", field.value === "");
    slider.value = field.value === "" ? 50 : field.value;
  };
  slider.addEventListener("input", () => {
    field.value = slider.value;
    follow();
    edited(field.name);
  });
  slider.addEventListener("pointerup", () => {
    field.value = slider.value;
    follow();
    edited(field.name);
  });
  field.addEventListener("input", follow);
  field.after(slider);
  follow();
}

// --- the rewrite and reports ---------------------------------------------------------------

async function post(address, body) {
  try {
    return await fetch(address, { method: "POST", body, headers: { "HX-Request": "true" } });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    complain(word("kept"));
    return null;
  }
}

stage.addEventListener("submit", (event) => {
  const pressed = event.submitter;
  if (pressed?.id === "preview-rewrite" && form().dataset.preview) showPreview(event);
  if (pressed?.name === "report" && pressed.hasAttribute("formaction")) sendReport(event, pressed);
}, { capture: true });

async function showPreview(event) {
  event.preventDefault();
  const response = await post(form().dataset.preview, new FormData(form()));
  if (!response?.ok) return;
  const box = document.getElementById("rewrite-preview");
  box.innerHTML = await response.text();
  box.hidden = false;
}

async function sendReport(event, pressed) {
  event.preventDefault();
  const body = new FormData(form());
  body.set("report", pressed.value);
  const response = await post(pressed.getAttribute("formaction"), body);
  if (!response) return;
  const html = new DOMParser().parseFromString(await response.text(), "text/html");
  const note = html.querySelector(".note, .problem");
  if (!note) return complain(word("refused", { status: response.status }));
  if (!response.ok) return complainWith(document.adoptNode(note));
  pressed.closest("details").replaceChildren(document.adoptNode(note));
  say(word("reported"));
}
