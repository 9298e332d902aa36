// A click on [n] goes to its passage and Esc back; links of the page itself stay in its window; gradio's markup is mended.
"use strict";
(() => {
  let from = null; // the marker that led to a passage

  const show = (card) => {
    for (let box = card.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    document.querySelectorAll(".card.here").forEach((other) => other.classList.remove("here"));
    card.classList.add("here");
    card.tabIndex = -1;
    card.focus({ preventScroll: true });
    scrollTo(card);
  };

  const scrollTo = (element) => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "center" });
  };

  const back = () => {
    document.querySelectorAll(".card.here").forEach((card) => card.classList.remove("here"));
    // An answer that has grown meanwhile is drawn anew: the marker is another element with the same address.
    const marker = from && [...document.querySelectorAll("#chat a[href]")].find((a) => a.getAttribute("href") === from);
    if (!marker) return;
    marker.focus({ preventScroll: true });
    scrollTo(marker);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const href = link?.getAttribute("href") ?? "";
    if (href.startsWith("#src-")) {
      event.preventDefault();
      event.stopPropagation();
      const card = document.getElementById(href.slice(1));
      if (!card) return;
      from = href;
      show(card);
    } else if (href.startsWith("?lang=")) {
      event.preventDefault();
      event.stopPropagation();
      location.search = href;
    }
  }, true);

  // While a word is composed its keys are the input method's: Enter ends the word, and must not send half a question.
  const compose = (event) => {
    if (event.isComposing && (event.key === "Enter" || event.key === "Escape")) event.stopPropagation();
  };
  document.addEventListener("keydown", compose, true);
  document.addEventListener("keypress", compose, true);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && document.activeElement?.closest("#panel")) back();
  });

  // What gradio's markup does not tell: names of buttons, whether a box is open, that a list of buttons is none.
  const words = document.currentScript.dataset;
  const NAMES = [
    ["#question .submit-button", words.send],
    ["#question .stop-button", words.stop],
    ['#chat [aria-label="Copy message"]', words.copy],
    ['#chat [aria-label="Feedback"]', words.opinions],
  ];
  const mend = () => {
    for (const [at, name] of NAMES) {
      for (const button of document.querySelectorAll(at)) set(button, "aria-label", name);
    }
    for (const list of document.querySelectorAll("#chat .examples[role=list]")) set(list, "role", "group");
    for (const button of document.querySelectorAll(".upload-container[aria-label]")) button.removeAttribute("aria-label");
    for (const button of document.querySelectorAll("button.label-wrap")) {
      set(button, "aria-expanded", String(button.classList.contains("open")));
    }
  };
  const set = (element, attribute, value) => {
    if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  };
  mend();
  new MutationObserver(mend).observe(document.documentElement, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["role", "aria-label"],
  });
  document.addEventListener("click", () => setTimeout(mend));
})();
