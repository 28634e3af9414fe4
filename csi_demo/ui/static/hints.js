// Colour hints: strokes of paint in the hole that the fill obeys. Where there is a fill, it follows each stroke.
const MOST_POINTS = $MOST_HINTS;
let hints = []; // {points: [[x, y] ...], size, colour}, in pixels of the view, the latest above
const tint = find(".csi-tint");
const points = () => hints.reduce((sum, { points }) => sum + points.length, 0);

// Whether a point of the view lies in the hole.
const inHole = (x, y) => brush.getImageData(Math.floor(x), Math.floor(y), 1, 1).data[3] > 127;

function beginHint(pointer, x, y) {
  if (holeNow !== "some" || !inHole(x, y))
    return say(holeNow === "some" ? "Colour is painted into the hole." : "Paint the hole first, then colour into it.");
  stroke = { pointer, kind: "hint", before: state(), points: [[x, y]], size: brushWidth() / 2, colour: tint.value };
  redraw();
}

function extendHint(x, y) {
  const [lastX, lastY] = stroke.points.at(-1);
  if (Math.hypot(x - lastX, y - lastY) < stroke.size / 3 || points() + stroke.points.length >= MOST_POINTS) return;
  stroke.points.push([x, y]);
  redraw();
}

function finishHint({ before, points, size, colour }, cancelled) {
  if (cancelled) return showState();
  hints = [...hints, { points, size, colour }];
  record(before);
  obey();
  showState();
}

// Sends the hints; the sliders stay where they are, and the fill follows as after one of them.
function obey() {
  publish(false);
  trigger("apply", { sliders: positions() });
}

function drawHints() {
  const drawn = stroke?.kind === "hint" ? [...hints, stroke] : current() && !original ? [] : hints;
  if (original) return;
  for (const { points, size, colour } of drawn) {
    pen.strokeStyle = colour;
    pen.lineWidth = size;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    if (points.length < 2) pen.lineTo(points[0][0] + 1e-3, points[0][1]);
    pen.stroke();
  }
}

tint.addEventListener("input", () => useTool("hint"));
