// Job pages are told of progress as it happens. Without a stream (none free, a proxy that holds it
// back, an old browser) the page asks every second or two, as its attributes say.

const panel = () => document.querySelector("[data-events]");
let live = false;

function listen(address) {
  const source = new EventSource(address);
  source.addEventListener("open", () => { live = true; });
  source.addEventListener("changed", () => {
    live = true;
    const shown = panel();
    if (shown) window.htmx.trigger(shown, "changed");
    else source.close();
  });
  // The browser comes again by itself, but for an answer that is no stream.
  source.addEventListener("error", () => { live = false; });
  window.addEventListener("pagehide", () => source.close());
}

// While the stream speaks, what is asked by the clock is not needed.
document.addEventListener("htmx:beforeRequest", (event) => {
  const asked = event.detail.requestConfig.triggeringEvent;
  if (live && event.target.matches("[data-events]") && (!asked || asked.type !== "changed")) event.preventDefault();
});

if (panel() && "EventSource" in window) listen(panel().dataset.events);
