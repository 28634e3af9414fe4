// What the server says of a fill goes to state.js, which decides whether it is still so.
const page = element.closest(".gradio-container") ?? document.body;
watch("value", () => {
  const said = new DOMParser().parseFromString(props.value ?? "", "text/html").body;
  const line = said.querySelector(".csi-status"), wrong = said.querySelector(".csi-trouble"), { of, progress } = (line ?? wrong)?.dataset ?? {};
  if (!line && !wrong) return;
  page.dispatchEvent(new CustomEvent("csi-said", { detail: {
    of, text: line?.textContent ?? "", trouble: wrong?.textContent ?? "",
    progress: progress === undefined ? null : Number(progress),
  } }));
});
