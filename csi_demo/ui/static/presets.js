// Several sliders at once: a click on a picture of this face.
element.addEventListener("click", (event) => {
  const { preset } = event.target.closest("[data-preset]")?.dataset ?? {};
  if (preset) trigger("select", { preset });
});
