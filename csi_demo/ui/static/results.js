// The samples of a result, or the methods of a comparison: choosing one, and telling the painter what to show.
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-beside]")) page.dispatchEvent(new CustomEvent("csi-beside"));
  const chosen = event.target.closest("[data-sample]");
  if (!chosen) return;
  for (const tile of element.querySelectorAll("[data-sample]")) tile.setAttribute("aria-pressed", tile === chosen);
  trigger("select", { index: Number(chosen.dataset.sample) });
});
// Whether the figures are unfolded outlasts the pictures.
let unfolded = false;
element.addEventListener("click", (event) => {
  const figures = event.target.closest(".csi-figures summary")?.parentElement;
  if (figures) unfolded = !figures.open; // which happens after this
});
const page = element.closest(".gradio-container") ?? document.body;
let turn = 0;
let last = "";
// What every new drawing needs.
new MutationObserver(() => {
  const figures = element.querySelector(".csi-figures");
  if (figures && figures.open !== unfolded) figures.open = unfolded;
  const source = element.querySelector(":is(.csi-after, .csi-now)");
  const said = source && source.outerHTML;
  if (!source || said === last) return;
  last = said;
  const { key, photo, edit, kind, box, shows } = source.dataset;
  const picture = new Image(); // the page may change the other while this is being decoded
  picture.src = source.src;
  const detail = {
    picture, key, photo, kind, shows, turn: ++turn, edit: Number(edit), box: box.split(",").map(Number),
    complete: source.classList.contains("csi-after"),
    crisp: source.closest(".csi-crisp") !== null,
    thumb: source.dataset.thumb || element.querySelector("[aria-pressed=true] img")?.src,
    compared: element.querySelector(".csi-compared") !== null,
    title: element.querySelector(".csi-compared [aria-pressed=true] b")?.textContent ?? "",
  };
  page.dispatchEvent(new CustomEvent("csi-shown", { detail }));
}).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["src", "data-key"] });
