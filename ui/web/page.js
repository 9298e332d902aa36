/* The page: conversations on one side, questions and answers in the middle, their sources on the other. */
import { Answer, articles, feedback, said } from "./answer.js";
import { ask, post, words_of } from "./ask.js";
import { button, day, grow, icon, isEnter, languageName, make } from "./dom.js";
import * as history from "./history.js";

const MAX_TURNS = 4; // of the conversation that are sent along
const byId = (id) => document.getElementById(id);
const root = byId("dragoman");
const { words, max_chars, languages, dir } = JSON.parse(root.dataset.config);
const log = byId("log"), box = byId("box"), status = byId("status"), panel = byId("panel"), sources = byId("sources");
const PATHS = {
  copy: "M9 9h11v11H9zM5 15H4V4h11v1", edit: "M4 20h4L19 9l-4-4L4 16z", retry: "M20 11A8 8 0 1 0 18 17M20 4v7h-7",
  markdown: "M4 9h16M4 15h16M10 4 8 20M16 4l-2 16",
  drop: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13", save: "M12 4v11M7 11l5 5 5-5M5 20h14",
};
let conversation = { id: "", turns: [] };
let running = null; // {controller, turn}: the answer that is coming
let facts = { n: 0, languages: {}, newest: "", starters: [] };
let shown = null; // the turn whose sources are in the panel
let from = null; // the marker that led to a source
const chosen = { languages: new Set(), since: "", until: "" };

/* --- a turn: a question, its answer, and what can be done with them ------------------------------------------ */

class Turn {
  constructor(question, known) {
    this.answer = Object.assign(new Answer(question), known);
    this.said = make("div", { class: "said", "aria-busy": "true" });
    this.note = make("p", { class: "note wait" }, words.searching);
    this.below = make("div", { class: "below" });
    this.section = make("section", { class: "turn" },
      make("h2", { class: "unseen" }, words.question), make("p", { class: "asked", dir: "auto" }, question),
      make("h2", { class: "unseen" }, words.answer), this.said, this.note, this.below);
    this.section.addEventListener("mouseover", (event) => light(this, event.target.closest?.(".cite")?.dataset.n));
    log.append(this.section);
  }

  take(name, data) {
    this.answer.take(name, data);
    const { answer } = this;
    if (["passages", "citations", "done"].includes(name)) show(this);
    if (name === "passages") this.note.textContent = words.searching;
    if (name === "delta" || name === "citations") this.draw();
    if (name === "sentence" && answer.sentences.some((one) => one.verdict !== "quoted")) {
      this.note.textContent = words.checking.replace("{n}", answer.sentences.length + 1);
    }
  }

  draw() {
    this.said.replaceChildren(...said(this.answer, words, (n) => lead(this, n)));
  }

  /* No more comes; `trouble` says why, where that is not because all is there. */
  end(trouble, bad) {
    this.said.setAttribute("aria-busy", "false");
    if (this.answer.text) this.draw();
    this.said.classList.toggle("none", this.answer.abstained);
    this.note.hidden = !trouble;
    this.note.textContent = trouble;
    this.note.className = bad ? "note bad" : "note";
    if (bad) this.note.setAttribute("role", "alert");
    for (const message of this.answer.warnings) this.below.append(make("p", { class: "note" }, `⚠ ${message}`));
    this.below.append(this.tools());
    if (this.answer.done) this.below.append(feedback(words, (kind) => this.judge(kind)));
  }

  tools() {
    const { answer } = this;
    const n = answer.sources.length || (answer.closest ? 1 : 0);
    const row = make("div", { class: "tools" });
    if (n) row.append(button(`${words.sources} (${n})`, { class: "chip narrow" }, () => { show(this); sheet(true); }));
    if (answer.done) {
      row.append(icon(PATHS.copy, words.copy, {}, () => copy(answer.written(words, false))));
      row.append(icon(PATHS.markdown, words.copy_markdown, {}, () => copy(answer.written(words, true))));
    }
    row.append(icon(PATHS.edit, words.edit, {}, () => this.again(true)));
    row.append(icon(PATHS.retry, words.retry, {}, () => this.again(false)));
    return row;
  }

  /* Take this question and all behind it away, and ask it again, or have it edited first. */
  again(edited) {
    if (running) return;
    const at = conversation.turns.indexOf(this);
    for (const turn of conversation.turns.splice(at)) turn.section.remove();
    if (!edited) return void put(this.answer.question);
    box.value = this.answer.question;
    grow(box);
    box.focus();
    save();
    show(conversation.turns.at(-1) || null);
  }

  judge(kind) {
    const citations = this.answer.sources.map(({ doc_id, source, start, end, quote }) => ({ doc_id, source, start, end, quote }));
    const body = { kind, question: this.answer.question, answer: this.answer.text.slice(0, 20000), language: this.answer.language, citations };
    post("page/feedback", body).catch(() => {}); // the reader has said it; whether it was kept is not theirs to mend
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = words.copied;
  } catch {
    // no clipboard without https
    const held = make("textarea", { class: "unseen" });
    held.value = text;
    document.body.append(held);
    held.select();
    document.execCommand("copy");
    held.remove();
    status.textContent = words.copied;
  }
  toast(words.copied);
}

function toast(text) {
  const shown = make("p", { class: "toast" }, text);
  document.body.append(shown);
  setTimeout(() => shown.remove(), 2000);
}

/* --- sources --------------------------------------------------------------------------------------------------- */

const holds = (passage, one) => passage.doc_id === one.doc_id && passage.start <= one.start && one.end <= passage.end;

/* Show the sources of a turn: what it cites, else what was found so far. */
function show(turn) {
  shown = turn;
  const answer = turn?.answer;
  const title = panel.querySelector("h2");
  if (!answer || (!answer.searched && !answer.done)) {
    title.textContent = words.sources;
    sources.replaceChildren(make("p", { class: "note" }, words.sources_empty));
    return;
  }
  const cited = answer.closest ? [answer.closest] : answer.sources;
  const others = answer.passages.filter((one) => !cited.some((own) => holds(one, own)));
  title.textContent = answer.closest ? words.closest : cited.length ? words.sources : words.found;
  const rows = articles(cited.length ? cited : others, words);
  if (cited.length && others.length) {
    const rest = make("details", {}, make("summary", {}, words.also_found.replace("{n}", others.length)));
    rest.addEventListener("toggle", () => rest.childElementCount === 1 && rest.append(...articles(others, words)), { once: true });
    rows.push(rest);
  }
  sources.replaceChildren(...(rows.length ? rows : [make("p", { class: "note" }, words.sources_empty)]));
  sources.onmouseover = (event) => light(turn, event.target.closest?.(".place")?.dataset.n);
  sources.scrollTop = 0;
}

/* Mark a source and the markers of it. */
function light(turn, n) {
  const places = shown === turn ? [...sources.querySelectorAll(".place")] : [];
  for (const one of [...turn.section.querySelectorAll(".cite"), ...places]) one.classList.toggle("lit", Boolean(n) && one.dataset.n === n);
}

/* From a marker to its source. */
function lead(turn, n) {
  from = document.activeElement;
  if (shown !== turn) show(turn);
  sheet(true);
  const place = sources.querySelector(`.place[data-n="${n}"]`);
  if (!place) return;
  light(turn, String(n));
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function sheet(open) {
  panel.classList.toggle("open", open);
}

function back() {
  sheet(false);
  from?.focus();
}

/* --- asking ---------------------------------------------------------------------------------------------------- */

const where = () => ({ languages: [...chosen.languages], since: chosen.since, until: chosen.until });

async function put(text) {
  const question = text.trim().slice(0, max_chars);
  if (!question || running) return;
  if (!conversation.turns.length) log.replaceChildren();
  const turn = new Turn(question);
  const history = conversation.turns.filter((one) => one.answer.done).slice(-MAX_TURNS)
    .map(({ answer }) => ({ question: answer.question, answer: answer.text.slice(0, 20000) }));
  conversation.turns.push(turn);
  running = { controller: new AbortController(), turn };
  busy(true);
  show(turn);
  turn.section.scrollIntoView({ block: "start" });
  const end = await ask("page/ask", { question, history, filter: where() }, running.controller.signal, (name, data) => turn.take(name, data));
  const bad = end.code && end.code !== "stopped";
  turn.end(end.code ? words_of(end, words) : "", bad);
  running = null;
  busy(false);
  status.textContent = end.code ? words_of(end, words) : words.ready;
  save();
}

function busy(yes) {
  byId("send").hidden = yes;
  byId("stop").hidden = !yes;
  if (yes) status.textContent = words.searching;
}

function submit() {
  if (running || !box.value.trim()) return;
  const text = box.value;
  box.value = "";
  grow(box);
  put(text);
}

/* --- conversations --------------------------------------------------------------------------------------------- */

function save() {
  conversation.id ||= Math.random().toString(36).slice(2, 12);
  history.keep(conversation.id, conversation.turns.filter(({ answer }) => answer.done).map(({ answer }) => answer));
  window.history.replaceState(null, "", conversation.turns.length ? `#${conversation.id}` : location.pathname + location.search);
  list();
}

function open(id) {
  running?.controller.abort();
  const found = history.all().find((one) => one.id === id);
  conversation = { id: found ? id : "", turns: [] };
  log.replaceChildren();
  for (const known of found?.turns || []) {
    const turn = new Turn(known.question, known);
    conversation.turns.push(turn);
    turn.end("");
  }
  if (!conversation.turns.length) welcome();
  show(conversation.turns.at(-1) || null);
  window.history.replaceState(null, "", found ? `#${id}` : location.pathname + location.search);
  list();
  menu(false);
  conversation.turns.at(-1)?.section.scrollIntoView({ block: "start" });
}

function list() {
  const wanted = byId("find").value.trim().toLowerCase();
  const everything = history.all();
  const rows = everything.filter((one) => JSON.stringify([one.title, one.turns.map((turn) => turn.text)]).toLowerCase().includes(wanted));
  byId("conversations").replaceChildren(...rows.map(row));
  byId("find").hidden = everything.length < 2;
  byId("all").replaceChildren(...(everything.length ? [
    button(words.export, { class: "chip" }, download),
    button(words.delete_all, { class: "chip" }, () => { history.drop_all(); open(""); }),
  ] : []));
}

function row(one) {
  const name = button(one.title, { class: "name", dir: "auto", "aria-current": one.id === conversation.id ? "true" : null }, () => open(one.id));
  const item = make("li", {}, name);
  const edit = icon(PATHS.edit, words.rename, {}, () => {
    const field = make("input", { type: "text", maxlength: "80", "aria-label": words.rename, dir: "auto" });
    field.value = one.title;
    let ended = false;
    const end = (kept) => {
      if (ended) return;
      ended = true;
      if (kept && field.value.trim()) history.rename(one.id, field.value.trim());
      list();
    };
    field.addEventListener("keydown", (event) => {
      if (isEnter(event)) end(true);
      else if (event.key === "Escape") end(false);
    });
    field.addEventListener("blur", () => end(true));
    item.replaceChildren(field);
    field.focus();
  });
  const drop = icon(PATHS.drop, words.delete, {}, () => {
    history.drop(one.id);
    if (one.id === conversation.id) open("");
    else list();
  });
  item.append(edit, drop);
  return item;
}

/* All conversations as a Markdown file. */
function download() {
  const text = history.all().map((one) => `# ${one.title}\n\n` +
    one.turns.map((turn) => Object.assign(new Answer(turn.question), turn).written(words, true)).join("\n\n")).join("\n\n---\n\n");
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/markdown" })), download: "dragoman.md" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}

/* --- before the first question ----------------------------------------------------------------------------------- */

function welcome() {
  const about = [`${words.count}: ${facts.n.toLocaleString(document.documentElement.lang)}`];
  const tags = Object.keys(facts.languages).filter(Boolean);
  if (tags.length) about.push(`${words.languages}: ${tags.slice(0, 12).map(languageName).join(", ")}${tags.length > 12 ? "…" : ""}`);
  if (facts.newest) about.push(words.newest.replace("{date}", day(facts.newest)));
  const starters = facts.starters.map((one) => {
    const starter = button("", { class: "starter" }, () => put(one.text));
    starter.append(make("span", { dir: "auto", lang: one.language || null }, one.text));
    if (one.language && one.language !== document.documentElement.lang) starter.append(make("small", {}, languageName(one.language)));
    return starter;
  });
  log.replaceChildren(make("div", { class: "welcome" }, make("h2", {}, words.subtitle),
    facts.n ? make("ul", { class: "facts" }, ...about.map((text) => make("li", {}, text))) : "",
    starters.length ? make("h3", {}, words.starters) : "", make("div", { class: "starters" }, ...starters)));
}

async function learn() {
  try {
    facts = await (await fetch("page/facts", { cache: "no-store" })).json();
  } catch {
    return; // the page works without
  }
  if (!conversation.turns.length) welcome();
  filters();
}

/* --- the filter ---------------------------------------------------------------------------------------------------- */

function filters() {
  const tags = Object.entries(facts.languages).filter(([tag]) => tag);
  const chips = tags.map(([tag, n]) => button(`${languageName(tag)} (${n})`, { class: "chip", "aria-pressed": String(chosen.languages.has(tag)) }, () => {
    if (!chosen.languages.delete(tag)) chosen.languages.add(tag);
    filters();
  }));
  const date = (name) => {
    const field = make("input", { type: "date", "aria-label": words[name], title: words[name] });
    field.value = chosen[name];
    field.addEventListener("change", () => { chosen[name] = field.value; mark(); });
    return make("label", {}, `${words[name]} `, field);
  };
  const clear = button(words.clear, { class: "chip" }, () => {
    chosen.languages.clear();
    chosen.since = chosen.until = "";
    filters();
  });
  byId("filter").replaceChildren(make("div", { class: "chips", role: "group", "aria-label": words.languages }, ...chips),
    make("div", { class: "chips" }, date("since"), date("until"), clear));
  mark();
}

function mark() {
  byId("filters").classList.toggle("on", chosen.languages.size > 0 || Boolean(chosen.since || chosen.until));
}

/* --- the library: gradio's part of the page, which is fetched when it is first opened -------------------------------- */

function library() {
  const dialog = byId("library");
  for (const held of document.querySelectorAll("script[type='text/plain']")) {
    held.replaceWith(make("script", { type: "module", src: held.getAttribute("src") }));
  }
  dialog.showModal();
}

function menu(open) {
  byId("history").classList.toggle("open", open);
  byId("menu").setAttribute("aria-expanded", String(open));
}

/* --- start --------------------------------------------------------------------------------------------------------- */

function name(id, text) {
  byId(id).setAttribute("aria-label", text);
  byId(id).title = text;
}

function label() {
  for (const [id, word] of [["menu", "history"], ["filters", "filters"], ["send", "send"], ["stop", "stop"], ["close-panel", "close"], ["close-library", "close"]]) name(id, words[word]);
  byId("new").textContent = words.new;
  byId("open-library").textContent = words.library;
  byId("library").querySelector("h2").textContent = words.library;
  byId("library").setAttribute("aria-label", words.library);
  byId("find").placeholder = words.search;
  name("find", words.search);
  byId("history").setAttribute("aria-label", words.history);
  panel.setAttribute("aria-label", words.sources);
  log.setAttribute("aria-label", words.conversation);
  name("lang", words.interface_language);
  byId("lang").append(...languages.map(([tag, own]) => {
    const option = make("option", { value: tag, lang: tag }, own);
    option.selected = tag === document.documentElement.lang;
    return option;
  }));
}

byId("new").addEventListener("click", () => { open(""); box.focus(); });
byId("menu").addEventListener("click", () => menu(!byId("history").classList.contains("open")));
byId("find").addEventListener("input", list);
byId("filters").addEventListener("click", () => {
  byId("filter").hidden = !byId("filter").hidden;
  byId("filters").setAttribute("aria-expanded", String(!byId("filter").hidden));
});
byId("open-library").addEventListener("click", library);
byId("close-library").addEventListener("click", () => byId("library").close());
byId("library").addEventListener("close", learn);
byId("close-panel").addEventListener("click", back);
byId("stop").addEventListener("click", () => running?.controller.abort());
byId("lang").addEventListener("change", (event) => {
  document.cookie = `dragoman_lang=${event.target.value}; path=/; max-age=31536000; samesite=lax`;
  const next = new URL(location.href);
  next.searchParams.delete("lang");
  if (next.href === location.href) location.reload();
  else location.replace(next);
});
byId("composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
box.maxLength = max_chars;
box.addEventListener("input", () => grow(box));
box.addEventListener("keydown", (event) => {
  if (!isEnter(event)) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.isComposing || byId("library").open) return;
  const writing = ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName);
  if (event.key === "/" && !writing) {
    event.preventDefault();
    box.focus();
  } else if (event.key === "Escape" && (panel.contains(document.activeElement) || panel.classList.contains("open"))) back();
  else if (event.key === "Escape" && byId("history").classList.contains("open")) menu(false);
  else if (["ArrowLeft", "ArrowRight"].includes(event.key) && document.activeElement?.matches(".cite")) {
    const markers = [...log.querySelectorAll(".cite")];
    const step = (event.key === "ArrowRight") === (dir !== "rtl") ? 1 : -1;
    markers[(markers.indexOf(document.activeElement) + step + markers.length) % markers.length].focus();
  }
});

label();
filters();
open(location.hash.slice(1));
learn();
if (!matchMedia("(pointer: coarse)").matches) box.focus(); // on a phone the keyboard would cover the page
