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
// Link and embed code of what is shown.
const writeLinks = (share) => {
  const page = `${location.origin}${location.pathname}`;
  const link = `${page}?${share.dataset.query}`;
  const codes = {
    link,
    frame: `<iframe src="${link}&embed=1" title="Fill a face" width="700" height="1250" `
      + 'style="border: 0; width: 100%; max-width: 700px"></iframe>',
    component: `<script type="module" src="${page}component.js"></script>\n<gradio-app src="${page}"></gradio-app>`,
  };
  for (const field of share.querySelectorAll("[data-share]")) field.value = codes[field.dataset.share];
};
element.addEventListener("click", async (event) => {
  const button = event.target.closest(".csi-share button");
  if (!button) return;
  const field = button.previousElementSibling;
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
  button.textContent = "Copied";
});
// What every new drawing needs.
new MutationObserver(() => {
  const share = element.querySelector(".csi-share");
  if (share) writeLinks(share);
  const wipe = element.querySelector(".csi-wipe");
  const sort = element.querySelector(".csi-sort input");
  if (sort && sort.checked !== sorted) sort.checked = sorted;
  if (!wipe || wipe.querySelector("input").value === cut) return;
  wipe.querySelector("input").value = cut;
  wipe.style.setProperty("--cut", `${cut}%`);
}).observe(element, { childList: true, subtree: true });
