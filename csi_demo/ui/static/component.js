$STORAGE
// Until a component works it shows what its link asks for, as plain HTML.
for (const app of document.querySelectorAll("gradio-app"))
  fetch(new URL(`opening?${app.dataset.link ?? ""}`, import.meta.url)).then(async (answer) => {
    if (answer.ok && !app.querySelector(".csi-ready")) app.insertAdjacentHTML("afterbegin", await answer.text());
  }, () => {});
