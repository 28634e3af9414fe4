// The photo editor. Run by gr.HTML with element, trigger, props, upload, watch and server; ui/editing.py documents what
// is said.
const MAX_BYTES = $MAX_BYTES;
const PATIENCE = 20000; // milliseconds until an answer is given up
const HELP = "Choose a colour and paint on the face: the model makes sense of it. Hold still to go on painting."
  + (matchMedia("(hover: hover)").matches ? " After a click, the wheel lightens and darkens." : "");
const VIEWS = {
  frame: "The photo, as the model gets it",
  reconstruction: "How the model draws it",
  edited: "After your strokes",
  mask: "Where they show in the photo",
};

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const pen = canvas.getContext("2d");
const brush = find(".csi-brush");
const behind = document.createElement("canvas"); // the photo at the canvas's size, scaled once and not in every frame
let behindOf = null; // what is drawn on it
const size = find(".csi-size input");
const colour = find("input[type=color]");
const hood = find(".csi-hood");
let scene = null; // what the server said, the newest of each kind
let original = null, view = null, square = null; // pictures
let region = [0, 0, 1, 1]; // the part of the view that is shown: x, y, width, height
let zoomed = false, before = false;
let tool = "paint";
let stroke = null; // {pointer, number, tool, x, y} while one is drawn
let strokes = Math.floor(Math.random() * 1e9);
let wheel = { number: 0, at: -1e9 };
let cursor = null, showCursor = false;
let waiting = false;
let queue = [];
let sent = null; // {reply, at, points} of the message under way
let replies = 0;
let batch = 1; // points a message, by how long the way is against a point's work
let dragged = null; // the slider that is held
let loads = 0, shown = 0; // answers that came, and the newest that is shown

function say(text, trouble = false) {
  const line = find(".csi-say");
  line.textContent = text;
  line.classList.toggle("csi-trouble", trouble);
}

// The canvas

const frame = () => scene.frame;

function frameSide() {
  const [[ax, ay], [bx, by]] = frame();
  return Math.hypot(bx - ax, by - ay);
}

const brushWidth = () => Math.max(1, (frameSide() * Number(size.value)) / 100);

function outline(corners) {
  pen.beginPath();
  corners.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}

// A frame in another page is as high as what it shows, so that this may not follow its height.
const tallest = () =>
  document.documentElement.classList.contains("csi-embed") ? 600 : Math.min(600, 0.7 * innerHeight);

function fit() {
  if (!view) return;
  const width = find(".csi-stage").clientWidth;
  if (!width) return;
  const [across, down] = scene.size;
  region = [0, 0, across, down];
  if (zoomed) {
    const margin = 0.12 * frameSide();
    const xs = frame().map(([x]) => x), ys = frame().map(([, y]) => y);
    const left = Math.max(0, Math.min(...xs) - margin), top = Math.max(0, Math.min(...ys) - margin);
    const right = Math.min(across, Math.max(...xs) + margin), bottom = Math.min(down, Math.max(...ys) + margin);
    if (right - left > 1 && bottom - top > 1) region = [left, top, right - left, bottom - top];
  }
  const scale = Math.min(width / region[2], tallest() / region[3]);
  const dots = Math.min(2, devicePixelRatio || 1);
  canvas.style.width = `${region[2] * scale}px`;
  canvas.style.height = `${region[3] * scale}px`;
  canvas.width = Math.max(1, Math.round(region[2] * scale * dots));
  canvas.height = Math.max(1, Math.round(region[3] * scale * dots));
  behindOf = null;
  redraw();
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (view && scene) draw();
  });
}

function aim(context) {
  const scale = canvas.width / region[2];
  context.setTransform(scale, 0, 0, scale, -region[0] * scale, -region[1] * scale);
}

function drawBehind(photo) {
  behind.width = canvas.width;
  behind.height = canvas.height;
  const context = behind.getContext("2d");
  aim(context);
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, ...scene.size);
  behindOf = photo;
}

function drawPhoto() {
  const photo = before ? original : view;
  if (behindOf !== photo) drawBehind(photo);
  pen.resetTransform();
  pen.drawImage(behind, 0, 0);
  aim(pen);
  pen.imageSmoothingQuality = stroke ? "low" : "high"; // a stroke's pictures come with about as many pixels as are shown
  if (!before && square) pen.drawImage(square, ...scene.box);
}

function draw() {
  drawPhoto();
  const line = 1 / (canvas.clientWidth / region[2] || 1);
  pen.fillStyle = "rgba(9, 9, 11, .35)";
  outline(frame());
  pen.rect(0, 0, ...scene.size);
  pen.fill("evenodd");
  outline(frame());
  pen.strokeStyle = "rgba(255, 255, 255, .75)";
  pen.lineWidth = 1.5 * line;
  pen.stroke();
  point();
}

// An element of its own, so that the canvas need not be drawn again with every move of the brush.
function point() {
  const hidden = !scene || !cursor || !(showCursor || stroke);
  if (brush.hidden !== hidden) brush.hidden = hidden;
  if (hidden) return;
  const [[ax, ay], [bx, by]] = frame(), scale = canvas.clientWidth / region[2];
  const side = brushWidth() * scale;
  const x = canvas.offsetLeft + (cursor.x - region[0]) * scale, y = canvas.offsetTop + (cursor.y - region[1]) * scale;
  const width = `${side}px`;
  if (brush.style.width !== width) brush.style.width = brush.style.height = width;
  brush.style.borderColor = tool === "paint" ? colour.value : "#fff";
  brush.style.transform = `translate(${x - side / 2}px, ${y - side / 2}px) rotate(${Math.atan2(by - ay, bx - ax)}rad)`;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: region[0] + ((event.clientX - box.left) / box.width) * region[2],
    y: region[1] + ((event.clientY - box.top) / box.height) * region[3],
  };
}

function inside(x, y) {
  const [[ax, ay], [bx, by], , [dx, dy]] = frame();
  const side = frameSide() ** 2;
  const across = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / side;
  const down = ((x - ax) * (dx - ax) + (y - ay) * (dy - ay)) / side;
  return across >= 0 && across <= 1 && down >= 0 && down <= 1;
}

// The brush

function paintAt(x, y, what = stroke?.tool ?? tool, number = stroke?.number ?? ++strokes) {
  if (!inside(x, y)) return;
  const common = { points: [[x, y]], size: brushWidth(), stroke: number, live: true };
  if (what === "paint") push({ act: "paint", colour: colour.value, ...common });
  else push({ act: "light", steps: what === "lighter" ? 1 : -1, ...common });
}

function take(x, y) {
  drawPhoto();
  const scale = canvas.width / region[2], reach = 2;
  const left = Math.round((x - region[0]) * scale) - reach, top = Math.round((y - region[1]) * scale) - reach;
  const { data } = pen.getImageData(left, top, 2 * reach + 1, 2 * reach + 1);
  const sums = [0, 0, 0];
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (!data[at + 3]) continue;
    count++;
    sums.forEach((_, channel) => (sums[channel] += data[at + channel]));
  }
  if (count) setColour(`#${sums.map((sum) => Math.round(sum / count).toString(16).padStart(2, "0")).join("")}`);
  redraw();
}

function setColour(value) {
  colour.value = value;
  useTool("paint");
}

function begin(pointer, x, y) {
  if (before) actions.before();
  if (!inside(x, y)) return say("The brush works inside the square alone: paint there.", true);
  say(HELP);
  stroke = { pointer, number: ++strokes, tool, x, y };
  paintAt(x, y);
}

function extend(x, y) {
  stroke.x = x;
  stroke.y = y;
  paintAt(x, y);
}

function finish(cancelled) {
  if (!stroke) return;
  stroke = null;
  push({ act: cancelled ? "undo" : "look" });
  point();
}

function useTool(name) {
  tool = name;
  for (const button of element.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", button.dataset.tool === name);
  point();
}

async function takeFile(file) {
  if (!file) return;
  if (file.size > MAX_BYTES) return say(`This file is larger than ${MAX_BYTES / 2 ** 20} MB. Choose a smaller photo.`, true);
  say("Reading the photo…");
  try {
    const name = `photo-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
    const { path } = await upload(new File([file], name));
    props.value = JSON.stringify({ upload: path });
    trigger("upload");
  } catch {
    say("The photo could not be sent. Check the connection and choose it again.", true);
  }
}

const plain = (act, more = {}) => () => !stroke && push({ act, ...more });
const actions = {
  open: () => find("[data-pick]").click(),
  undo: plain("undo"),
  redo: plain("redo"),
  reset: plain("reset"),
  commit: () => {
    plain("commit")();
    say("Kept. The next strokes start from this picture.");
  },
  sample: () => plain("sample", { seed: Math.floor(Math.random() * 2 ** 31) })(),
  before: () => {
    before = !before;
    find("[data-act=before]").setAttribute("aria-pressed", before);
    redraw();
  },
  zoom: () => {
    zoomed = !zoomed;
    find("[data-act=zoom]").setAttribute("aria-pressed", zoomed);
    fit();
  },
  save: () => scene && trigger("submit"),
  fill: () => scene && trigger("select"),
};
for (const button of element.querySelectorAll("[data-act]"))
  button.addEventListener("click", () => actions[button.dataset.act]());
for (const button of element.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => useTool(button.dataset.tool));
for (const button of element.querySelectorAll("[data-colour]")) {
  button.style.background = button.dataset.colour;
  button.addEventListener("click", () => setColour(button.dataset.colour));
}
colour.addEventListener("input", () => setColour(colour.value));
find("[data-pick]").addEventListener("change", (event) => {
  takeFile(event.target.files[0]);
  event.target.value = "";
});
size.addEventListener("input", point);
hood.addEventListener("toggle", () => hood.open && push({ act: "look" }));

canvas.addEventListener("pointerdown", (event) => {
  if (!scene) return;
  if (stroke) return finish(true); // a second finger: no painting
  if (event.button) return;
  cursor = place(event);
  if (tool === "dropper") return take(cursor.x, cursor.y);
  canvas.setPointerCapture(event.pointerId);
  begin(event.pointerId, cursor.x, cursor.y);
});
canvas.addEventListener("pointermove", (event) => {
  if (!scene) return;
  showCursor = event.pointerType !== "touch";
  cursor = place(event);
  if (stroke?.pointer === event.pointerId) extend(cursor.x, cursor.y);
  point();
});
canvas.addEventListener("pointerup", (event) => stroke?.pointer === event.pointerId && finish(false));
canvas.addEventListener("pointercancel", (event) => stroke?.pointer === event.pointerId && finish(true));
canvas.addEventListener("pointerleave", () => {
  showCursor = false;
  point();
});
canvas.addEventListener("wheel", (event) => {
  if (!scene || document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
  const { x, y } = place(event);
  if (!inside(x, y)) return;
  event.preventDefault();
  if (performance.now() - wheel.at > 600) wheel.number = ++strokes;
  wheel.at = performance.now();
  paintAt(x, y, event.deltaY < 0 ? "lighter" : "darker", wheel.number);
  clearTimeout(wheel.rest);
  wheel.rest = setTimeout(() => push({ act: "look" }), 700);
}, { passive: false });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  if (!scene) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (event.altKey || (control && !"zy".includes(key))) return;
  const [corner, , opposite] = frame();
  cursor ||= { x: (corner[0] + opposite[0]) / 2, y: (corner[1] + opposite[1]) / 2 };
  showCursor = true;
  if (control) actions[key === "y" || event.shiftKey ? "redo" : "undo"]();
  else if (event.key in ARROWS) {
    const step = (frameSide() / 64) * (event.shiftKey ? 8 : 2);
    cursor.x = Math.min(scene.size[0], Math.max(0, cursor.x + step * ARROWS[event.key][0]));
    cursor.y = Math.min(scene.size[1], Math.max(0, cursor.y + step * ARROWS[event.key][1]));
    if (stroke?.pointer === "key") extend(cursor.x, cursor.y);
  } else if (key === " ") {
    if (tool === "dropper") take(cursor.x, cursor.y);
    else if (!stroke) begin("key", cursor.x, cursor.y);
  } else if (key === "escape") finish(true);
  else if (key === "l" || key === "d") paintAt(cursor.x, cursor.y, key === "l" ? "lighter" : "darker");
  else if (key === "c") take(cursor.x, cursor.y);
  else if (key === "b") actions.before();
  else if (key === "[" || key === "]") size.value = Number(size.value) + (key === "]" ? 2 : -2);
  else return;
  event.preventDefault();
  point();
});
canvas.addEventListener("keyup", (event) => {
  if (event.key === " " && stroke?.pointer === "key") finish(false);
  if ("ld".includes(event.key.toLowerCase()) && !stroke) push({ act: "look" });
});
canvas.addEventListener("blur", () => {
  if (stroke?.pointer === "key") finish(false);
  showCursor = false;
  point();
});

const stage = find(".csi-stage");
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  element.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    stage.classList.toggle("csi-over", name === "dragenter" || name === "dragover");
    if (name === "drop") takeFile(event.dataTransfer.files[0]);
  });
document.addEventListener("paste", (event) => {
  if (!element.isConnected || !element.offsetParent) return;
  const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // the hole painter listens, too
  takeFile(file);
}, true);
new ResizeObserver(fit).observe(stage);
watch("value", () => props.value && show(JSON.parse(props.value)));
say("Opening the photo…");
if (props.value) show(JSON.parse(props.value));
