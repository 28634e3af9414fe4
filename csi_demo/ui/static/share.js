// Link and embed code of what is shown; unfolded or not outlasts them.
const HEIGHT = "addEventListener('message', (event) => document.querySelectorAll('iframe').forEach((frame) => {\n"
  + "  if (event.source === frame.contentWindow && event.data?.csiHeight) frame.height = event.data.csiHeight;\n}))";
let open = false;
const write = (share) => {
  const page = `${location.origin}${location.pathname}`, link = `${page}?${share.dataset.query}`;
  const frame = (query, height) =>
    `<iframe src="${link}&${query}" title="Fill a face" width="700" height="${height}" `
    + `style="border: 0; width: 100%; max-width: 700px"></iframe>\n<script>\n${HEIGHT}\n</script>`;
  const codes = {
    link,
    frame: frame("embed=1", 1100),
    slider: frame("embed=slider", 620),
    component: `<script type="module" src="${page}component.js"></script>\n`
      + `<gradio-app src="${page}" data-link="${share.dataset.query}"></gradio-app>`,
  };
  for (const field of share.querySelectorAll("[data-share]"))
    if (codes[field.dataset.share]) field.value = codes[field.dataset.share];
};
element.addEventListener("click", (event) => {
  const share = event.target.closest(".csi-share summary")?.parentElement;
  if (share) open = !share.open; // which happens after this
});
element.addEventListener("click", async (event) => {
  const button = event.target.closest(".csi-share button");
  if (!button) return;
  const field = button.previousElementSibling;
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
  button.textContent = "Copied";
});
const renew = () => {
  const share = element.querySelector(".csi-share");
  if (!share) return;
  if (share.open !== open) share.open = open;
  write(share);
};
renew(); // a tab that is opened later has it from the beginning
new MutationObserver(renew).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-query"] });
