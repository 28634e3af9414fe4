// The photo editor. Run by gr.HTML with element, trigger, props, upload, watch and server, after stage.js; ui/editing.py
// documents what is said.
const MAX_BYTES = $MAX_BYTES;
const PATIENCE = 20000; // milliseconds until an answer is given up
const HELP = "Choose a colour and paint on the face: the model makes sense of it. Hold still to go on painting."
  + (matchMedia("(hover: hover)").matches ? " With Alt, the wheel lightens and darkens." : "");
const HANDS = "Arrow keys move the brush, space paints, B is the brush, H moves the picture, L lightens, D darkens, C takes "
  + "the colour under the brush, square brackets change its size, O shows the original while it is held, plus, minus and "
  + "zero zoom, Control Z undoes, Control Y does again, Escape cancels a stroke.";
const VIEWS = {
  frame: "The photo, as the model gets it",
  reconstruction: "How the model draws it",
  edited: "After your strokes",
  mask: "Where they show in the photo",
};

const brush = find(".csi-brush");
const behind = document.createElement("canvas"); // the photo at the canvas's size, scaled once and not in every frame
let behindOf = null, behindAt = ""; // what is drawn on it, and which part
const colour = find("input[type=color]");
const hood = find(".csi-hood");
let first = null, square = null; // pictures: the photo as it was opened, and the edit's square
let tool = "paint";
let stroke = null; // {pointer, number, tool, x, y} while one is drawn
let strokes = Math.floor(Math.random() * 1e9);
let wheel = { number: 0, at: -1e9 };
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

// The photo and the edit at the canvas's size, scaled once and not in every frame.
function scaled(photo) {
  if (behindOf === photo && behindAt === canvas.dataset.region) return;
  behind.width = canvas.width;
  behind.height = canvas.height;
  const context = behind.getContext("2d"), scale = canvas.width / region[2];
  context.setTransform(scale, 0, 0, scale, -region[0] * scale, -region[1] * scale);
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, ...scene.size);
  [behindOf, behindAt] = [photo, canvas.dataset.region];
}

function drawPhoto(at) {
  scaled(original ? first : view);
  pen.save();
  pen.resetTransform();
  pen.drawImage(behind, 0, 0);
  pen.restore();
  pen.imageSmoothingQuality = stroke ? "low" : "high"; // a stroke's pictures come with about as many pixels as are shown
  if (original) return;
  if (square) pen.drawImage(square, ...scene.box);
  if (Number(cut.value) <= 0) return;
  side(at, false);
  pen.drawImage(first, 0, 0, ...scene.size);
  pen.restore();
}

function draw() {
  const [line, at] = aim();
  drawPhoto(at);
  pen.fillStyle = "rgba(9, 9, 11, .35)";
  outline(pen, frame());
  pen.rect(0, 0, ...scene.size);
  pen.fill("evenodd");
  outline(pen, frame());
  pen.strokeStyle = "rgba(255, 255, 255, .75)";
  pen.lineWidth = 1.5 * line;
  pen.stroke();
  if (!cut.hidden) drawBorder(at, line);
  point();
}

// The handle, and what is said of what is to be seen.
function showState() {
  const changed = Boolean(scene && (scene.edited || first !== view)), share = Number(cut.value);
  cut.hidden = !changed;
  if (!changed) cut.value = 0;
  cut.ariaValueText = `${share} % before, ${100 - share} % after`;
  tag.textContent = original ? "Original" : changed && share > 0 ? "Before  |  After" : "";
  tag.hidden = !tag.textContent;
  const shows = original ? "the original" : changed ? `edited${share ? `, before and after at ${share} %` : ""}` : "as it was";
  canvas.ariaLabel = `Your photo, ${shows}. ${HANDS}`;
  redraw();
}

// An element of its own, so that the canvas need not be drawn again with every move of the brush.
function point() {
  const hidden = !scene || !cursor || !(showCursor || stroke) || tool === "pan";
  if (brush.hidden !== hidden) brush.hidden = hidden;
  if (hidden) return;
  const [[ax, ay], [bx, by]] = frame(), scale = canvas.clientWidth / region[2];
  const across = brushWidth() * scale;
  const x = (cursor.x - region[0]) * scale, y = (cursor.y - region[1]) * scale;
  const width = `${across}px`;
  if (brush.style.width !== width) brush.style.width = brush.style.height = width;
  brush.style.borderColor = tool === "paint" ? colour.value : "#fff";
  brush.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px) rotate(${Math.atan2(by - ay, bx - ax)}rad)`;
}

// The brush

function paintAt(x, y, what = stroke?.tool ?? tool, number = stroke?.number ?? ++strokes) {
  if (!inside(frame(), x, y)) return;
  const common = { points: [[x, y]], size: brushWidth(), stroke: number, live: true };
  if (what === "paint") push({ act: "paint", colour: colour.value, ...common });
  else push({ act: "light", steps: what === "lighter" ? 1 : -1, ...common });
}

function pick(x, y) {
  drawPhoto(region[0]);
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
  if (!inside(frame(), x, y)) return say("The brush works inside the square alone: paint there.", true);
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

const takeAll = ([file]) => take(file);

async function take(file) {
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
  ...views,
  open: () => find("[data-pick]").click(),
  undo: plain("undo"),
  redo: plain("redo"),
  reset: plain("reset"),
  commit: () => {
    plain("commit")();
    say("Kept. The next strokes start from this picture.");
  },
  sample: () => plain("sample", { seed: Math.floor(Math.random() * 2 ** 31) })(),
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
  take(event.target.files[0]);
  event.target.value = "";
});
size.addEventListener("input", point);
hood.addEventListener("toggle", () => hood.open && push({ act: "look" }));

canvas.addEventListener("pointerdown", (event) => {
  if (!scene) return;
  fingers.set(event.pointerId, event);
  if (stroke) return finish(true); // a second finger: no painting
  if (fingers.size > 1 || (event.button && event.button !== 1)) return;
  cursor = place(event);
  if (tool === "dropper" && !event.button) return pick(cursor.x, cursor.y);
  canvas.setPointerCapture(event.pointerId);
  if (event.button) event.preventDefault();
  else if (tool !== "pan") begin(event.pointerId, cursor.x, cursor.y);
});
canvas.addEventListener("pointermove", (event) => {
  if (!scene) return;
  showCursor = event.pointerType !== "touch";
  const held = fingers.get(event.pointerId);
  if (stroke?.pointer === event.pointerId) {
    const { x, y } = place(event);
    extend(x, y);
  } else if (held && fingers.size === 2) pinch(event, held);
  else if (held && (tool === "pan" || event.buttons === 4)) {
    const from = place(held), to = place(event);
    moved = true;
    panBy(from.x - to.x, from.y - to.y);
  }
  if (held) fingers.set(event.pointerId, event);
  cursor = place(event);
  point();
});
canvas.addEventListener("wheel", (event) => {
  if (!scene || !event.altKey || !event.deltaY) return;
  const { x, y } = place(event);
  if (!inside(frame(), x, y)) return;
  event.preventDefault();
  event.stopPropagation(); // no zoom
  if (performance.now() - wheel.at > 600) wheel.number = ++strokes;
  wheel.at = performance.now();
  paintAt(x, y, event.deltaY < 0 ? "lighter" : "darker", wheel.number);
  clearTimeout(wheel.rest);
  wheel.rest = setTimeout(() => push({ act: "look" }), 700);
}, { passive: false });

const ZOOM = { "+": actions.nearer, "=": actions.nearer, "-": actions.farther, 0: actions.zoom };
function onKey(event) {
  if (!scene) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (event.altKey || (control && !chord(event))) return;
  const [corner, , opposite] = frame();
  cursor ||= { x: (corner[0] + opposite[0]) / 2, y: (corner[1] + opposite[1]) / 2 };
  showCursor = true;
  if (control) actions[key === "y" || event.shiftKey ? "redo" : "undo"]();
  else if (event.key in ARROWS) step(event);
  else if (key === " ") {
    if (tool === "dropper") pick(cursor.x, cursor.y);
    else if (!stroke && tool !== "pan") begin("key", cursor.x, cursor.y);
  } else if (key === "escape") finish(true);
  else if (key === "l" || key === "d") paintAt(cursor.x, cursor.y, key === "l" ? "lighter" : "darker");
  else if (key === "c") pick(cursor.x, cursor.y);
  else if (key === "b") useTool("paint");
  else if (key === "h") useTool("pan");
  else if (key === "o") holdOriginal(true);
  else if (key in ZOOM) ZOOM[key]();
  else if (key === "[" || key === "]") size.value = Number(size.value) + (key === "]" ? 2 : -2);
  else return;
  event.preventDefault();
  event.stopPropagation();
  point();
}

canvas.addEventListener("keydown", onKey);
document.addEventListener("keydown", (event) => element.isConnected && stage.clientWidth && undoes(event) && onKey(event));
canvas.addEventListener("keyup", (event) => {
  if (event.key === " " && stroke?.pointer === "key") finish(false);
  if ("ld".includes(event.key.toLowerCase()) && !stroke) push({ act: "look" });
});

useTool("paint");
watch("value", () => props.value && show(JSON.parse(props.value)));
say("Opening the photo…");
if (props.value) show(JSON.parse(props.value));
