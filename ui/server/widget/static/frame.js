/* The page in the widget's iframe. */
import { Answer, card, feedback, said } from "../../web/answer.js";
import { ask as ask_server, post, words_of } from "../../web/ask.js";
import { button, clean, grow, isEnter, make } from "../../web/dom.js";

// What is kept of an answer, for as long as the browser's tab: the conversation goes on on the site's next page.
const KEPT = ["question", "text", "language", "sentences", "sources", "closest", "abstained", "reason", "done"];
const MAX_KEPT = 20; // answers

const TAG = "dragoman:1";
const MAX_TURNS = 4; // of the conversation that are sent along
const config = JSON.parse(document.body.dataset.config);
const query = new URLSearchParams(location.search);
const framed = window.parent !== window && config.host !== "";
const byId = (id) => document.getElementById(id);
const log = byId("log"), box = byId("box"), status = byId("status"), greeting = byId("greeting"), starters = byId("starters");
let words = config.words;
let own = { title: config.title, greeting: config.greeting };
let turns = []; // {question, answer}: those that were answered
let kept = []; // the answers themselves
let running = null; // the AbortController of the answer that is coming
let next = ""; // asked by the page around this one meanwhile
let n_asked = 0;

/* --- an answer ------------------------------------------------------------------------------------------- */

class Turn {
  constructor(question) {
    this.answer = new Answer(question);
    this.id = `t${++n_asked}`;
    this.said = make("div", { class: "said", "aria-busy": "true" });
    this.note = make("p", { class: "note wait" }, words.searching);
    this.below = make("div");
    this.section = make("section", { class: "turn" },
      make("h2", { class: "unseen" }, words.question), make("p", { class: "asked", dir: "auto" }, question),
      make("h2", { class: "unseen" }, words.answer), this.said, this.note, this.below);
    log.append(this.section);
    this.section.scrollIntoView({ block: "start" });
  }

  take(name, data) {
    this.answer.take(name, data);
    if (name === "delta") {
      this.note.hidden = true;
      this.draw();
    } else if (name === "citations") this.sources(words.sources, data.citations);
    else if (name === "done") this.finish();
  }

  draw() {
    this.said.replaceChildren(...said(this.answer, words, (n) => this.show(n)));
  }

  sources(title, cited) {
    if (!cited.length) return;
    const more = { site: config.site, lang: document.documentElement.lang };
    const cards = cited.map((one, i) => card(one, words, { open: i === 0, query: more }));
    this.below.append(make("section", { class: "sources" }, make("h3", {}, title), ...cards));
  }

  show(n) {
    const found = this.below.querySelector(`details[data-n="${n}"]`);
    if (!found) return;
    for (const other of log.querySelectorAll("details.lit")) other.classList.remove("lit");
    found.open = true;
    found.classList.add("lit");
    found.firstChild.focus({ preventScroll: true });
    found.scrollIntoView({ block: "nearest" });
    tell("citation", { id: this.id, n });
  }

  /* An answer of an earlier page of the site. */
  restore(known) {
    Object.assign(this.answer, known);
    this.sources(words.sources, this.answer.sources);
    this.close();
  }

  finish() {
    const { answer } = this;
    this.close();
    kept = [...kept, Object.fromEntries(KEPT.map((name) => [name, answer[name]]))].slice(-MAX_KEPT);
    store();
    status.textContent = words.ready;
    tell("answer", { id: this.id, length: answer.text.length, citations: answer.sources.length, abstained: answer.abstained });
  }

  close() {
    const { answer } = this;
    this.draw();
    if (answer.closest) this.sources(words.closest, [answer.closest]);
    this.end("");
    this.below.append(feedback(words, (kind) => this.judge(kind)));
    turns.push({ question: answer.question, answer: answer.text.slice(0, 20000) });
  }

  /* No more comes; `text` says why, where that is not because all is there. */
  end(text, bad) {
    this.said.setAttribute("aria-busy", "false");
    this.note.hidden = !text;
    this.note.textContent = text;
    this.note.className = bad ? "note bad" : "note";
    if (!text) return;
    if (bad) this.note.setAttribute("role", "alert");
    if (this.answer.text) this.draw();
    this.below.append(button(words.retry, { class: "chip" }, () => {
      this.section.remove();
      ask(this.answer.question);
    }));
  }

  judge(kind) {
    const citations = this.answer.sources.map(({ doc_id, start, end }) => ({ doc_id, start, end }));
    const { question, text } = this.answer;
    post("feedback", { site: config.site, kind, question, answer: text.slice(0, 20000), citations })
      .catch(() => {}); // the visitor has said it; whether it was kept is not theirs to mend
    tell("feedback", { id: this.id, kind });
  }
}

function store() {
  try {
    sessionStorage.setItem(`dragoman:${config.site}`, JSON.stringify(kept));
  } catch {
    // storage is full or switched off: the conversation ends with the page
  }
}

function restore() {
  try {
    kept = JSON.parse(sessionStorage.getItem(`dragoman:${config.site}`) || "[]");
    for (const known of kept) new Turn(known.question).restore(known);
  } catch {
    kept = [];
  }
}

/* --- asking ---------------------------------------------------------------------------------------------- */

async function ask(text) {
  const question = text.trim().slice(0, config.max_chars);
  if (!question || running) return;
  const turn = new Turn(question);
  const mine = (running = new AbortController());
  busy(true);
  tell("question", { id: turn.id, length: question.length });
  const body = { site: config.site, question, history: turns.slice(-MAX_TURNS) };
  const end = await ask_server("ask", body, mine.signal, (name, data) => turn.take(name, data));
  if (end.code === "forbidden") end.code = "unknown_site";
  const bad = end.code && end.code !== "stopped";
  if (end.code) turn.end(words_of(end, words), bad);
  if (bad) tell("error", { id: turn.id, code: end.code === "unknown_site" ? "not_allowed" : end.code });
  if (running !== mine) return;
  running = null;
  busy(false);
  const waiting = next;
  next = "";
  ask(waiting);
}

function busy(yes) {
  byId("send").hidden = yes;
  byId("stop").hidden = !yes;
  if (yes) status.textContent = words.searching;
}

function reset() {
  if (running) running.abort();
  turns = [];
  kept = [];
  store();
  next = "";
  log.replaceChildren(greeting, starters);
  status.textContent = "";
  box.focus();
}

function submit() {
  if (running || !box.value.trim()) return;
  const text = box.value;
  box.value = "";
  grow(box);
  ask(text);
}

/* --- the page's own words and looks ----------------------------------------------------------------------- */

function name(id, text) {
  byId(id).setAttribute("aria-label", text);
  byId(id).title = text;
}

function label() {
  const title = own.title || words.title;
  byId("title").textContent = clean(title);
  document.title = clean(title);
  greeting.textContent = clean(own.greeting || words.greeting);
  for (const [id, word] of [["new", "new"], ["close", "close"], ["send", "send"], ["stop", "stop"]]) name(id, words[word]);
  log.setAttribute("aria-label", words.conversation);
  box.setAttribute("aria-label", words.placeholder);
  box.placeholder = words.placeholder;
}

async function speak(lang) {
  const other = await (await fetch(`words?${new URLSearchParams({ lang })}`)).json();
  words = other.words;
  document.documentElement.lang = other.lang;
  document.documentElement.dir = other.dir;
  label();
}

const theme = (wanted) => (document.documentElement.dataset.theme = ["light", "dark"].includes(wanted) ? wanted : "auto");

function paint(color, ink) {
  const hex = /^#([\da-f]{3}|[\da-f]{6})$/i;
  if (!hex.test(color || "")) return;
  document.documentElement.style.setProperty("--accent", color);
  document.documentElement.style.setProperty("--ink", hex.test(ink || "") ? ink : inkOn(color));
}

/* Black or white, whichever has the greater contrast on a colour (WCAG 2.2, relative luminance). */
function inkOn(color) {
  const full = color.length === 4 ? color.replace(/[^#]/g, "$&$&") : color;
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(full.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/* --- the page around this one ------------------------------------------------------------------------------ */

function tell(type, detail) {
  if (framed) window.parent.postMessage({ p: TAG, type, detail }, config.host);
}

const told = {
  init(message) {
    own = { title: message.title || own.title, greeting: message.greeting || own.greeting };
    paint(message.color, message.ink);
    byId("close").hidden = Boolean(message.inline);
    starters.replaceChildren(...String(message.starters || "").split("|").map((text) => text.trim()).filter(Boolean)
      .map((text) => button(text, { class: "chip", dir: "auto" }, () => ask(text))));
    label();
  },
  ask(message) {
    if (running) next = String(message.question);
    else ask(String(message.question));
  },
  focus: () => box.focus(),
  locale: (message) => speak(String(message.lang)),
  theme: (message) => theme(message.theme),
  reset,
};

window.addEventListener("message", (event) => {
  const message = event.data;
  if (!framed || event.source !== window.parent || event.origin !== config.host || !message || message.p !== TAG) return;
  if (Object.hasOwn(told, message.type)) told[message.type](message);
});

byId("new").addEventListener("click", reset);
byId("close").addEventListener("click", () => tell("close"));
byId("send").addEventListener("click", submit);
byId("stop").addEventListener("click", () => running && running.abort());
box.addEventListener("input", () => grow(box));
box.addEventListener("keydown", (event) => {
  if (!isEnter(event)) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && tell("close"));

paint(query.get("color"), "");
label();
restore();
tell("ready", {});
