// Choosing a sample: the server shows it large.
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-sample]");
  if (!chosen) return;
  for (const tile of element.querySelectorAll("[data-sample]")) tile.setAttribute("aria-pressed", tile === chosen);
  trigger("select", { index: Number(chosen.dataset.sample) });
});
// Where the wipe stands, and whether samples are sorted, outlasts the pictures.
let cut = "0";
let sorted = false;
element.addEventListener("input", (event) => {
  if (event.target.closest(".csi-wipe")) cut = event.target.value;
  if (event.target.closest(".csi-sort")) sorted = event.target.checked;
});
new MutationObserver(() => {
  const wipe = element.querySelector(".csi-wipe");
  const sort = element.querySelector(".csi-sort input");
  if (sort && sort.checked !== sorted) sort.checked = sorted;
  if (!wipe || wipe.querySelector("input").value === cut) return;
  wipe.querySelector("input").value = cut;
  wipe.style.setProperty("--cut", `${cut}%`);
}).observe(element, { childList: true, subtree: true });
