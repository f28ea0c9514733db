// What the pages gain by a script: buttons that copy, and a key for the search. Without it nothing is missing.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard && !document.execCommand) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await copy(button.dataset.copy);
    const before = button.getAttribute("aria-label");
    button.classList.add("done");
    button.setAttribute("aria-label", button.dataset.copied);
    setTimeout(() => {
      button.classList.remove("done");
      button.setAttribute("aria-label", before);
    }, 1500);
  });
}

// Browsers give the clipboard to pages of HTTPS and of the loopback alone; the old way works everywhere.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (typing || !wanted || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  wanted.focus();
  wanted.select();
});
