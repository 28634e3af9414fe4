// The sliders' own reset buttons put them where this picture has them, not where the page first drew them; and all of
// them have names and values in words. One button shows what was measured of each.
const steer = element.closest("#steer");
const board = element.closest("#board");
const page = element.closest(".gradio-container") ?? document.body;
steer.addEventListener("click", (event) => {
  const slider = event.target.closest("button.reset-button")?.closest("[id^=slider-], [id^=option-]");
  const starts = JSON.parse(element.querySelector("[data-starts]")?.dataset.starts ?? "{}");
  if (!slider || !(slider.id in starts)) return;
  event.stopPropagation();
  const number = slider.querySelector("input[type=number]");
  number.value = starts[slider.id];
  number.dispatchEvent(new Event("input", { bubbles: true }));
}, true);
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-evidence]");
  if (!button) return;
  button.setAttribute("aria-pressed", steer.classList.toggle("csi-evidence"));
});

// Controls that are held where they stand, of this photo; the painter sends them with the hole.
const held = (page.csiHeld ??= new Set());
const LOCK = '<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path fill="none" stroke="currentColor" '
  + 'stroke-width="1.6" d="M5 7V5a3 3 0 0 1 6 0v2"/><rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor"/></svg>';
const controls = () => JSON.parse(element.querySelector("[data-names]")?.dataset.names ?? "{}");
function hold(control, on) {
  held[on ? "add" : "delete"](control);
  page.dispatchEvent(new CustomEvent("csi-held"));
  name();
}
function lock(slider, label) {
  const control = controls()[slider.id], reset = slider.querySelector("button.reset-button");
  if (!control || !reset) return;
  let button = slider.querySelector(".csi-lock");
  if (!button) {
    button = Object.assign(document.createElement("button"), { type: "button", className: "csi-lock", innerHTML: LOCK });
    button.onclick = () => hold(controls()[slider.id], !held.has(controls()[slider.id]));
    reset.before(button);
  }
  const pressed = String(held.has(control)), text = `Hold ${label} where it is`;
  if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  if (button.title !== text) button.title = button.ariaLabel = text;
}

function name() {
  const button = element.querySelector("[data-evidence]"), pressed = String(steer.classList.contains("csi-evidence"));
  if (button && button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  for (const slider of board.querySelectorAll(":is(#steer, #settings) [id^=slider-], #settings [id^=option-], #samples")) {
    const label = slider.querySelector("[data-testid=block-info]")?.textContent.trim();
    if (!label) continue;
    if (slider.closest("#steer")) lock(slider, label);
    for (const [selector, text] of [["button.reset-button", `Reset ${label}`], ["input[type=range]", label],
      ["input[type=number]", `${label}, as a number`]]) {
      const part = slider.querySelector(selector);
      if (part && part.getAttribute("aria-label") !== text) part.setAttribute("aria-label", text);
      if (selector.startsWith("button") && part?.title !== text) part?.setAttribute("title", text);
    }
  }
}
// What they are of, and what keeps the method from filling.
let told = "";
function tell() {
  const of = element.querySelector("[data-of]:not(.csi-trouble)")?.dataset.of ?? null;
  const trouble = element.querySelector(".csi-trouble")?.textContent ?? "", now = `${of} ${trouble}`;
  if ((!of && !trouble) || now === told) return;
  if (of && page.csiDrawn?.of && of.split(" ")[0] !== page.csiDrawn.of.split(" ")[0] && held.size) {
    held.clear();
    page.dispatchEvent(new CustomEvent("csi-held"));
  }
  told = now;
  page.csiDrawn = { of, trouble }; // for a painter that comes later
  page.dispatchEvent(new CustomEvent("csi-drawn", { detail: page.csiDrawn }));
}
tell();
new MutationObserver(tell).observe(element, { childList: true, subtree: true, attributes: true, characterData: true });
let naming = false;
new MutationObserver(() => {
  if (naming) return;
  naming = true;
  setTimeout(() => { naming = false; name(); }, 50);
}).observe(board, { childList: true, subtree: true, characterData: true });
// A frame with one slider has the first one that its link moved, or else the first of all.
if (document.documentElement.classList.contains("csi-only")) {
  const wanted = (new URLSearchParams(location.search).get("set") ?? "").split(":")[0];
  const rule = document.head.appendChild(document.createElement("style"));
  new MutationObserver(() => {
    const names = JSON.parse(element.querySelector("[data-names]")?.dataset.names ?? "{}");
    const id = Object.keys(names).find((slot) => names[slot] === wanted) ?? "slider-0";
    rule.textContent = `.csi-only.csi-only.csi-only #main #${id}.block { display: block !important; }`;
  }).observe(element, { childList: true, subtree: true });
}
