// Several photos, chosen or dropped together: sent one after another. painter.js says "csi-several" with the files.
const MOST = $MOST;
const page = element.closest(".gradio-container") ?? document.body;
const line = document.createElement("p");
line.setAttribute("role", "status");
element.append(line);
page.addEventListener("csi-several", async ({ detail: files }) => {
  if (files.length > MOST) return (line.textContent = `At most ${MOST} photos at once: choose fewer.`);
  const several = [];
  try {
    for (const [index, file] of files.entries()) {
      line.textContent = `Sending photo ${index + 1} of ${files.length}…`;
      const { path } = await upload(new File([file], `photo-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`));
      several.push({ path, name: file.name.slice(0, 100) });
    }
  } catch {
    return (line.textContent = "The photos could not be sent. Check the connection and choose them again.");
  }
  line.textContent = "";
  props.value = JSON.stringify({ several });
  trigger("upload");
  setTimeout(() => page.querySelector("#several")?.scrollIntoView({ block: "nearest" }), 500);
});
