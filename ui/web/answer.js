/* An answer and its sources as elements, for the page and for the widget. */
import { button, clean, day, flat, languageName, make, webAddress } from "./dom.js";

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const lines_of = (text) => text.replace(/\n+/g, "\n");
const base = (tag) => String(tag || "").split("-")[0];

/* What is known of an answer; the events of the server fill it. */
export class Answer {
  constructor(question) {
    Object.assign(this, { question, text: "", language: "", marks: {}, passages: [], sources: [], sentences: [] });
    Object.assign(this, { closest: null, abstained: false, reason: "", warnings: [], done: false, searched: false });
  }

  take(name, data) {
    if (name === "question") Object.assign(this, { marks: data.marks, language: data.language });
    else if (name === "passages") Object.assign(this, { passages: data.passages, searched: true });
    else if (name === "delta") this.text += data.text;
    else if (name === "sentence") this.sentences.push(data);
    else if (name === "citations") this.sources = data.citations;
    else if (name === "warnings") this.warnings.push(data.message);
    else if (name === "done") Object.assign(this, data, { done: true });
  }

  source(n) {
    return this.sources.find((one) => one.n === n);
  }

  /* Whether all of it is quotations: then they are shown as such, and not as text. */
  get isQuoted() {
    return this.done && !this.abstained && this.sentences.length > 0 &&
      this.sentences.every((one) => one.verdict === "quoted" && this.source(one.citations[0]));
  }

  /* The answer as plain text or Markdown, with its numbered sources. */
  written(words, as_markdown) {
    const link = (one) => one.url || new URL(article(one), document.baseURI).href;
    const named = (one) => {
      const about = [one.title || one.source, languageName(one.language), one.date && day(one.date)].filter(Boolean).join(", ");
      return as_markdown ? `${one.n}. [${about.replace(/[[\]]/g, "\\$&")}](<${link(one)}>)` : `[${one.n}] ${about}\n    ${link(one)}`;
    };
    const list = this.sources.map(named).join("\n");
    return (as_markdown ? `**${this.question}**\n\n` : "") + this.text + (list ? `\n\n${words.sources}:\n${list}` : "");
  }
}

/* The address of our own page of an article, at the cited place. */
export function article(source, more = {}) {
  const span = `${source.start}-${source.end}`;
  return `article/${source.doc_id}?${new URLSearchParams({ ...more, cite: span })}#${span}`;
}

/* The elements of an answer's text; `cite(n)` is called for a marker that is pressed. */
export function said(answer, words, cite) {
  if (answer.isQuoted) return quotations(answer, words, cite);
  const marks = Object.values(answer.marks).map(escaped).join("|") || "(?!)";
  const pattern = new RegExp(`\\[(\\d{1,3})\\]|\\*\\*([^*\\n]+)\\*\\*|\\((${marks})\\)`, "g");
  const ticks = ticked(answer);
  return answer.text.split(/\n+/).filter((line) => line.trim()).map((line) => {
    const paragraph = make("p", { dir: "auto" });
    let position = 0;
    for (const found of line.matchAll(pattern)) {
      const [whole, n, strong, verdict] = found;
      if (n && answer.done && !answer.source(Number(n))) continue;
      paragraph.append(clean(line.slice(position, found.index)));
      if (n) paragraph.append(marker(Number(n), words, cite));
      else if (strong) paragraph.append(make("strong", {}, strong));
      else paragraph.append(make("span", { class: `verdict ${verdictOf(answer, verdict)}` }, whole));
      position = found.index + whole.length;
    }
    paragraph.append(clean(line.slice(position)));
    if (ticks(line)) paragraph.append(" ", tick(words));
    if (answer.done && answer.language) paragraph.lang = answer.language;
    return paragraph;
  });
}

/* A line has a tick where every one of a model's sentences in it was checked and held. */
function ticked(answer) {
  return (line) => {
    const inside = answer.sentences.filter((one) => flat(line.replace(/\s*\[\d{1,3}\]/g, "")).includes(flat(one.text)));
    return inside.length > 0 && inside.every((one) => one.verdict === "supported");
  };
}

function tick(words) {
  return make("span", { class: "verdict supported", role: "img", "aria-label": words.supported, title: words.supported }, "✓");
}

const verdictOf = (answer, text) => Object.keys(answer.marks).find((name) => answer.marks[name] === text) || "";

function marker(n, words, cite) {
  const label = words.show_source.replace("{n}", n);
  return button(`[${n}]`, { class: "cite", "data-n": n, "aria-label": label, title: label }, () => cite(n));
}

/* The best quotation, then the others under a heading of their own. */
function quotations(answer, words, cite) {
  const rows = answer.sentences.map((one) => quotation(answer.source(one.citations[0]), words, cite));
  rows[0].classList.add("best");
  return rows.length > 1 ? [rows[0], make("h3", {}, words.more), ...rows.slice(1)] : rows;
}

function quotation(source, words, cite) {
  const about = make("p", { class: "about" }, marker(source.n, words, cite), " ", ...told(source, true));
  return make("figure", { class: "quotation" }, quoted(source), about, translation(source, words));
}

/* The quoted words, the answering ones bold. */
function quoted(source, before = "", after = "") {
  const parts = (source.answer.length ? source.answer : [source.quote, "", ""]).map(lines_of);
  const mark = make("mark", {}, parts[0], parts[1] ? make("b", {}, parts[1]) : "", parts[2]);
  const quote = make("blockquote", { dir: "auto", lang: source.language || null }, lines_of(before));
  if (source.quote) quote.append(mark);
  quote.append(clean(lines_of(after)));
  return quote;
}

/* Where a source is from: its title, site or file, date, and language in words. */
function told(source, titled) {
  const url = webAddress(source.url);
  const parts = [titled ? source.title : "", url ? url.host : titled && source.title ? "" : source.source];
  parts.push(source.language && languageName(source.language), source.date && day(source.date));
  return parts.filter(Boolean).flatMap((part, i) => (i ? [" · ", make("bdi", {}, part)] : [make("bdi", {}, part)]));
}

/* A button that has the browser translate a quotation in another language; nothing leaves the browser. */
function translation(source, words) {
  const mine = document.documentElement.lang;
  if (!("Translator" in self) || !source.language || base(source.language) === base(mine)) return "";
  const own = (tag) => (tag === "zh-Hans" ? "zh" : tag);
  const box = make("div", { class: "translation" });
  const press = async () => {
    box.firstChild.disabled = true;
    try {
      const translator = await self.Translator.create({ sourceLanguage: own(source.language), targetLanguage: own(mine) });
      const text = await translator.translate(flat(source.quote));
      box.replaceChildren(make("p", { dir: "auto", lang: mine }, text), make("small", {}, words.machine));
    } catch {
      box.remove(); // the browser has no model for this pair
    }
  };
  box.append(button(words.translate, { class: "chip" }, press));
  return box;
}

/* A source as a card that opens; `query` goes into the link to our own page of the article. */
export function card(source, words, { open = false, query = {} } = {}) {
  const title = make("span", { class: "title", dir: "auto", lang: source.language || null }, source.title || source.source);
  const summary = make("summary", {}, ...(source.n ? [make("bdi", { class: "n" }, `[${source.n}]`), " "] : []), title,
    make("span", { class: "about" }, ...told(source, false)));
  const url = webAddress(source.url);
  const link = make("a", { href: url ? url.href : article(source, query), target: "_blank", rel: "noopener noreferrer nofollow" }, words.open_article);
  const body = quoted(source, source.before, source.after);
  const element = make("details", { "data-n": source.n || null }, summary, body, source.quote ? translation(source, words) : "", link);
  element.open = open;
  return element;
}

/* The sources of an answer for the page: one section an article, with every cited place in it. */
export function articles(sources, words) {
  const groups = new Map();
  for (const one of sources) groups.set(one.doc_id, [...(groups.get(one.doc_id) || []), one]);
  return [...groups.values()].map((places) => {
    const [first] = places;
    const title = make("h3", { dir: "auto", lang: first.language || null }, first.title || first.source);
    const section = make("section", { class: "article" }, title, make("p", { class: "about" }, ...told(first, false)));
    section.append(...places.map((one) => place(one, words)));
    return section;
  });
}

const NEAR = 160; // characters around a quotation

function place(source, words) {
  const cut = source.before.length > NEAR ? `…${source.before.slice(-NEAR)}` : source.before;
  const rest = source.after.length > NEAR ? `${source.after.slice(0, NEAR)}…` : source.after;
  const url = webAddress(source.url);
  const href = url ? url.href : article(source);
  const link = make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, words.open_article);
  const number = source.n ? make("bdi", { class: "n" }, `[${source.n}]`) : "";
  const body = source.quote ? quoted(source, cut, rest) : quoted({ ...source, answer: [] }, source.before);
  return make("div", { class: "place", "data-n": source.n || null, tabindex: "-1" },
    number, body, source.quote ? translation(source, words) : "", link);
}

/* The row that asks what a reader thinks; `send(kind)` sends it. */
export function feedback(words, send) {
  const row = make("div", { class: "opinion" }, make("span", {}, words.was_right));
  for (const kind of ["right", "wrong", "wrong_citation", "not_in_articles"]) {
    row.append(button(words[kind], { class: "chip", "data-kind": kind }, () => {
      send(kind);
      row.replaceChildren(make("span", { tabindex: "-1" }, words.thanks));
      row.firstChild.focus();
    }));
  }
  return row;
}
