// The mask painter. Run by gr.HTML with element, trigger, props, upload and watch; painter.py documents props.value.
const MAX_BYTES = 128 * 1024 * 1024;
const MAX_UNDO = 40;
const PAINT = [79, 70, 229];
const HELP = "Paint the part to fill in. Only the square is filled; the rest stays as it is.";

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const pen = canvas.getContext("2d");
const mask = document.createElement("canvas"); // opaque where the hole is, in pixels of the view
const brush = mask.getContext("2d", { willReadFrequently: true });
const size = find(".csi-size input");
let scene = null; // what the server sent last: see painter.py
let view = null;
let region = [0, 0, 1, 1]; // the part of the view that is shown: x, y, width, height
let zoomed = false;
let tool = "paint";
let undo = [];
let stroke = null; // {pointer, before, x, y} while one is drawn
let cursor = null;
let showCursor = false;
let loads = 0;
let waiting = false;

function say(text, trouble = false) {
  const line = find(".csi-say");
  line.textContent = text;
  line.classList.toggle("csi-trouble", trouble);
}

function runs() {
  const data = brush.getImageData(0, 0, mask.width, mask.height).data;
  const found = [];
  let hole = false, start = 0;
  for (let pixel = 0; pixel < data.length / 4; pixel++) {
    if (data[4 * pixel + 3] > 127 !== hole) {
      found.push(pixel - start);
      start = pixel;
      hole = !hole;
    }
  }
  found.push(data.length / 4 - start);
  return found;
}

function setRuns(lengths) {
  const picture = brush.createImageData(mask.width, mask.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const colour = new Uint32Array(new Uint8Array([...PAINT, 255]).buffer)[0];
  let at = 0;
  lengths.forEach((length, index) => {
    if (index % 2) pixels.fill(colour, at, at + length);
    at += length;
  });
  brush.putImageData(picture, 0, 0);
}

function publish(tell = true) {
  if (!scene) return;
  props.value = JSON.stringify({ photo: scene.photo, size: [mask.width, mask.height], runs: runs() });
  find("[data-act=undo]").disabled = !undo.length;
  if (tell) trigger("input");
}

function remember(before) {
  undo.push(before);
  if (undo.length > MAX_UNDO) undo.shift();
}

function change(edit) {
  if (!scene || stroke) return;
  remember(runs());
  edit();
  publish();
  redraw();
}

const frame = () => scene.frames[scene.chosen];

function frameSide() {
  const [[ax, ay], [bx, by]] = frame();
  return Math.hypot(bx - ax, by - ay);
}

const brushWidth = () => Math.max(1, (frameSide() * Number(size.value)) / 100);

function outline(target, corners) {
  target.beginPath();
  corners.forEach(([x, y], index) => (index ? target.lineTo(x, y) : target.moveTo(x, y)));
  target.closePath();
}

function dab(fromX, fromY, x, y) {
  brush.save();
  if (tool === "paint") {
    outline(brush, frame());
    brush.clip();
  } else brush.globalCompositeOperation = "destination-out";
  brush.strokeStyle = `rgb(${PAINT})`;
  brush.lineWidth = brushWidth();
  brush.lineCap = brush.lineJoin = "round";
  brush.beginPath();
  brush.moveTo(fromX, fromY);
  brush.lineTo(x + 1e-3, y);
  brush.stroke();
  brush.restore();
}

function fit() {
  if (!view) return;
  const width = find(".csi-stage").clientWidth;
  if (!width) return;
  region = [0, 0, mask.width, mask.height];
  if (zoomed) {
    const margin = 0.08 * frameSide();
    const xs = frame().map(([x]) => x), ys = frame().map(([, y]) => y);
    const left = Math.max(0, Math.min(...xs) - margin), top = Math.max(0, Math.min(...ys) - margin);
    const right = Math.min(mask.width, Math.max(...xs) + margin), bottom = Math.min(mask.height, Math.max(...ys) + margin);
    if (right - left > 1 && bottom - top > 1) region = [left, top, right - left, bottom - top];
  }
  const scale = Math.min(width / region[2], Math.min(560, 0.7 * innerHeight) / region[3]);
  const dots = Math.min(2, devicePixelRatio || 1);
  canvas.style.width = `${region[2] * scale}px`;
  canvas.style.height = `${region[3] * scale}px`;
  canvas.width = Math.max(1, Math.round(region[2] * scale * dots));
  canvas.height = Math.max(1, Math.round(region[3] * scale * dots));
  redraw();
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
  pen.setTransform(scale, 0, 0, scale, -region[0] * scale, -region[1] * scale);
  pen.imageSmoothingEnabled = scale < 4;
  pen.drawImage(view, 0, 0);
  pen.globalAlpha = 0.62;
  pen.drawImage(mask, 0, 0);
  pen.globalAlpha = 1;
  pen.fillStyle = "rgba(9, 9, 11, .42)";
  outline(pen, frame());
  pen.rect(0, 0, mask.width, mask.height);
  pen.fill("evenodd");
  scene.frames.forEach((corners, index) => {
    outline(pen, corners);
    pen.setLineDash(index === scene.chosen ? [] : [6 * line, 5 * line]);
    pen.strokeStyle = "rgba(9, 9, 11, .8)";
    pen.lineWidth = 4 * line;
    pen.stroke();
    pen.strokeStyle = index === scene.chosen ? "#fff" : "#d4d4d8";
    pen.lineWidth = 2 * line;
    pen.stroke();
    pen.setLineDash([]);
    if (scene.frames.length > 1) {
      pen.font = `600 ${15 * line}px system-ui, sans-serif`;
      pen.fillStyle = "#fff";
      pen.strokeStyle = "rgba(9, 9, 11, .8)";
      pen.lineWidth = 3 * line;
      const [x, y] = corners[0];
      pen.strokeText(index + 1, x + 6 * line, y + 18 * line);
      pen.fillText(index + 1, x + 6 * line, y + 18 * line);
    }
  });
  if (cursor && showCursor) {
    for (const [colour, width] of [["rgba(9, 9, 11, .8)", 3], ["#fff", 1.5]]) {
      pen.beginPath();
      pen.arc(cursor.x, cursor.y, brushWidth() / 2, 0, 7);
      pen.strokeStyle = colour;
      pen.lineWidth = width * line;
      pen.stroke();
    }
  }
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: region[0] + ((event.clientX - box.left) / box.width) * region[2],
    y: region[1] + ((event.clientY - box.top) / box.height) * region[3],
  };
}

function begin(pointer, x, y) {
  stroke = { pointer, before: runs(), x, y };
  dab(x, y, x, y);
  redraw();
}

function extend(x, y) {
  dab(stroke.x, stroke.y, x, y);
  stroke.x = x;
  stroke.y = y;
  redraw();
}

function finish(cancelled) {
  if (!stroke) return;
  const { before } = stroke;
  stroke = null;
  if (cancelled) setRuns(before);
  else remember(before);
  redraw();
  if (!cancelled) publish();
}

function useTool(name) {
  tool = name;
  for (const button of element.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", button.dataset.tool === name);
}

async function take(file) {
  if (!file) return;
  if (file.size > MAX_BYTES) return say("This file is larger than 128 MB. Choose a smaller photo.", true);
  const load = ++loads;
  say("Reading the photo…");
  try {
    const name = `photo-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
    const { path } = await upload(new File([file], name));
    if (load !== loads) return;
    props.value = JSON.stringify({ upload: path });
    trigger("upload");
  } catch {
    if (load === loads) say("The photo could not be sent. Check the connection and choose it again.", true);
  }
}

async function show(sent) {
  const load = ++loads;
  if (sent.trouble) {
    say(sent.trouble, true);
    return publish(false);
  }
  if (sent.view) {
    const picture = new Image();
    picture.src = sent.view;
    await picture.decode();
    if (load !== loads) return;
    view = picture;
    [mask.width, mask.height] = sent.size;
    undo = [];
    zoomed = false;
    cursor = null;
  }
  scene = sent;
  stroke = null;
  if (sent.runs) setRuns(sent.runs);
  const presets = find(".csi-presets");
  presets.replaceChildren(
    ...sent.presets.map(({ label, runs: lengths }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.title = `Replace the hole by: ${label}`;
      button.onclick = () => change(() => setRuns(lengths));
      return button;
    }),
  );
  find("[data-act=zoom]").setAttribute("aria-pressed", zoomed);
  element.querySelector(".csi-painter").classList.add("csi-ready");
  say(sent.note || HELP);
  fit();
  publish();
}

const actions = {
  open: () => find("[data-pick=open]").click(),
  camera: () => find("[data-pick=camera]").click(),
  undo: () => {
    if (!scene || stroke || !undo.length) return;
    setRuns(undo.pop());
    publish();
    redraw();
  },
  clear: () => change(() => brush.clearRect(0, 0, mask.width, mask.height)),
  zoom: () => {
    if (!scene) return;
    zoomed = !zoomed;
    find("[data-act=zoom]").setAttribute("aria-pressed", zoomed);
    fit();
  },
};
for (const button of element.querySelectorAll("[data-act]"))
  button.addEventListener("click", () => actions[button.dataset.act]());
for (const button of element.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => useTool(button.dataset.tool));
for (const input of element.querySelectorAll("[data-pick]"))
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = "";
  });
size.addEventListener("input", redraw);

canvas.addEventListener("pointerdown", (event) => {
  if (!scene) return;
  if (stroke) return finish(true); // a second finger: no painting
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  const { x, y } = place(event);
  begin(event.pointerId, x, y);
});
canvas.addEventListener("pointermove", (event) => {
  if (!scene) return;
  showCursor = event.pointerType !== "touch";
  for (const step of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
    cursor = place(step);
    if (stroke?.pointer === event.pointerId) extend(cursor.x, cursor.y);
  }
  redraw();
});
canvas.addEventListener("pointerup", (event) => stroke?.pointer === event.pointerId && finish(false));
canvas.addEventListener("pointercancel", (event) => stroke?.pointer === event.pointerId && finish(true));
canvas.addEventListener("pointerleave", () => {
  showCursor = false;
  redraw();
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  if (!scene) return;
  const undoing = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (!undoing && (event.ctrlKey || event.metaKey || event.altKey)) return;
  const [corner, , opposite] = frame();
  cursor ||= { x: (corner[0] + opposite[0]) / 2, y: (corner[1] + opposite[1]) / 2 };
  showCursor = true;
  if (undoing) actions.undo();
  else if (event.key in ARROWS) {
    const step = (frameSide() / 64) * (event.shiftKey ? 8 : 2);
    cursor.x = Math.min(mask.width, Math.max(0, cursor.x + step * ARROWS[event.key][0]));
    cursor.y = Math.min(mask.height, Math.max(0, cursor.y + step * ARROWS[event.key][1]));
    if (stroke?.pointer === "key") extend(cursor.x, cursor.y);
  } else if (event.key === " ") {
    if (!stroke) begin("key", cursor.x, cursor.y);
  } else if (event.key === "Escape") finish(true);
  else if (event.key.toLowerCase() === "e") useTool(tool === "paint" ? "erase" : "paint");
  else if (event.key === "[" || event.key === "]") size.value = Number(size.value) + (event.key === "]" ? 2 : -2);
  else return;
  event.preventDefault();
  redraw();
});
canvas.addEventListener("keyup", (event) => event.key === " " && stroke?.pointer === "key" && finish(false));
canvas.addEventListener("blur", () => {
  if (stroke?.pointer === "key") finish(false);
  showCursor = false;
  redraw();
});

const stage = find(".csi-stage");
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  element.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    stage.classList.toggle("csi-over", name === "dragenter" || name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
document.addEventListener("paste", (event) => {
  if (!element.isConnected) return;
  const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  take(file);
});
new ResizeObserver(fit).observe(stage);
watch("value", () => props.value && show(JSON.parse(props.value)));
say("Loading…");
