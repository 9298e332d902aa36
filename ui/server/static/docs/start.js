"use strict";
// The page has no inline script: its policy allows none.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: document.documentElement.dataset.schema,
    dom_id: "#docs",
    deepLinking: true,
    validatorUrl: null, // else it would show the schema to a public validator
    presets: [window.SwaggerUIBundle.presets.apis],
  });
});
