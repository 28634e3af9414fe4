// The results of this visit: a click goes back to one, a pin keeps one to compare the others with.
const MOST = $KEPT_RESULTS;
const page = element.closest(".gradio-container") ?? document.body;
const results = []; // {key, thumb, title}, the latest first
let shown = "";
let pinned = "";

const strip = document.createElement("div");
strip.className = "csi-visit";
strip.hidden = true;
strip.setAttribute("role", "group");
strip.setAttribute("aria-label", "Results of this visit");
const heading = document.createElement("h2");
heading.textContent = "This visit";
const hint = document.createElement("p");
hint.textContent = "Choose one to go back to it. Pin one, and the handle in the picture compares the others with it.";
const list = document.createElement("div");
list.className = "csi-results";
const beside = document.createElement("button");
beside.type = "button";
beside.textContent = "Side by side";
beside.title = "The fills of this visit in large";
beside.onclick = () => page.dispatchEvent(new CustomEvent("csi-beside"));
strip.append(heading, hint, list, beside);
element.append(strip);

function draw() {
  strip.hidden = results.length < 2;
  list.replaceChildren(
    ...results.map(({ key, thumb, title }, index) => {
      const tile = document.createElement("div"), back = document.createElement("button"), pin = document.createElement("button");
      const picture = new Image(64, 64), name = `result ${results.length - index}${title ? `, ${title}` : ""}`;
      picture.src = thumb;
      picture.alt = "";
      back.type = pin.type = "button";
      back.dataset.result = pin.dataset.pin = key;
      back.setAttribute("aria-label", `Go back to ${name}`);
      back.setAttribute("aria-pressed", key === shown);
      back.append(picture);
      pin.setAttribute("aria-label", `Pin ${name}`);
      pin.setAttribute("aria-pressed", key === pinned);
      pin.textContent = key === pinned ? "Pinned" : "Pin";
      tile.append(back, pin);
      return tile;
    }),
  );
}

page.addEventListener("csi-shown", ({ detail: { key, thumb, title, complete } }) => {
  if (!complete || !key || !thumb) return;
  const known = results.find((result) => result.key === key);
  if (known) Object.assign(known, { thumb, title });
  else results.unshift({ key, thumb, title });
  results.splice(MOST);
  shown = key;
  draw();
});
page.addEventListener("csi-beside", () => {
  const large = page.querySelector("#beside"), coming = new MutationObserver(() => {
    if (!large.querySelector("figure, .csi-trouble")) return;
    coming.disconnect();
    large.scrollIntoView();
  });
  coming.observe(large, { childList: true, subtree: true });
  trigger("apply", { results: results.map(({ key }) => key) });
});
element.addEventListener("click", (event) => {
  const { result, pin } = event.target.closest("button")?.dataset ?? {};
  if (result) trigger("select", { result });
  if (!pin) return;
  pinned = pin === pinned ? "" : pin;
  page.dispatchEvent(new CustomEvent("csi-pin", { detail: { key: pinned || null } }));
  draw();
  list.querySelector(`[data-pin="${pin}"]`).focus();
});
