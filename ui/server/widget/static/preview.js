/* A host's page with the widget as the query says. */
(() => {
  "use strict";
  const script = document.createElement("script");
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (/^[a-z-]+$/.test(name)) script.setAttribute(`data-${name}`, value);
  }
  script.src = "../widget.js";
  document.body.append(script);
})();
