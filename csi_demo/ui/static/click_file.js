() => {
  // The hidden download link appears a moment after the file's address has arrived.
  setTimeout(() => document.querySelector("#file")?.closest("a, button")?.click(), 100);
}
