// The sliders' moves in the history of the painter, which undoes them in the order in which they were made.
let standing = null; // what was there before a slider was taken hold of
let moving = ""; // the id of the slider that is being moved
let byHand = {}; // control -> value, since the server put the sliders
let owed = null; // where undo wants the sliders, once they are those of the hole: {of, sliders, filled}

const SLOT = "[id^=slider-], [id^=option-], [id^=switch-]";
const amount = (input) => (input.type === "checkbox" ? Number(input.checked) : Number(input.value));
const names = () => JSON.parse(page.querySelector("#note [data-names]")?.dataset.names ?? "{}");

// control -> value of all sliders; folds that are closed have none of their own.
function positions() {
  const text = page.querySelector("#stand")?.textContent.match(/{[^}]*}/)?.[0] ?? "{}"; // Gradio's seconds stand beside it
  const stand = { ...JSON.parse(text), ...byHand };
  for (const [id, name] of Object.entries(names())) {
    const input = page.querySelector(`#${id} :is(input[type=number], input[type=checkbox])`);
    if (input) stand[name] = amount(input);
  }
  return stand;
}

// Makes an undo step of what was there before.
function record(before) {
  undo.push(before);
  if (undo.length > MAX_UNDO) undo.shift();
  redo = [];
  showHistory();
}

const differ = (sliders) => {
  const now = positions();
  return Object.keys(sliders).some((name) => name in now && Math.abs(now[name] - sliders[name]) > 1e-6);
};

// Puts the sliders where they stood, and with them the picture; those of another hole are waited for.
function putBack(back, here) {
  owed = { of: mark(), sliders: back.sliders, filled: back.filled };
  if (here) put();
}

function put() {
  const { of, sliders, filled } = owed ?? {};
  if (of !== mark()) return;
  owed = null;
  if (differ(sliders) || (filled && !current())) trigger("apply", { sliders });
}

const slotOf = (event) => event.target.closest?.(SLOT);
for (const name of ["pointerdown", "keydown"])
  page.addEventListener(name, (event) => {
    if (scene && !moving && slotOf(event)) standing = state();
  }, true);
page.addEventListener("input", (event) => {
  const slot = slotOf(event);
  if (!slot || !element.isConnected) return;
  if (event.isTrusted && standing && moving !== slot.id) record(standing);
  if (event.isTrusted) moving = slot.id;
  byHand[names()[slot.id]] = amount(event.target);
}, true);
page.addEventListener("change", (event) => {
  if (slotOf(event) && event.isTrusted) moving = "";
}, true);
page.addEventListener("click", (event) => {
  if (scene && event.target.closest("#surprise, #reset, .reset-button, [data-preset]")) record(state());
}, true);
page.addEventListener("csi-held", () => publish(false));
page.addEventListener("csi-drawn", () => {
  byHand = {};
  setTimeout(put, 100); // the sliders themselves come with it
});
