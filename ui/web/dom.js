/* Making elements. Whatever comes from a model or a document becomes a text node, never markup. */

// Characters that draw the text behind them backwards, and controls: no article needs them, a forger does.
export const clean = (text) => String(text).replace(/[\u202d\u202e\u0000-\u0008\u000b-\u001f\u007f]/g, "");
export const flat = (text) => String(text).replace(/\s+/g, " ").trim();

export function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((one) => one !== null && one !== "").map((one) => (typeof one === "string" ? clean(one) : one)));
  return element;
}

export function button(text, attributes, press) {
  const element = make("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", press);
  return element;
}

export function icon(path, name, attributes, press) {
  const element = button("", { class: "icon", "aria-label": name, title: name, ...attributes }, press);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  element.append(svg);
  return element;
}

export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

export function languageName(tag) {
  try {
    return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(tag);
  } catch {
    return tag;
  }
}

export function day(text) {
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text.slice(0, 10)) : null;
  if (!date || isNaN(date)) return text;
  return date.toLocaleDateString(document.documentElement.lang, { dateStyle: "medium", timeZone: "UTC" });
}

// Enter while a syllable is being composed chooses it; Safari tells that by the key code alone.
export const isEnter = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;

export function grow(box) {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}
