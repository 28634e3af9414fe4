// The painter's exchange with the server, its history, buttons and keys; painter.py documents props.value. Run by
// gr.HTML with element, trigger, props, upload and watch, after stage.js, shown.js and tools.js.
const MAX_BYTES = $MAX_BYTES;
const MAX_UNDO = 40;
const HELP = "Paint the part to fill in, or choose a ready-made hole. Only the square is filled.";
let undo = [];
let redo = [];
let edit = null; // the number of what is painted: undo brings an earlier one back, nothing else does
let edits = 0;
let loads = 0;
let turns = 0; // of uploads
let holeNow = "none"; // see holeOf
let link = element.closest("gradio-app")?.dataset.link; // as a component, in a page whose own address is no link

function say(text, trouble = false) {
  note = { of: mark(), text: trouble ? "" : text, trouble: trouble ? text : "" };
  refresh();
}

function runs() {
  const data = new Uint32Array(brush.getImageData(0, 0, mask.width, mask.height).data.buffer);
  const found = [];
  let hole = false, start = 0;
  for (let pixel = 0; pixel < data.length; pixel++) {
    if (data[pixel] >>> 24 > 127 !== hole) {
      found.push(pixel - start);
      start = pixel;
      hole = !hole;
    }
  }
  found.push(data.length - start);
  return found;
}

function setRuns(lengths, keep = false) {
  const picture = keep ? brush.getImageData(0, 0, mask.width, mask.height) : brush.createImageData(mask.width, mask.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const colour = keep === "less" ? 0 : new Uint32Array(new Uint8Array([...PAINT, 255]).buffer)[0];
  let at = 0;
  lengths.forEach((length, index) => {
    if (index % 2) pixels.fill(colour, at, at + length);
    at += length;
  });
  brush.putImageData(picture, 0, 0);
}

const state = () => ({ scene, view, edit, hints, runs: runs(), sliders: positions(), filled: Boolean(current()?.complete) });

function showHistory() {
  find("[data-act=undo]").disabled = !undo.length;
  find("[data-act=redo]").disabled = !redo.length;
}

function publish(tell = true) {
  if (!scene) return;
  const lengths = runs(), holes = lengths.join();
  holeNow = holeOf(lengths);
  const size = [mask.width, mask.height], held = [...(page.csiHeld ?? [])];
  props.value = JSON.stringify({ photo: scene.photo, size, runs: lengths, edit, hints, held });
  showHistory();
  for (const [index, button] of [...find(".csi-presets").children].entries())
    button.setAttribute("aria-pressed", scene.presets[index].runs.join() === holes);
  showState();
  if (tell) trigger("input");
}

// Makes an undo step of what has changed since; false where nothing has.
function commit(before) {
  if (runs().join() === before.runs.join()) return false;
  record(before);
  edit = ++edits;
  did(1);
  publish();
  return true;
}

function change(paint) {
  if (!scene || stroke) return;
  const before = state();
  paint();
  commit(before);
}

function restore(from, to) {
  if (!scene || stroke || !from.length) return;
  to.push(state());
  const back = from.pop(), here = back.view === view && back.edit === edit;
  if (back.view !== view) {
    [scene, view] = [back.scene, back.view];
    [mask.width, mask.height] = scene.size;
    showPresets();
    setRuns(back.runs);
    zoomOn(zoomed);
  } else setRuns(back.runs);
  edit = back.edit;
  const hinted = back.hints !== hints;
  hints = back.hints;
  if (here && hinted) obey();
  if (here) showHistory();
  else publish();
  putBack(back, here);
}

async function take(file) {
  if (!file) return;
  if (file.size > MAX_BYTES) return say(`This file is larger than ${MAX_BYTES / 2 ** 20} MB. Choose a smaller photo.`, true);
  const turn = (reading = ++turns);
  note = null;
  refresh();
  try {
    const name = `photo-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
    const { path } = await upload(new File([file], name));
    if (turn !== reading) return trigger("delete", { upload: path }); // another one was chosen since
    trigger("upload", { upload: path, name: file.name.slice(0, 100), turn });
  } catch {
    if (turn !== reading) return;
    read();
    say("The photo could not be sent. Check the connection and choose it again.", true);
  }
}

// What stood there until the page worked; a link to the other tab keeps it until that one does.
const opened = () => element.closest("gradio-app")?.querySelector(".csi-opening:not([data-edit])")?.remove();

// Ends the reading of a photo; a button that was pressed meanwhile is pressed now, if there is a photo for it.
function read(there = false) {
  const button = then;
  reading = 0;
  then = null;
  refresh();
  if (there && !button?.disabled) button?.click();
}

async function show(sent) {
  if (sent.turn && sent.turn !== reading) return publish(false); // another photo was chosen since
  const load = ++loads;
  if (sent.trouble) {
    if (sent.turn) read();
    say(sent.trouble, true);
    opened();
    return publish(false);
  }
  const preset = sent.view || !scene ? -1 : scene.presets.findIndex(({ runs: lengths }) => lengths.join() === runs().join());
  const before = sent.undoable && scene ? state() : null;
  if (sent.view) {
    const picture = new Image();
    picture.src = sent.view;
    await picture.decode();
    if (load !== loads) return;
    view = picture;
    [mask.width, mask.height] = sent.size;
    undo = before ? [...undo, before] : [];
    redo = [];
    moved = false;
    cursor = null;
    hints = [];
  } else for (const earlier of [...undo, ...redo]) earlier.edit = ++edits; // the square was elsewhere
  scene = sent;
  stroke = null;
  edit = sent.edit ?? (sent.view ? 0 : ++edits); // 0: as the server sent it, and as it has it until publish
  if (sent.runs || preset >= 0) setRuns(sent.runs ?? scene.presets[preset].runs); // a ready-made hole goes with the square
  showPresets();
  element.querySelector(".csi-painter").classList.add("csi-ready");
  fit();
  const small = frameSide() < 0.7 * Math.min(mask.width, mask.height);
  if (sent.view) zoomOn(small && (sent.frames.length === 1 || Boolean(before)) && !sent.note);
  else if (zoomed) zoomOn(true);
  publish();
  opened();
  if (sent.turn) read(true);
  for (const icon of page.querySelectorAll("footer img")) icon.alt = ""; // the text beside it says the same
  if (!link) return;
  trigger("submit", { link });
  link = "";
}

function showPresets() {
  find(".csi-presets").replaceChildren(
    ...scene.presets.map(({ label, runs: lengths }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.title = `The hole: ${label.toLowerCase()}. Shift adds it to the hole, Alt takes it away`;
      button.onclick = (event) =>
        change(() => setRuns(lengths, event.altKey ? "less" : event.shiftKey ? "more" : false));
      return button;
    }),
  );
}

const actions = {
  ...views,
  open: () => find("[data-pick=open]").click(),
  camera: () => find("[data-pick=camera]").click(),
  mask: () => scene && find("[data-pick=mask]").click(),
  undo: () => restore(undo, redo),
  redo: () => restore(redo, undo),
  clear: () =>
    change(() => {
      brush.clearRect(0, 0, mask.width, mask.height);
      hints = [];
    }),
  invert: () =>
    change(() => {
      brush.save();
      brush.globalCompositeOperation = "xor";
      outline(brush, frame());
      brush.fillStyle = `rgb(${PAINT})`;
      brush.fill();
      brush.restore();
    }),
  help: () => find("dialog").showModal(),
  close: () => find("dialog").close(),
  learned: () => learned(),
  fill: () => page.querySelector("#fill:not(:disabled)")?.click(),
};
