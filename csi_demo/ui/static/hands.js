// The painter's events: buttons, pointers, wheel, keys, files that are dropped or pasted. The last of its scripts.
for (const button of element.querySelectorAll("[data-act]"))
  button.addEventListener("click", () => actions[button.dataset.act]());
for (const button of element.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => useTool(button.dataset.tool));
for (const input of element.querySelectorAll("[data-pick]"))
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (input.dataset.pick !== "mask") takeAll(picturesOf(input.files));
    else if (file) readMask(file);
    input.value = "";
  });
size.addEventListener("input", redraw);

// One photo becomes the photo; several are filled alike, see several.js.
function takeAll(pictures) {
  if (pictures.length < 2) return take(pictures[0]);
  page.dispatchEvent(new CustomEvent("csi-several", { detail: pictures }));
}

// Which numbered face other than the chosen one lies there.
function faceAt(x, y) {
  if (scene.frames.length < 2 || inside(frame(), x, y)) return -1;
  return scene.frames.findIndex((corners) => inside(corners, x, y));
}

canvas.addEventListener("pointerdown", (event) => {
  if (!scene) return;
  fingers.set(event.pointerId, event);
  if (stroke) return finish(true); // a second finger: no painting
  if (fingers.size > 1 || (event.button && event.button !== 1)) return;
  const { x, y } = place(event), face = faceAt(x, y), grip = tool === "square" ? gripAt(x, y) : null;
  if (event.button === 1) event.preventDefault();
  if (event.button !== 1 && tool !== "pan") {
    if (face >= 0) return trigger("select", { face });
    if (grip) beginSquare(event.pointerId, grip, x, y);
    else if (tool !== "square" && (event.pointerType !== "touch" || inside(frame(), x, y)))
      begin(event.pointerId, x, y, event.altKey);
  }
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!scene) return;
  showCursor = event.pointerType !== "touch";
  const before = fingers.get(event.pointerId);
  if (stroke?.pointer === event.pointerId) {
    for (const step of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      cursor = place(step);
      if (stroke.grip) extendSquare(cursor.x, cursor.y);
      else extend(cursor.x, cursor.y);
    }
  } else if (before && fingers.size === 2) pinch(event, before);
  else if (before && (tool === "pan" || tool === "square" || event.buttons === 4)) {
    const from = place(before), to = place(event);
    moved = true;
    panBy(from.x - to.x, from.y - to.y);
  }
  if (before) fingers.set(event.pointerId, event);
  cursor = place(event);
  redraw();
});
// A finger in the square paints, one beside it scrolls the page.
canvas.addEventListener(
  "touchstart",
  (event) => {
    if (!scene) return;
    const { x, y } = place(event.changedTouches[0]);
    if (event.touches.length > 1 || tool === "pan" || inside(frame(), x, y)) event.preventDefault();
  },
  { passive: false },
);
const KEYS = {
  b: () => useTool("paint"), e: () => useTool(tool === "erase" ? "paint" : "erase"), r: () => useTool("box"),
  l: () => useTool("lasso"), h: () => useTool("pan"), s: () => useTool("square"), c: () => useTool("hint"), i: actions.invert,
  "?": actions.help, "+": actions.nearer, "=": actions.nearer, "-": actions.farther, 0: actions.zoom,
  "[": () => (size.value = Number(size.value) - 2), "]": () => (size.value = Number(size.value) + 2),
  enter: actions.fill, o: () => holdOriginal(true),
};

function onKey(event) {
  if (!scene) return;
  const key = event.key.toLowerCase(), chord = event.ctrlKey || event.metaKey;
  if (chord && (key === "z" || key === "y")) (key === "y" || event.shiftKey ? actions.redo : actions.undo)();
  else if (chord || event.altKey) return;
  else if (event.currentTarget === canvas && key === "escape") finish(true);
  else if (event.currentTarget === canvas && (event.key in ARROWS || key === " ")) byKeys(event);
  else if (KEYS[key] && (!event.repeat || "[]+-=".includes(key))) KEYS[key]();
  else if (!KEYS[key]) return;
  event.preventDefault();
  event.stopPropagation();
  redraw();
}

function byKeys(event) {
  const { x, y } = asNumbers(frame());
  cursor ||= { x, y };
  showCursor = true;
  if (event.key === " ") {
    if (!stroke && tool !== "pan" && tool !== "square") begin("key", cursor.x, cursor.y);
    return;
  }
  step(event);
}

canvas.addEventListener("keydown", onKey);
canvas.addEventListener("keyup", (event) => event.key === " " && stroke?.pointer === "key" && finish(false));
// Elsewhere on the page the same keys work while nothing has the focus that needs them itself.
const outside = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", outside);
  const ours = event.target === document.body || undoes(event);
  if (ours && !event.defaultPrevented && stage.clientWidth && inUse()) onKey(event); // not while another tab is open
};
document.addEventListener("keydown", outside);

// All that is said here is English, whatever language Gradio finds the browser to have.
if (!element.closest("gradio-app")?.getAttribute("src")) {
  const english = () => document.documentElement.lang === "en" || (document.documentElement.lang = "en");
  new MutationObserver(english).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  english();
}
page.lang = "en";
// A number with a comma is meant with a point, which a field of numbers would drop without a word.
page.addEventListener("beforeinput", (event) => {
  if (event.target.type !== "number" || !event.data?.includes(",")) return;
  event.preventDefault();
  document.execCommand("insertText", false, event.data.replace(",", "."));
});
watch("value", () => props.value && show(JSON.parse(props.value)));
useTool("paint");
say("Loading…");
