// A photo on its canvas, of the hole painter and of the photo editor: which part of it is shown, its zoom, the handle
// between before and after, photos that are dropped and pasted. The first of the scripts of each, which share one scope
// and have a `draw`, a `showState`, a `take` for files, `actions`, and a `tool` and a `stroke` with `extend`, `finish` and
// `point`, which shows the brush.
const NEAREST = 8; // how often the square may be as wide as what is shown of it
const MARGIN = 0.14; // around the square when it is zoomed on, in its sides

// The photo of a paste: a picture alone, or one beside text where nothing that takes text has the focus.
function pastedPhoto(event) {
  const { files, types } = event.clipboardData;
  const file = [...files].find((item) => item.type.startsWith("image/"));
  const text = types.includes("text/plain") || types.includes("text/html");
  const free = [document.body, canvas].includes(document.activeElement);
  if (!file || !element.isConnected || !element.offsetParent || (text && !free)) return null;
  event.preventDefault();
  return file;
}

// The pictures among files; where there are none, the first file, for the server to say what is wrong with it.
function picturesOf(files) {
  const found = [...files].filter(({ type, name }) => type.startsWith("image/") || /\.(heic|heif|avif|tiff?)$/i.test(name));
  return found.length ? found : [...files].slice(0, 1);
}

const find = (selector) => element.querySelector(selector);
const page = element.closest(".gradio-container") ?? document.body;
// Of several of these pages in one document, keys, pasted pictures and downloads are for the one that was used last.
for (const name of ["pointerdown", "focusin"])
  page.addEventListener(name, () => {
    for (const other of document.querySelectorAll(".csi-used")) other.classList.remove("csi-used");
    page.classList.add("csi-used");
  }, true);
const inUse = () => (document.querySelector(".csi-used") ?? document.querySelector(".gradio-container")) === page;
const stage = find(".csi-stage");
const canvas = find("canvas");
const pen = canvas.getContext("2d");
const size = find(".csi-size input");
const cut = find(".csi-cut");
const tag = find(".csi-tag");
const THUMB = 18; // half the width of the handle between before and after, in pixels of the window
const fingers = new Map(); // on the canvas: pointer -> where it is, in pixels of the window
let scene = null; // what the server sent last: see painter.py, editing.py
let view = null; // the picture
let original = false; // shown while it is held
let moved = false; // the visitor chose what part of the photo is shown
let wanted = null; // the part of the view that is to be seen: x, y, width, height
let region = [0, 0, 1, 1]; // and what the canvas shows for that: of its own shape, perhaps beyond the view's edges
let zoomed = false;
let cursor = null;
let showCursor = false;
let waiting = false;

const frame = () => scene.frame ?? scene.frames[scene.chosen];
const whole = () => [0, 0, ...scene.size];

function frameSide(corners = frame()) {
  const [[ax, ay], [bx, by]] = corners;
  return Math.hypot(bx - ax, by - ay);
}

const brushWidth = () => Math.max(1, (frameSide() * Number(size.value)) / 100);

function around(corners, margin) {
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
  const left = Math.max(0, Math.min(...xs) - margin), top = Math.max(0, Math.min(...ys) - margin);
  const right = Math.min(scene.size[0], Math.max(...xs) + margin), bottom = Math.min(scene.size[1], Math.max(...ys) + margin);
  return right - left > 1 && bottom - top > 1 ? [left, top, right - left, bottom - top] : whole();
}

function outline(target, corners) {
  target.beginPath();
  corners.forEach(([x, y], index) => (index ? target.lineTo(x, y) : target.moveTo(x, y)));
  target.closePath();
}

function inside(corners, x, y) {
  const crosses = corners.map(([ax, ay], index) => {
    const [bx, by] = corners[(index + 1) % corners.length];
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0;
  });
  return crosses.every(Boolean) || !crosses.some(Boolean);
}

// Shows a part of the view, as large as the canvas allows.
function look(box) {
  wanted = box;
  if (!view || !scene || !canvas.width) return;
  const shape = canvas.width / canvas.height;
  const smallest = frameSide() / NEAREST;
  const [across, down] = scene.size, largest = Math.max(across, down * shape);
  const width = Math.min(largest, Math.max(box[2], box[3] * shape, smallest)), height = width / shape;
  const from = (middle, extent, all) =>
    extent >= all ? (all - extent) / 2 : Math.min(all - extent, Math.max(0, middle - extent / 2));
  region = [from(box[0] + box[2] / 2, width, across), from(box[1] + box[3] / 2, height, down), width, height];
  canvas.dataset.region = region.map((number) => number.toFixed(3)).join(" ");
  redraw();
}

function zoomOn(face) {
  zoomed = face;
  const button = find("[data-act=zoom]");
  button.setAttribute("aria-pressed", face);
  look(face ? around(frame(), MARGIN * frameSide()) : whole());
}

// Enlarges by a factor around a point of the view, which stays where it is.
function zoomBy(factor, x = region[0] + region[2] / 2, y = region[1] + region[3] / 2) {
  const before = region[2];
  const width = region[2] / factor, height = region[3] / factor;
  look([x - (x - region[0]) / factor, y - (y - region[1]) / factor, width, height]);
  return Math.abs(region[2] - before) > 1e-3 * before;
}

const panBy = (x, y) => look([region[0] + x, region[1] + y, region[2], region[3]]);

// A point of the window as one of the view.
function place(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: region[0] + ((event.clientX - box.left) / box.width) * region[2],
    y: region[1] + ((event.clientY - box.top) / box.height) * region[3],
  };
}

function fit() {
  const width = stage.clientWidth, height = stage.clientHeight;
  if (!view || !scene || !width || !height) return;
  const dots = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  look(wanted ?? whole());
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (view && scene) draw();
  });
}

// Where before ends and after begins, in pixels of the window from the canvas's left edge.
function border() {
  const share = Number(cut.value) / 100, width = canvas.clientWidth;
  return share <= 0 ? 0 : share >= 1 ? width : THUMB + share * (width - 2 * THUMB);
}

// Keeps what is drawn next to one side of the border, of the canvas as it is aimed; at: the border, in the view.
function side(at, after) {
  pen.save();
  pen.beginPath();
  if (after) pen.rect(at, region[1], region[0] + region[2] - at, region[3]);
  else pen.rect(region[0], region[1], at - region[0], region[3]);
  pen.clip();
}

function drawBorder(at, line) {
  if (Number(cut.value) <= 0) return;
  for (const [colour, width] of [["rgba(9, 9, 11, .5)", 4], ["#fff", 2]]) {
    pen.fillStyle = colour;
    pen.fillRect(at - (width / 2) * line, region[1], width * line, region[3]);
  }
}

// Aims the pen at the part of the view that is shown; returns a pixel of the window in the view, and the border.
function aim() {
  const scale = canvas.width / region[2];
  pen.resetTransform();
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, -region[0] * scale, -region[1] * scale);
  return [canvas.width / canvas.clientWidth / scale || 1, region[0] + (border() / canvas.clientWidth) * region[2]];
}

function holdOriginal(held) {
  original = held;
  showState();
}

// Two fingers: what lay between them stays between them.
function pinch(event, before) {
  const other = [...fingers].find(([pointer]) => pointer !== event.pointerId)[1];
  const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
  const middle = (finger) =>
    place({ clientX: (finger.clientX + other.clientX) / 2, clientY: (finger.clientY + other.clientY) / 2 });
  const from = middle(before), to = middle(event);
  moved = true;
  panBy(from.x - to.x, from.y - to.y);
  if (apart(before) > 10) zoomBy(apart(event) / apart(before), from.x, from.y);
}

const zoomStep = (factor) => () => {
  if (!scene) return;
  moved = true;
  zoomBy(factor);
};
const views = {
  zoom: () => {
    if (!scene) return;
    moved = true;
    zoomOn(!zoomed);
  },
  nearer: zoomStep(1.4),
  farther: zoomStep(1 / 1.4),
  original: () => {},
};

function useTool(name) {
  tool = name;
  for (const button of element.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", button.dataset.tool === name);
  stage.dataset.uses = name;
  point();
}

// An arrow key moves the brush.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function step(event) {
  const far = (frameSide() / 64) * (event.shiftKey ? 8 : 2), [across, down] = ARROWS[event.key];
  cursor.x = Math.min(scene.size[0], Math.max(0, cursor.x + far * across));
  cursor.y = Math.min(scene.size[1], Math.max(0, cursor.y + far * down));
  if (stroke?.pointer === "key") extend(cursor.x, cursor.y);
}

const eye = find("[data-act=original]");
eye.addEventListener("pointerdown", () => holdOriginal(true));
for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"])
  eye.addEventListener(name, () => original && holdOriginal(false));
eye.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && holdOriginal(true));
eye.addEventListener("keyup", () => holdOriginal(false));
eye.addEventListener("contextmenu", (event) => event.preventDefault());
document.addEventListener("keyup", (event) => event.key.toLowerCase() === "o" && original && holdOriginal(false));
cut.addEventListener("input", () => showState());
canvas.addEventListener("pointerup", (event) => stroke?.pointer === event.pointerId && finish(false));
canvas.addEventListener("pointercancel", (event) => stroke?.pointer === event.pointerId && finish(true));
canvas.addEventListener("pointerleave", () => {
  showCursor = false;
  point();
});
canvas.addEventListener("blur", () => {
  if (stroke?.pointer === "key") finish(false);
  showCursor = false;
  point();
});
for (const name of ["pointerup", "pointercancel"])
  canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
stage.addEventListener(
  "wheel",
  (event) => {
    if (!scene || event.shiftKey) return;
    const { x, y } = place(event);
    if (!zoomBy(Math.exp(-0.0015 * event.deltaY * (event.deltaMode ? 20 : 1)), x, y)) return; // the page scrolls on
    moved = true;
    event.preventDefault();
  },
  { passive: false },
);
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  element.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    stage.classList.toggle("csi-over", name === "dragenter" || name === "dragover");
    if (name === "drop") takeAll(picturesOf(event.dataTransfer.files));
  });
// A file that is dropped beside the canvas would take the place of the page.
for (const name of ["dragover", "drop"])
  document.addEventListener(name, (event) => {
    if (!element.isConnected || event.defaultPrevented || ![...event.dataTransfer.types].includes("Files")) return;
    if (!inUse() || !stage.clientWidth) return;
    event.preventDefault();
    if (name === "drop") takeAll(picturesOf(event.dataTransfer.files));
  });
document.addEventListener("paste", (event) => {
  if (!inUse()) return;
  const file = pastedPhoto(event);
  if (file) take(file);
});
// Undo works wherever the focus is, but in what takes text and has an undo of its own.
const WRITING = "input:not([type=range], [type=checkbox], [type=radio], [type=color]), textarea, [contenteditable]";
const chord = (event) => (event.ctrlKey || event.metaKey) && "zy".includes(event.key.toLowerCase());
const undoes = (event) => chord(event) && page.contains(event.target) && !event.target.closest(WRITING);
new ResizeObserver(() => fit()).observe(stage);
