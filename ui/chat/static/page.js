// A click on [n] goes to its passage; links of the page itself stay in its window.
"use strict";
(() => {
  const show = (card) => {
    for (let box = card.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    document.querySelectorAll(".card.here").forEach((other) => other.classList.remove("here"));
    card.classList.add("here");
    card.tabIndex = -1;
    card.focus({ preventScroll: true });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "center" });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const href = link?.getAttribute("href") ?? "";
    if (href.startsWith("#src-")) {
      event.preventDefault();
      event.stopPropagation();
      const card = document.getElementById(href.slice(1));
      if (card) show(card);
    } else if (href.startsWith("?lang=")) {
      event.preventDefault();
      event.stopPropagation();
      location.search = href;
    }
  }, true);
})();
