/* Dragoman's widget: a bubble that opens a page of ours in an iframe, or <dragoman-ask>, which holds it. See /embed. */
(() => {
  "use strict";
  const me = document.currentScript;
  if (!me || window.Dragoman) return;
  const WORDS = /*WORDS*/ {}; // language: [label, unavailable]
  const TAG = "dragoman:1";
  const NAMES = ["question", "answer", "citation", "feedback", "error"];
  const data = { ...me.dataset };
  const base = me.src.replace(/widget(\.v1)?\.js.*$/, "");
  const server = new URL(base).origin;
  const side = data.position === "left" ? "left" : "right";
  const color = /^#([\da-f]{3}){1,2}$/i.test(data.color || "") ? data.color : "#0f766e";
  const ink = inkOn(color);
  const kept = "dragoman:" + (data.site || ""); // of the session: whether it is open, from page to page
  const handlers = {};
  const waiting = []; // for the page to be ready
  let root, wrap, bubble, panel, frame, notice, before;
  let shown = false, ready = false, gone = false, inline = false;

  /* Black or white, whichever has the greater contrast on a colour (WCAG 2.2, relative luminance). */
  function inkOn(hex) {
    const full = hex.length === 4 ? hex.replace(/[^#]/g, "$&$&") : hex;
    const [r, g, b] = [1, 3, 5].map((i) => {
      const c = parseInt(full.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  }

  function words() {
    const tags = [data.lang, document.documentElement.lang, ...navigator.languages];
    for (let tag of tags.filter(Boolean)) {
      tag = tag.replace(/^zh-(tw|hk|mo)\b.*/i, "zh-Hant").replace(/^zh(-(cn|sg|my)\b.*)?$/i, "zh-Hans");
      const known = Object.keys(WORDS).find((name) => (tag + "-").toLowerCase().startsWith(name.toLowerCase() + "-"));
      if (known) return WORDS[known];
    }
    return WORDS.en;
  }

  const on = (option) => option !== undefined && option !== "false";
  const label = () => data.label || words()[0];

  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
  }

  function icon(name, path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", name);
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(svg.namespaceURI, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  function styles() {
    const whole = "inset:0;width:100%;height:100%;max-width:none;border-radius:0";
    return `:host{all:initial!important;display:block!important}
[hidden]{display:none!important}
.wrap{position:fixed;inset:auto;margin:0;padding:0;border:0;background:none;overflow:visible}
.bubble,.panel{position:fixed;${side}:20px}
.bubble{bottom:20px;width:56px;height:56px;padding:0;border:0;border-radius:50%;
background:${color};color:${ink};cursor:pointer;box-shadow:0 2px 9px #0005}
button:focus-visible{outline:3px solid ${ink};box-shadow:0 0 0 6px ${color}}
svg{width:26px;height:26px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round}
.up .ask,.wrap:not(.up) .shut{display:none}
.news::after{content:"";position:absolute;top:0;inset-inline-end:0;width:14px;height:14px;border-radius:50%;background:#dc2626}
.panel{bottom:88px;width:400px;height:min(660px,100vh - 108px);max-width:calc(100vw - 40px);
overflow:hidden;border-radius:14px;background:${dark() ? "#111827" : "#fff"};box-shadow:0 8px 40px #0006}
iframe{display:block;width:100%;height:100%;border:0;color-scheme:normal}
.notice{padding:28px;font:16px/1.5 system-ui,sans-serif;color:${dark() ? "#f3f4f6" : "#111"}}
.close{display:block;margin-top:16px;padding:8px 16px;border:0;font:inherit;background:${color};color:${ink}}
.wide .panel{top:0;bottom:0;${side}:0;width:440px;height:100%;max-width:100vw;border-radius:0}.wide.up .bubble{display:none}
.small .panel{${whole}}.small.up .bubble{display:none}
@media (max-width:480px){.panel{${whole}}.up .bubble{display:none}}
.inline,.inline .panel{position:static;width:100%;max-width:none;border-radius:14px;box-shadow:none}
.inline .panel{box-sizing:border-box;height:${parseInt(data.height, 10) || 560}px;border:1px solid #8886}
@media print{.wrap{display:none}}`;
  }

  const dark = () => data.theme === "dark" || (data.theme !== "light" && matchMedia("(prefers-color-scheme:dark)").matches);

  function dress() {
    const sheet = new CSSStyleSheet(); // no policy of the host's page forbids this one
    sheet.replaceSync(styles());
    root.adoptedStyleSheets = [sheet];
    const direction = /^(ar|he|fa|ur)\b/.test(data.lang || document.documentElement.lang) ? "rtl" : "ltr";
    wrap.setAttribute("dir", direction);
    bubble.setAttribute("aria-label", label());
    bubble.title = label();
    panel.setAttribute("aria-label", data.title || label());
  }

  function build() {
    if (gone) return;
    const placed = document.querySelector("dragoman-ask");
    inline = placed !== null;
    const host = placed || make("dragoman-ask");
    root = host.attachShadow({ mode: "open" });
    bubble = make("button", { class: "bubble", type: "button", "aria-expanded": "false", "aria-controls": "panel", "aria-haspopup": "dialog" },
      icon("ask", "M21 12a8 8 0 0 1-8 8H4l2-3a8 8 0 1 1 15-5zM9 10h8M9 14h5"), icon("shut", "M6 6l12 12M18 6L6 18"));
    bubble.hidden = inline || on(data.hideLauncher);
    panel = make("div", { class: "panel", id: "panel", role: "dialog" });
    panel.hidden = true;
    // A page without a viewport of its own is laid out wide on a phone, too.
    const size = inline ? " inline" : screen.width <= 480 ? " small" : data.mode === "side" ? " wide" : "";
    wrap = make("div", { class: "wrap" + size, ...(inline ? {} : { popover: "manual" }) }, bubble, panel);
    root.append(wrap);
    dress();
    bubble.onclick = () => api.toggle();
    wrap.onkeydown = (event) => {
      if (event.key === "Escape") api.close();
    };
    if (!placed) document.body.append(host);
    // In the top layer no style of the host's page moves or covers it.
    if (!inline && wrap.showPopover) wrap.showPopover();
    addEventListener("message", hear);
    emit("ready");
    const queued = window.dragomanQueue || [];
    window.dragomanQueue = { push: (...calls) => calls.forEach(run) };
    Array.from(queued).forEach(run);
    if (inline || on(data.open) || remembered()) show(false);
  }

  function remembered(state) {
    try {
      if (state) sessionStorage.setItem(kept, state);
      return sessionStorage.getItem(kept) === "open";
    } catch {
      return false; // the host's page has no storage
    }
  }

  function run([name, ...values]) {
    if (Object.keys(api).includes(name) && name !== "version") api[name](...values);
  }

  function load() {
    const mine = make("iframe", { title: data.title || label(), referrerpolicy: "strict-origin",
      sandbox: "allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox" });
    mine.src = base + "widget/frame?" + new URLSearchParams({ site: data.site || "", lang: data.lang || "",
      page: document.documentElement.lang, theme: data.theme || "", origin: location.origin });
    // A browser tells nobody that it was not allowed to show a page: only that page says that it is there.
    const give = () => frame === mine && !ready && fail();
    mine.onload = () => setTimeout(give, 3000);
    setTimeout(give, 20000);
    frame = mine;
    panel.append(mine);
  }

  function fail() {
    unload();
    const shut = make("button", { class: "close", type: "button" }, "OK");
    shut.onclick = () => api.close();
    notice = make("div", { class: "notice", role: "alert", dir: "auto" }, data.errorText || words()[1], shut);
    panel.style.height = "auto";
    panel.append(notice);
    emit("error", { code: "unavailable" });
  }

  function unload() {
    if (frame) frame.remove();
    if (notice) notice.remove();
    panel.style.height = "";
    frame = notice = null;
    ready = false;
  }

  function show(focus) {
    if (shown || !root) return;
    shown = true;
    if (!inline) remembered("open");
    before = root.activeElement || document.activeElement;
    panel.hidden = false;
    wrap.classList.add("up");
    bubble.classList.remove("news");
    bubble.setAttribute("aria-expanded", "true");
    if (notice) unload(); // try again
    if (!frame) load();
    if (focus) send({ type: "focus" });
    emit("open");
  }

  function send(message) {
    if (ready) frame.contentWindow.postMessage({ p: TAG, ...message }, server);
    else waiting.push(message);
  }

  function hear(event) {
    const message = event.data;
    if (!frame || event.source !== frame.contentWindow || event.origin !== server || !message || message.p !== TAG) return;
    if (message.type === "ready") {
      ready = true;
      send({ type: "init", title: data.title, greeting: data.greeting, starters: data.starters, color, ink, inline });
      waiting.splice(0).forEach(send);
    } else if (message.type === "close") api.close();
    else if (NAMES.includes(message.type)) {
      if (message.type === "answer" && !shown) bubble.classList.add("news");
      emit(message.type, message.detail);
    }
  }

  function emit(name, detail = {}) {
    (handlers[name] || []).forEach((handler) => setTimeout(handler, 0, detail));
    document.dispatchEvent(new CustomEvent("dragoman:" + name, { detail }));
  }

  const api = {
    version: "1.0",
    isOpen: () => shown,
    open: () => show(true),
    close() {
      if (!shown || inline) return;
      shown = false;
      remembered("closed");
      panel.hidden = true;
      wrap.classList.remove("up");
      bubble.setAttribute("aria-expanded", "false");
      (bubble.hidden && before && before.focus ? before : bubble).focus();
      emit("close");
    },
    toggle: () => (shown ? api.close() : show(true)),
    ask(question) {
      show(true);
      send({ type: "ask", question: String(question) });
    },
    setLocale(lang) {
      data.lang = String(lang);
      if (root) dress();
      if (frame) send({ type: "locale", lang: data.lang });
    },
    setTheme(theme) {
      data.theme = String(theme);
      if (root) dress();
      if (frame) send({ type: "theme", theme: data.theme });
    },
    reset: () => frame && send({ type: "reset" }),
    on(name, handler) {
      (handlers[name] = handlers[name] || []).push(handler);
      if (name === "ready" && root) setTimeout(handler, 0, {});
      return () => (handlers[name] = handlers[name].filter((one) => one !== handler));
    },
    destroy() {
      gone = true;
      removeEventListener("message", hear);
      if (root) root.host.remove();
      delete window.Dragoman;
    },
  };
  window.Dragoman = api;
  if (document.body) build();
  else document.addEventListener("DOMContentLoaded", build);
})();
