// The photo on its canvas: which part of it is shown, and how it is drawn. The first of the painter's scripts, which
// share one scope: stage.js, shown.js, tools.js, painter.js.
const PAINT = [79, 70, 229];
const NEAREST = 8; // how often the square may be as wide as what is shown of it
const MARGIN = 0.14; // around the square when it is zoomed on, in its sides

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
const mask = document.createElement("canvas"); // opaque where the hole is, in pixels of the view
const brush = mask.getContext("2d", { willReadFrequently: true });
const size = find(".csi-size input");
let scene = null; // what the server sent last: see painter.py
let view = null;
let wanted = null; // the part of the view that is to be seen: x, y, width, height
let region = [0, 0, 1, 1]; // and what the canvas shows for that: of its own shape, perhaps beyond the view's edges
let zoomed = false;
let cursor = null;
let showCursor = false;
let waiting = false;

const frame = () => scene.frames[scene.chosen];
const whole = () => [0, 0, mask.width, mask.height];

function frameSide(corners = frame()) {
  const [[ax, ay], [bx, by]] = corners;
  return Math.hypot(bx - ax, by - ay);
}

const brushWidth = () => Math.max(1, (frameSide() * Number(size.value)) / 100);

function around(corners, margin) {
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
  const left = Math.max(0, Math.min(...xs) - margin), top = Math.max(0, Math.min(...ys) - margin);
  const right = Math.min(mask.width, Math.max(...xs) + margin), bottom = Math.min(mask.height, Math.max(...ys) + margin);
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
  if (!view || !canvas.width) return;
  const shape = canvas.width / canvas.height;
  const smallest = frameSide() / NEAREST;
  const largest = Math.max(mask.width, mask.height * shape);
  const width = Math.min(largest, Math.max(box[2], box[3] * shape, smallest)), height = width / shape;
  const from = (middle, extent, all) =>
    extent >= all ? (all - extent) / 2 : Math.min(all - extent, Math.max(0, middle - extent / 2));
  region = [from(box[0] + box[2] / 2, width, mask.width), from(box[1] + box[3] / 2, height, mask.height), width, height];
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
  if (!view || !width || !height) return;
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
    if (view) draw();
  });
}

function draw() {
  const scale = canvas.width / region[2], line = canvas.width / canvas.clientWidth / scale || 1;
  const shown = original || stroke || tool === "square" ? null : current();
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, -region[0] * scale, -region[1] * scale);
  pen.imageSmoothingEnabled = !shown?.crisp;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(view, 0, 0);
  if (shown) drawResult(shown, line);
  else if (!original) {
    pen.globalAlpha = 0.6;
    pen.drawImage(mask, 0, 0);
    pen.globalAlpha = 1;
    pen.fillStyle = "rgba(9, 9, 11, .38)";
    outline(pen, frame());
    pen.rect(0, 0, mask.width, mask.height);
    pen.fill("evenodd");
    scene.frames.forEach((corners, index) => drawFrame(corners, index, line));
  }
  if (tool === "square" && !original) drawKnobs(line);
  drawStroke(line);
  if (cursor && showCursor && (tool === "paint" || tool === "erase"))
    for (const [colour, width] of [["rgba(9, 9, 11, .8)", 3], ["#fff", 1.5]]) {
      pen.beginPath();
      pen.arc(cursor.x, cursor.y, brushWidth() / 2, 0, 7);
      pen.strokeStyle = colour;
      pen.lineWidth = width * line;
      pen.stroke();
    }
}

function drawFrame(corners, index, line) {
  outline(pen, corners);
  pen.setLineDash(index === scene.chosen ? [] : [6 * line, 5 * line]);
  pen.strokeStyle = "rgba(9, 9, 11, .7)";
  pen.lineWidth = 4 * line;
  pen.stroke();
  pen.strokeStyle = index === scene.chosen ? "#fff" : "#d4d4d8";
  pen.lineWidth = 2 * line;
  pen.stroke();
  pen.setLineDash([]);
  if (scene.frames.length < 2) return;
  pen.font = `600 ${15 * line}px system-ui, sans-serif`;
  pen.fillStyle = "#fff";
  pen.strokeStyle = "rgba(9, 9, 11, .8)";
  pen.lineWidth = 3 * line;
  const [x, y] = corners[0];
  pen.strokeText(index + 1, x + 6 * line, y + 18 * line);
  pen.fillText(index + 1, x + 6 * line, y + 18 * line);
}
