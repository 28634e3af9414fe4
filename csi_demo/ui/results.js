// Choosing a sample: the large picture changes at once, the server is told which one it is.
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-sample]");
  if (!chosen) return;
  for (const tile of element.querySelectorAll("[data-sample]")) tile.setAttribute("aria-pressed", tile === chosen);
  element.querySelector(".csi-after").src = chosen.dataset.view || chosen.querySelector("img").src;
  element.querySelector(".csi-seed").textContent = chosen.dataset.title;
  for (const part of element.querySelectorAll("[data-of]")) part.hidden = part.dataset.of !== chosen.dataset.sample;
  trigger("select", { index: Number(chosen.dataset.sample) });
});
