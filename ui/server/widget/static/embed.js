/* Builds the snippet for a site, with a preview. */
(() => {
  "use strict";
  const config = JSON.parse(document.body.dataset.config);
  const byId = (id) => document.getElementById(id);
  const form = byId("options");
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const option = (value) => Object.assign(document.createElement("option"), { value, textContent: value });
  let soon = 0;

  byId("lang").append(...config.languages.map((tag) => {
    const one = option(tag);
    one.textContent = `${new Intl.DisplayNames([tag], { type: "language" }).of(tag)} (${tag})`;
    return one;
  }));
  const wanted = new URLSearchParams(location.search).get("site");
  if (wanted) byId("site").value = wanted;

  /* Name and value of every option that is not as it would be anyway. */
  function chosen() {
    const pairs = [];
    for (const field of form.elements) {
      if (!field.name || (field.type === "checkbox" && !field.checked)) continue;
      const value = field.type === "checkbox" ? "" : field.value.trim();
      const usual = field.type === "color" ? "#0f766e" : "";
      if (field.type === "checkbox" || value !== usual || field.name === "site") pairs.push([field.name, value]);
    }
    return pairs;
  }

  function update() {
    const pairs = chosen();
    const options = pairs.map(([name, value]) => ` data-${name}` + (value || name === "site" ? `="${escaped(value)}"` : ""));
    byId("script").textContent = `<script src="${escaped(new URL("widget.js", location.href).href)}"${options.join("")} integrity="${config.integrity}" crossorigin="anonymous" async></` + "script>";
    const framed = new URLSearchParams(pairs.filter(([name]) => ["site", "lang", "theme", "color"].includes(name)));
    const address = new URL(`widget/frame?${framed}`, location.href).href;
    const title = byId("title").value.trim() || "Questions and answers";
    byId("frame").textContent = `<iframe src="${escaped(address)}" title="${escaped(title)}" width="400" height="600"` +
      ` sandbox="allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="strict-origin"></iframe>`;
    const shown = new URLSearchParams(pairs);
    shown.set("open", "");
    clearTimeout(soon);
    if (byId("site").value.trim()) soon = setTimeout(() => byId("preview").contentWindow.location.replace(new URL(`embed/preview?${shown}`, location.href)), 300);
  }

  // What the preview's widget tells the page around it.
  addEventListener("message", (event) => {
    if (event.source !== byId("preview").contentWindow || typeof event.data?.dragoman !== "string") return;
    byId("events").append(`${event.data.dragoman} ${JSON.stringify(event.data.detail)}\n`);
  });
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        byId("copied").textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(source); // no clipboard without https: it can be copied by hand
        byId("copied").textContent = "Selected; copy it with the keyboard.";
      }
    });
  }
  update();
})();
