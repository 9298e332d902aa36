// Gradio takes its language from the browser alone: give it the page's own, before it asks.
"use strict";
(() => {
  const tag = document.documentElement.dataset.ui;
  if (!tag) return;
  Object.defineProperty(navigator, "language", { get: () => tag });
  Object.defineProperty(navigator, "languages", { get: () => [tag] });
})();
