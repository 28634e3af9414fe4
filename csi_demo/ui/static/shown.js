// The result over the photo: the fill as it is drawn, before and after, what it is compared with. results.js says
// "csi-shown" when there is a new one, history.js "csi-pin" when one is to be compared with.
const KEPT_PATCHES = 24;
const THUMB = 18; // half the width of the handle between before and after, in pixels of the window
const cut = find(".csi-cut");
const tag = find(".csi-tag");
const patches = new Map(); // of results of this visit, by key: see `patchOf`
let result = null; // {key, photo, edit, kind, box, picture, crisp, complete}
let pinned = null; // the key of the result that stands in the place of the photo as it was
let original = false; // while it is held

// Whether the last result is one of the hole that is painted now.
function current() {
  if (!result || !scene || result.photo !== scene.photo || result.edit !== edit) return null;
  result.patch ??= patchOf(result);
  return result;
}

// A result's fill, cut out by its hole, and where it lies in the view: kept for as long as it may be compared with.
function patchOf({ kind, box, picture }) {
  const patch = document.createElement("canvas");
  const [x, y, width, height] = kind === "view" ? box : around(frame(), 0).map(Math.round);
  patch.width = Math.max(1, width);
  patch.height = Math.max(1, height);
  const cutter = patch.getContext("2d");
  cutter.imageSmoothingEnabled = !result.crisp;
  cutter.imageSmoothingQuality = "high";
  if (kind === "view") cutter.drawImage(picture, 0, 0, width, height);
  else {
    const [[ax, ay], [bx, by], , [dx, dy]] = frame(), across = picture.naturalWidth, down = picture.naturalHeight;
    cutter.setTransform((bx - ax) / across, (by - ay) / across, (dx - ax) / down, (dy - ay) / down, ax - x, ay - y);
    cutter.drawImage(picture, 0, 0);
    cutter.setTransform(1, 0, 0, 1, 0, 0);
  }
  if (kind !== "frame") {
    cutter.globalCompositeOperation = "destination-in";
    cutter.drawImage(mask, -x, -y);
  }
  return { photo: scene.photo, patch, x, y };
}

// Where before ends and after begins, in pixels of the window from the canvas's left edge.
function border() {
  const share = Number(cut.value) / 100, width = canvas.clientWidth;
  return share <= 0 ? 0 : share >= 1 ? width : THUMB + share * (width - 2 * THUMB);
}

function drawResult(shown, line) {
  const at = region[0] + (border() / canvas.clientWidth) * region[2];
  const before = patches.get(pinned);
  pen.save();
  pen.beginPath();
  pen.rect(at, region[1], region[0] + region[2] - at, region[3]);
  pen.clip();
  pen.drawImage(shown.patch.patch, shown.patch.x, shown.patch.y);
  pen.restore();
  if (before?.photo === scene.photo) {
    pen.save();
    pen.beginPath();
    pen.rect(region[0], region[1], at - region[0], region[3]);
    pen.clip();
    pen.drawImage(before.patch, before.x, before.y);
    pen.restore();
  }
  if (Number(cut.value) <= 0 || !shown.complete) return;
  for (const [colour, width] of [["rgba(9, 9, 11, .5)", 4], ["#fff", 2]]) {
    pen.fillStyle = colour;
    pen.fillRect(at - (width / 2) * line, region[1], width * line, region[3]);
  }
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
  page.classList.toggle("csi-stale", result !== null && !shown);
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
cut.addEventListener("input", showState);

function holdOriginal(held) {
  original = held;
  showState();
}
