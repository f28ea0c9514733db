// Swagger UI, on the document of this server and with nothing of any other.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("api");
  const { classList, dataset } = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => classList.toggle("dark-mode", dataset.theme ? dataset.theme === "dark" : system.matches);
  system.addEventListener("change", paint);
  paint();
  // What Swagger UI leaves without a name.
  const label = () => document.getElementById("servers")?.setAttribute("aria-label", "Server");
  new MutationObserver(label).observe(place, { childList: true, subtree: true });
  SwaggerUIBundle({
    domNode: place,
    url: new URL(place.dataset.document, location).href,
    docExpansion: "none",
    tagsSorter: (a, b) => (b === "api") - (a === "api") || a.localeCompare(b),
    validatorUrl: null,
  });
});
