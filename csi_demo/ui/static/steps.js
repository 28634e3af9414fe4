// First steps, on a browser's first visit: each is ticked off when it is done, and all go when the last one is.
const LEARNED = "csi-learned";
const steps = find(".csi-steps");
const storage = (read) => {
  try { return read ? localStorage.getItem(LEARNED) : localStorage.setItem(LEARNED, "yes"); } catch { return null; }
};

function did(number) {
  if (steps.hidden) return;
  const lines = [...steps.querySelectorAll("li")];
  lines.slice(0, number).forEach((line) => line.classList.add("csi-done"));
  if (number === lines.length) learned();
}

function learned() {
  steps.hidden = true;
  storage(false);
}

if (!storage(true) && !document.documentElement.classList.contains("csi-embed")) steps.hidden = false;
page.addEventListener("csi-shown", ({ detail }) => detail.complete && did(2));
page.addEventListener("input", (event) => event.target.closest?.("#main, #more") && event.isTrusted && did(3));
