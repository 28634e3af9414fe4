// What is done to the hole and the square with a pointer or the keys: strokes, rectangle, lasso, the square's handles.
const KNOB = 11; // how near a handle counts as on it, in pixels of the window
const SMALLEST = 16; // side of the square, in pixels of the view
let tool = "paint";
let stroke = null; // while one is drawn: {pointer, before, kind, points, away}; of the square: {pointer, grip, from, at}
const point = redraw; // the brush is drawn with the rest

const pixelsOfView = (pixels) => (pixels / canvas.clientWidth) * region[2];

function dab(fromX, fromY, x, y) {
  brush.save();
  if (tool === "erase") brush.globalCompositeOperation = "destination-out";
  else {
    outline(brush, frame());
    brush.clip();
  }
  brush.strokeStyle = `rgb(${PAINT})`;
  brush.lineWidth = brushWidth();
  brush.lineCap = brush.lineJoin = "round";
  brush.beginPath();
  brush.moveTo(fromX, fromY);
  brush.lineTo(x + 1e-3, y);
  brush.stroke();
  brush.restore();
}

// Fills an area of the view, or takes it away; only within the square.
function area(corners, away) {
  brush.save();
  outline(brush, frame());
  brush.clip();
  if (away) brush.globalCompositeOperation = "destination-out";
  brush.fillStyle = `rgb(${PAINT})`;
  outline(brush, corners);
  brush.fill();
  brush.restore();
}

// Corners of the area that a rectangle or a lasso has surrounded so far.
function surrounded({ kind, points }) {
  if (kind === "lasso") return points;
  const [[ax, ay], [bx, by]] = [points[0], points.at(-1)];
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

function begin(pointer, x, y, away = false) {
  if (tool === "hint") return beginHint(pointer, x, y);
  const kind = tool === "box" || tool === "lasso" ? tool : "brush";
  stroke = { pointer, kind, away, before: state(), points: [[x, y]] };
  if (kind === "brush") dab(x, y, x, y);
  redraw();
}

function extend(x, y) {
  if (stroke.kind === "hint") return extendHint(x, y);
  if (stroke.kind === "brush") dab(...stroke.points.at(-1), x, y);
  stroke.points.push([x, y]);
  redraw();
}

function finish(cancelled) {
  if (!stroke) return;
  const done = stroke;
  stroke = null;
  if (done.grip) return finishSquare(done, cancelled);
  if (done.kind === "hint") return finishHint(done, cancelled);
  if (cancelled) setRuns(done.before.runs);
  else if (done.kind !== "brush") area(surrounded(done), done.away);
  if (!cancelled && !commit(done.before) && !done.points.some(([x, y]) => inside(frame(), x, y)))
    say("Only the square is filled in, so nothing is painted outside it. The square can be placed by hand.");
  showState();
}

function drawStroke(line) {
  if (!stroke || stroke.kind === "brush" || stroke.kind === "hint" || stroke.grip) return;
  outline(pen, surrounded(stroke));
  pen.fillStyle = stroke.away ? "rgba(255, 255, 255, .3)" : `rgba(${PAINT}, .3)`;
  pen.fill();
  pen.setLineDash([6 * line, 4 * line]);
  pen.strokeStyle = "#fff";
  pen.lineWidth = 2 * line;
  pen.stroke();
  pen.setLineDash([]);
}

// The square by its centre, side and turn in degrees clockwise, and back.
function asNumbers([a, b, c]) {
  return { x: (a[0] + c[0]) / 2, y: (a[1] + c[1]) / 2, side: Math.hypot(b[0] - a[0], b[1] - a[1]),
    turn: (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI };
}

function asCorners({ x, y, side, turn }) {
  const angle = (turn * Math.PI) / 180, cos = (Math.cos(angle) * side) / 2, sin = (Math.sin(angle) * side) / 2;
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([u, v]) => [x + u * cos - v * sin, y + u * sin + v * cos]);
}

// The knob that turns the square: inside it, below the middle of its upper edge, so that it is never out of sight.
function knob() {
  const [a, b, , d] = frame();
  return [0, 1].map((axis) => (a[axis] + b[axis]) / 2 + 0.12 * (d[axis] - a[axis]));
}

function drawKnobs(line) {
  for (const [index, [x, y]] of [...frame(), knob()].entries()) {
    pen.beginPath();
    pen.arc(x, y, (index === 4 ? 8 : 7) * line, 0, 7);
    pen.fillStyle = index === 4 ? `rgb(${PAINT})` : "#fff";
    pen.fill();
    pen.strokeStyle = index === 4 ? "#fff" : "rgba(9, 9, 11, .8)";
    pen.lineWidth = 2 * line;
    pen.stroke();
  }
}

// What of the square a point takes hold of: "turn", "size", "move" or nothing.
function gripAt(x, y) {
  const near = ([u, v]) => Math.hypot(u - x, v - y) < pixelsOfView(KNOB);
  return near(knob()) ? "turn" : frame().some(near) ? "size" : inside(frame(), x, y) ? "move" : null;
}

function beginSquare(pointer, grip, x, y) {
  stroke = { pointer, grip, at: [x, y], from: asNumbers(frame()), corners: frame(), before: state() };
}

function extendSquare(x, y) {
  const { grip, at, from } = stroke, square = { ...from };
  if (grip === "move") {
    square.x = Math.min(mask.width, Math.max(0, from.x + x - at[0]));
    square.y = Math.min(mask.height, Math.max(0, from.y + y - at[1]));
  } else if (grip === "size") {
    const away = Math.hypot(x - from.x, y - from.y) / Math.hypot(at[0] - from.x, at[1] - from.y);
    square.side = Math.min(2 * Math.max(mask.width, mask.height), Math.max(SMALLEST, from.side * away));
  } else square.turn = ((Math.atan2(y - from.y, x - from.x) * 180) / Math.PI + 90 + 540) % 360 - 180;
  scene.frames[scene.chosen] = asCorners(square);
  redraw();
}

function finishSquare(done, cancelled) {
  const square = asNumbers(frame());
  scene.frames[scene.chosen] = done.corners;
  if (!cancelled) trigger("edit", square);
  redraw();
}

// A mask from a picture file, laid over the whole photo: what is dark is the hole, as on the command line.
async function readMask(file) {
  let picture;
  try { picture = await createImageBitmap(file); } catch {
    return say("This file is not a picture that can be read as a mask.", true);
  }
  const paper = document.createElement("canvas");
  paper.width = mask.width;
  paper.height = mask.height;
  const copy = paper.getContext("2d");
  copy.imageSmoothingEnabled = false;
  copy.drawImage(picture, 0, 0, mask.width, mask.height);
  const { data } = copy.getImageData(0, 0, mask.width, mask.height), dark = brush.createImageData(mask.width, mask.height);
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 127 && 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2] < 128)
      dark.data.set([...PAINT, 255], at);
  change(() => {
    copy.putImageData(dark, 0, 0);
    brush.clearRect(0, 0, mask.width, mask.height);
    brush.save();
    outline(brush, frame());
    brush.clip();
    brush.drawImage(paper, 0, 0);
    brush.restore();
  });
  if (runs().length < 2) say("This mask has nothing dark inside the square: black is filled in, white is kept.", true);
}
