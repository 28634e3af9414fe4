// The result over the photo: the fill as it is drawn, before and after, what it is compared with. results.js says
// "csi-shown" when there is a new one, history.js "csi-pin" when one is to be compared with.
const KEPT_PATCHES = 24;
const RIM = 2; // of the view around a hole, in its pixels
const patches = new Map(); // of results of this visit, by key: see `patchOf`
let result = null; // {key, photo, edit, kind, box, picture, crisp, complete}
let pinned = null; // the key of the result that stands in the place of the photo as it was

// Whether the last result is one of the hole that is painted now.
function current() {
  if (!result || !scene || result.photo !== scene.photo || result.edit !== edit) return null;
  result.patch ??= patchOf(result);
  return result;
}

// A result in its part of the view, pixel for pixel, and where that lies: kept for as long as it may be compared with.
// A little of the view around the hole belongs to it, so that nothing shines through the edge when it is enlarged.
function patchOf({ kind, box, picture, crisp }) {
  const [left, top, across, down] = kind === "view" ? box : around(frame(), 0).map(Math.round);
  const x = Math.max(0, left - RIM), y = Math.max(0, top - RIM);
  const width = Math.min(mask.width, left + across + RIM) - x, height = Math.min(mask.height, top + down + RIM) - y;
  const paper = () => {
    const made = document.createElement("canvas");
    [made.width, made.height] = [width, height];
    return made.getContext("2d");
  };
  const fill = paper(), patch = paper();
  fill.imageSmoothingEnabled = !crisp;
  fill.imageSmoothingQuality = "high";
  if (kind === "view") fill.drawImage(picture, left - x, top - y, across, down);
  else {
    const [[ax, ay], [bx, by], , [dx, dy]] = frame(), columns = picture.naturalWidth, rows = picture.naturalHeight;
    fill.setTransform((bx - ax) / columns, (by - ay) / columns, (dx - ax) / rows, (dy - ay) / rows, ax - x, ay - y);
    fill.drawImage(picture, 0, 0);
    fill.setTransform(1, 0, 0, 1, 0, 0);
  }
  if (kind !== "frame") {
    fill.globalCompositeOperation = "destination-in";
    fill.drawImage(mask, -x, -y);
  }
  patch.drawImage(view, -x, -y);
  patch.drawImage(fill.canvas, 0, 0);
  return { photo: scene.photo, patch: patch.canvas, x, y };
}

function drawResult(shown, line, at) {
  const before = patches.get(pinned);
  side(at, true);
  pen.drawImage(shown.patch.patch, shown.patch.x, shown.patch.y);
  pen.restore();
  if (before?.photo === scene.photo) {
    side(at, false);
    pen.drawImage(before.patch, before.x, before.y);
    pen.restore();
  }
  if (shown.complete) drawBorder(at, line);
}

// The handle and the line that says what is to be seen.
function showState() {
  const shown = current();
  cut.hidden = !shown?.complete;
  const share = Number(cut.value), left = pinned ? "the pinned result" : "before";
  cut.setAttribute("aria-valuetext", `${share} % ${left}, ${100 - share} % after`);
  tag.textContent = original ? "Original" : share > 0 && shown?.complete ? `${pinned ? "Pinned" : "Before"}  |  After` : "";
  tag.hidden = !tag.textContent;
  stage.classList.toggle("csi-filled", Boolean(shown));
  refresh();
  redraw();
}

page.addEventListener("csi-shown", async ({ detail }) => {
  try { await detail.picture.decode(); } catch { return; }
  if (result && detail.turn < result.turn) return; // a later one was decoded sooner
  const first = !current();
  result = detail;
  const shown = current();
  if (shown?.complete) {
    patches.delete(shown.key);
    patches.set(shown.key, shown.patch);
    if (patches.size > KEPT_PATCHES) patches.delete(patches.keys().next().value);
  }
  if (shown && first && !moved && frameSide() < 0.7 * Math.min(mask.width, mask.height)) zoomOn(true);
  showState();
});
page.addEventListener("csi-pin", ({ detail }) => {
  pinned = detail.key;
  if (pinned && Number(cut.value) <= 0) cut.value = 50;
  showState();
});
