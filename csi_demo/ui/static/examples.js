// Choosing an example: the server opens it.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-example]");
  if (!button) return;
  trigger("select", { index: Number(button.dataset.example) });
  const page = element.closest(".gradio-container") ?? document.body; // where the picture comes, below or above
  [...page.querySelectorAll(".csi-stage")].find((stage) => stage.offsetParent)?.scrollIntoView({ block: "nearest" });
});
