/* A host's page with the widget as the query says. */
(() => {
  "use strict";
  const script = document.createElement("script");
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (/^[a-z-]+$/.test(name)) script.setAttribute(`data-${name}`, value);
  }
  for (const name of ["ready", "open", "close", "question", "answer", "citation", "feedback", "error"]) {
    document.addEventListener(`dragoman:${name}`, ({ detail }) => parent.postMessage({ dragoman: name, detail }, location.origin));
  }
  script.src = "../widget.js";
  document.body.append(script);
})();
