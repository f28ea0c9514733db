// What the pages gain by a script: buttons that copy, a key for the search, results while somebody types. Without it
// nothing is missing.
"use strict";

document.documentElement.classList.add("scripted");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || button.classList.contains("done")) return;
  await copy(button.dataset.copy);
  const before = button.getAttribute("aria-label");
  button.classList.add("done");
  button.setAttribute("aria-label", button.dataset.copied);
  setTimeout(() => {
    button.classList.remove("done");
    button.setAttribute("aria-label", before);
  }, 1500);
});

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

// A form that is live shows what its page would be, and where that is; a quick one its results below itself.
for (const form of document.querySelectorAll("form[data-live], form[data-quick]")) {
  const place = document.getElementById(form.dataset.live || form.dataset.quick);
  let timer = 0;
  let asked = 0;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(update, 150);
  });
  // Whoever goes through the results keeps them, and what was closed stays so: answers that come later are dropped.
  function settle() {
    clearTimeout(timer);
    asked += 1;
  }
  place?.addEventListener("focusin", settle);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") settle();
  });
  async function update() {
    const number = ++asked;
    const fields = new URLSearchParams(new FormData(form));
    const address = `${form.getAttribute("action")}?${fields}`;
    const answer = await fetch(address);
    if (number !== asked || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(form.dataset.live || "found");
    if (!found || !place || number !== asked) return;
    if (form.dataset.quick) return showQuick(found, answer.url, fields.get("q"));
    place.replaceChildren(...found.childNodes);
    document.title = page.title;
    history.replaceState(null, "", address);
  }
  function showQuick(found, address, text) {
    const parts = [...found.querySelectorAll("section, .empty")];
    for (const link of found.querySelectorAll("a[href]")) link.href = new URL(link.getAttribute("href"), address).href;
    place.replaceChildren(...parts);
    place.hidden = !text.trim();
  }
  form.addEventListener("focusout", (event) => {
    if (form.dataset.quick && !form.contains(event.relatedTarget)) place.hidden = true;
  });
}

// Arrows go from the field of a search through its results and back, Escape closes them.
document.addEventListener("keydown", (event) => {
  const field = document.querySelector(".search input[type=search]");
  const quick = document.querySelector("#quick:not([hidden])");
  const results = [...(quick || document).querySelectorAll(".results a")];
  const at = results.indexOf(event.target);
  if (!field || (event.target !== field && at < 0)) return;
  if (event.key === "Escape" && quick) {
    quick.hidden = true;
    field.focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    if (next >= results.length) return;
    event.preventDefault();
    (next < 0 ? field : results[next]).focus();
  }
});

// What is under way is shown as it goes on, until it has ended.
for (const part of document.querySelectorAll("[data-poll]")) {
  const address = part.dataset.poll;
  const timer = setInterval(async () => {
    const answer = await fetch(address).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(part.id);
    if (!found) return;
    if (!("poll" in found.dataset)) clearInterval(timer);
    part.replaceChildren(...found.childNodes);
  }, 2000);
}
