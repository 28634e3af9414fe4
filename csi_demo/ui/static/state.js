// What the page says and which buttons work: decided here alone, from what is there now, so that nothing outlives its
// photo or its hole. The server's lines come as "csi-said" (status.js), those of the sliders as "csi-drawn" (sliders.js).
const GONE = "$GONE";
const MOVED = "$MOVED";
const LOST = "The server does not answer. What is shown stays, and this page goes on asking.";
const COMPILING = "Once after installing, code for this processor is compiled: half a minute, longer on a busy machine. "
  + "Until then a fill takes longer.";
const HANDS = "Arrow keys move the cursor, space paints, Enter fills. A question mark lists all shortcuts.";
const SILENCE = 6000; // milliseconds without a word until the server is asked whether it is there
let said = null; // the server's last line: {of, text, trouble, progress}; progress: null where nothing runs
let running = null; // the last of those by which something ran, until it has ended
let note = null; // the painter's own last line: {of, text, trouble}
let drawn = page.csiDrawn ?? null; // what the sliders are of, and what keeps the method from filling: {of, trouble}
let reading = 0; // the number of the upload under way
let then = null; // the button that was pressed meanwhile
let gone = null; // the key of a photo that the server has no more
let lost = false;
let compiling = false;
let heard = 0; // when the server last said something, or was asked to
let focused = null; // the button that had the focus when it ceased to work

const mark = () => (scene ? `${scene.photo} ${edit}` : "");

// now: {blocked, lost, compiling, ready, photo, reading, then, gone, hole, said, running, filled, compared, stale, note,
// hint, sliders}. hole: "none", "outside" or "some"; said, note: of what is painted now; filled: its fill is shown; stale:
// "hole" or "photo" where one of another is; hint: the photo's own; sliders: whether they are this photo's.
function decide(now) {
  const line = (text, trouble = "", progress = null) => ({ text, trouble, progress });
  const { said, reading, hole } = now, runs = !reading && said?.progress != null;
  const works = now.ready && !now.blocked && !now.lost && !runs && !now.then;
  const fill = Boolean(works && (reading || (now.photo && !now.gone && hole === "some")));
  const done = Boolean(now.filled && !runs && !reading);
  const status = () => {
    if (now.blocked) return line("", now.blocked);
    if (now.lost) return line("", LOST);
    if (reading) return line(now.then ? "Reading the photo. Then it is filled." : "Reading the photo…");
    if (!now.photo || !now.ready) return line("Loading the model…");
    if (runs) return said;
    if (now.gone) return line("", GONE);
    if (said?.trouble) return said;
    if (hole === "none") return line("There is no hole yet: paint over the part to fill in.");
    if (hole === "outside") return line("The hole lies outside the square: paint inside it.");
    if (said?.text) return said;
    if (now.filled) return line("Filled.");
    return line(now.stale === "hole" ? "The hole has changed: fill it, or undo." : "Ready to fill the hole.");
  };
  const say = () => {
    if (reading) return line("Reading the photo…");
    if (now.note) return now.note;
    if (!now.photo) return line("Loading…");
    if (now.compiling) return line(COMPILING);
    return line(done || runs ? "" : now.hint || (hole === "some" ? "" : HELP));
  };
  return {
    status: status(), say: say(),
    buttons: { fill, compare: fill, again: fill && done && !now.compared, stop: Boolean(now.running),
      save: done, bundle: done, strip: done, gif: done, use: done },
    sliders: Boolean(now.sliders && !now.blocked && !reading && hole === "some"),
    wait: reading || hole === "some" ? "They come in a moment." : "They come with a hole.",
    stale: now.filled ? "" : now.stale,
    first: hole === "some" ? "Paint a hole, or keep this one" : "Paint a hole",
  };
}

// Whether there is a hole, and whether any of it lies in the square.
function holeOf(lengths) {
  if (lengths.length < 2) return "none";
  let at = 0;
  for (const [index, length] of lengths.entries()) {
    for (let pixel = at; index % 2 && pixel < at + length; pixel++)
      if (inside(frame(), (pixel % mask.width) + 0.5, Math.floor(pixel / mask.width) + 0.5)) return "some";
    at += length;
  }
  return "outside";
}

function refresh() {
  const at = mark(), shown = current(), of = (one) => (one?.of === at ? one : null);
  const elsewhere = scene && running?.of && running.of.split(" ")[0] !== scene.photo;
  if (elsewhere) { // of a photo that is no longer here
    running = null;
    const stop = page.querySelector("#stop");
    stop.disabled = false;
    stop.click();
  }
  const found = decide({
    blocked: drawn?.trouble, lost, compiling, ready: Boolean(drawn), photo: scene, reading, then, hole: holeNow, running,
    gone: scene && scene.photo === gone, said: of(said), note: of(note), hint: scene?.note,
    filled: Boolean(shown?.complete), compared: shown?.compared,
    stale: result && !shown ? (result.photo === scene?.photo ? "hole" : "photo") : "",
    sliders: scene && drawn?.of?.split(" ")[0] === scene.photo,
  });
  const { text, trouble, progress } = found.status, status = page.querySelector("#status .csi-status");
  if (status) {
    write(status.firstElementChild, [text, trouble].filter(Boolean).join(" "));
    status.classList.toggle("csi-trouble", Boolean(trouble));
    write(status.lastElementChild, progress === null ? "" : `${progress} %`);
    const bar = status.nextElementSibling;
    bar.style.visibility = progress === null ? "hidden" : "";
    bar.firstElementChild.style.width = `${progress ?? 0}%`;
  }
  const line = find(".csi-say");
  write(line, found.say.text || found.say.trouble);
  line.classList.toggle("csi-trouble", Boolean(found.say.trouble));
  write(find("[data-step='1']"), found.first);
  for (const [name, on] of Object.entries(found.buttons)) able(page.querySelector(`#${name}`), on);
  describe(shown);
  const steer = page.querySelector("#steer");
  steer?.toggleAttribute("inert", !found.sliders);
  steer?.style.setProperty("--wait", JSON.stringify(found.wait));
  page.classList.toggle("csi-stale", found.stale === "hole");
  page.classList.toggle("csi-other", found.stale === "photo");
}

// What is to be seen on the canvas, for those who do not see it.
function describe(shown) {
  const preset = scene?.presets.find((_, index) => find(".csi-presets").children[index]?.ariaPressed === "true");
  const name = preset?.label.toLowerCase() ?? "a painted part", share = Number(cut.value);
  const hole = holeNow === "some" ? `the hole: ${name}` : "no hole yet";
  const done = shown?.complete ? `${name} filled, ${shown.shows}${share ? `, before and after at ${share} %` : ""}` : hole;
  const text = `Your photo, ${original ? "the original" : done}. ${HANDS}`;
  if (scene && canvas.ariaLabel !== text) canvas.ariaLabel = text;
}

const write = (element, text) => element.textContent === text || (element.textContent = text);

// Lets a button work or not; the one that has the focus gets it back.
function able(button, on) {
  if (!button || button.disabled !== on) return;
  if (!on && button === document.activeElement) focused = button;
  button.disabled = !on;
  if (on && button === focused) {
    focused = null;
    if (document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

// What the server says, or what is said until it does.
function hear(line) {
  heard = performance.now();
  line.of ||= running?.of || mark();
  if (line.trouble === GONE) gone = line.of.split(" ")[0];
  if (line.progress !== null) running = line;
  else if (!running || running.of === line.of) running = null;
  if (line.of === mark() || said?.of !== mark()) said = line;
  refresh();
}

const PRESSED = { fill: "Getting ready…", again: "Getting ready…", compare: "Getting ready…", surprise: "Drawing a surprise…" };
page.addEventListener("click", (event) => {
  const button = event.target.closest("button"), text = PRESSED[button?.id];
  if (!button || !element.isConnected) return;
  if (button.id === "stop" && running) hear({ ...running, text: "Stopping…" });
  if (!text) return;
  if (reading) {
    event.stopPropagation();
    then = button;
    return refresh();
  }
  hear({ of: mark(), text, trouble: "", progress: 0 });
}, true);
page.addEventListener("csi-said", ({ detail }) => hear(detail));
page.addEventListener("csi-drawn", ({ detail }) => {
  if (!drawn) ask(); // whether the method, which is loaded now, has code to compile
  drawn = detail;
  refresh();
});

// A server that is silent while something runs is asked whether it is there, and whether it still is the same one.
async function ask() {
  const root = element.closest("gradio-app")?.getAttribute("src") ?? location.href.split("?")[0], before = lost;
  try {
    const answer = await (await fetch(new URL("healthz", root), { cache: "no-store" })).json(), now = answer.started;
    const changed = compiling !== answer.compiling;
    compiling = answer.compiling;
    if (changed && !compiling) follow();
    if (changed) refresh();
    lost = false;
    if (now !== page.querySelector("#status .csi-status").dataset.started) hear({ of: mark(), text: "", trouble: GONE, progress: null });
    else if (before) hear({ of: mark(), text: "", trouble: "The server was away for a moment: fill again.", progress: null });
  } catch {
    lost = true;
    running = null;
    if (said) said.progress = null;
  }
  if (lost || before) refresh();
}
// From now on the picture follows the sliders: those that were moved before are answered, and the note over them drawn.
function follow() {
  if (!scene) return;
  if (said?.of === mark() && said.text === MOVED) trigger("apply", { sliders: positions() });
  publish();
}
setInterval(() => {
  if (element.isConnected && (lost || compiling || (running && performance.now() - heard > SILENCE))) ask();
}, 2000);
