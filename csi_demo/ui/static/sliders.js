// A slider's own reset button puts it where this picture has it, not where the page first drew it.
element.closest("#steer").addEventListener("click", (event) => {
  const slider = event.target.closest("button.reset-button")?.closest("[id^=slider-], [id^=option-]");
  const starts = JSON.parse(element.querySelector("[data-starts]")?.dataset.starts ?? "{}");
  if (!slider || !(slider.id in starts)) return;
  event.stopPropagation();
  const number = slider.querySelector("input[type=number]");
  number.value = starts[slider.id];
  number.dispatchEvent(new Event("input", { bubbles: true }));
}, true);
