// Choosing a sample: the large picture changes at once, the server is told which one it is.
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-sample]");
  if (!chosen) return;
  for (const tile of element.querySelectorAll("[data-sample]")) tile.setAttribute("aria-pressed", tile === chosen);
  element.querySelector(".csi-after").src = chosen.querySelector("img").src;
  element.querySelector(".csi-seed").textContent = `Seed ${chosen.dataset.seed}`;
  trigger("select", { index: Number(chosen.dataset.sample) });
});
