// How the photo, its hole and the square are drawn.
const PAINT = [79, 70, 229];
const mask = document.createElement("canvas"); // opaque where the hole is, in pixels of the view
const brush = mask.getContext("2d", { willReadFrequently: true });

function draw() {
  const [line, at] = aim(), hinting = stroke?.kind === "hint";
  const shown = original || (stroke && !hinting) || tool === "square" ? null : current();
  pen.imageSmoothingEnabled = !shown?.crisp;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(view, 0, 0);
  if (shown) drawResult(shown, line, at);
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
  drawHints();
  if (cursor && showCursor && ["paint", "erase", "hint"].includes(tool))
    for (const [colour, width] of [["rgba(9, 9, 11, .8)", 3], ["#fff", 1.5]]) {
      pen.beginPath();
      pen.arc(cursor.x, cursor.y, brushWidth() / (tool === "hint" ? 4 : 2), 0, 7);
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
