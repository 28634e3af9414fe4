() => {
  // The hidden download link appears a moment after the file's address has arrived.
  const page = document.querySelector(".csi-used") ?? document;
  setTimeout(() => page.querySelector("#file")?.closest("a, button")?.click(), 100);
}
