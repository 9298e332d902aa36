/* The page in the widget's iframe. Whatever comes from a model or a document becomes text nodes, never markup. */
(() => {
  "use strict";
  const TAG = "dragoman:1";
  const MAX_TURNS = 4; // of the conversation that are sent along
  const config = JSON.parse(document.body.dataset.config);
  const query = new URLSearchParams(location.search);
  const framed = window.parent !== window && config.host !== "";
  const byId = (id) => document.getElementById(id);
  const log = byId("log"), box = byId("box"), status = byId("status"), greeting = byId("greeting");
  let words = config.words;
  let own = { title: config.title, greeting: config.greeting };
  let turns = []; // {question, answer}: those that were answered
  let running = null; // the AbortController of the answer that is coming
  let next = ""; // asked by the page around this one meanwhile
  let n_asked = 0;

  /* --- making elements ------------------------------------------------------------------------------------- */

  // Characters that draw the text behind them backwards, and controls: no article needs them, a forger does.
  const clean = (text) => String(text).replace(/[\u202d\u202e\u0000-\u0008\u000b-\u001f\u007f]/g, "");

  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    element.append(...children.map((one) => (typeof one === "string" ? clean(one) : one)));
    return element;
  }

  function button(text, attributes, press) {
    const element = make("button", { type: "button", ...attributes }, text);
    element.addEventListener("click", press);
    return element;
  }

  function webAddress(text) {
    try {
      const url = new URL(text);
      return url.protocol === "https:" || url.protocol === "http:" ? url : null;
    } catch {
      return null;
    }
  }

  function languageName(tag) {
    try {
      return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(tag);
    } catch {
      return tag;
    }
  }

  function day(text) {
    const date = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text.slice(0, 10)) : null;
    if (!date || isNaN(date)) return text;
    return date.toLocaleDateString(document.documentElement.lang, { dateStyle: "medium", timeZone: "UTC" });
  }

  const flat = (text) => text.replace(/\s+/g, " ").trim();
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /* --- an answer ------------------------------------------------------------------------------------------- */

  class Turn {
    constructor(question) {
      this.question = question;
      this.id = `t${++n_asked}`;
      this.text = "";
      this.marks = {};
      this.sources = []; // citations
      this.cards = new Map(); // n -> its <details>
      this.said = make("div", { class: "said", "aria-busy": "true" });
      this.note = make("p", { class: "note wait" }, words.searching);
      this.below = make("div");
      this.section = make("section", { class: "turn" },
        make("h2", { class: "unseen" }, words.question), make("p", { class: "asked", dir: "auto" }, question),
        make("h2", { class: "unseen" }, words.answer), this.said, this.note, this.below);
      log.append(this.section);
      this.section.scrollIntoView({ block: "start" });
    }

    /* Draw what there is of the text; while it still comes, every [n] is one of ours. */
    draw(complete) {
      const known = new Set(this.sources.map((source) => source.n));
      const marks = Object.values(this.marks).map(escaped).join("|") || "(?!)";
      const pattern = new RegExp(`\\[(\\d{1,3})\\]|\\*\\*([^*\\n]+)\\*\\*|\\((${marks})\\)`, "g");
      const lines = this.text.split(/\n+/).filter((line) => line.trim());
      this.said.replaceChildren(...lines.map((line) => {
        const paragraph = make("p", { dir: "auto" });
        let position = 0;
        for (const found of line.matchAll(pattern)) {
          const [whole, n, strong, verdict] = found;
          if (n && complete && !known.has(Number(n))) continue;
          paragraph.append(clean(line.slice(position, found.index)));
          if (n) paragraph.append(this.marker(Number(n)));
          else if (strong) paragraph.append(make("strong", {}, strong));
          else paragraph.append(make("span", { class: `verdict ${this.verdictOf(verdict)}` }, whole));
          position = found.index + whole.length;
        }
        paragraph.append(clean(line.slice(position)));
        const language = complete && this.languageOf(line);
        if (language) paragraph.lang = language;
        return paragraph;
      }));
    }

    verdictOf(text) {
      return Object.keys(this.marks).find((name) => this.marks[name] === text) || "";
    }

    /* The language of a line that quotes its source word for word: the right letters for it depend on that. */
    languageOf(line) {
      const bare = flat(line.replace(/\[\d{1,3}\]/g, ""));
      const source = this.sources.find((one) => bare && flat(one.quote).includes(bare));
      return source ? source.language : this.language;
    }

    marker(n) {
      const label = words.show_source.replace("{n}", n);
      return button(`[${n}]`, { class: "cite", "aria-label": label, title: label }, () => this.show(n));
    }

    show(n) {
      const card = this.cards.get(n);
      if (!card) return;
      for (const other of log.querySelectorAll("details.lit")) other.classList.remove("lit");
      card.open = true;
      card.classList.add("lit");
      card.firstChild.focus({ preventScroll: true });
      card.scrollIntoView({ block: "nearest" });
      tell("citation", { id: this.id, n });
    }

    cite(citations) {
      this.sources = citations;
      if (!citations.length) return;
      const cards = citations.map((source, i) => this.card(source, i === 0));
      this.below.append(make("section", { class: "sources" }, make("h3", {}, words.sources), ...cards));
    }

    card(source, open) {
      const url = webAddress(source.url);
      const title = make("span", { class: "title", dir: "auto" }, source.title || source.source);
      if (source.language) title.lang = source.language;
      const from = url ? url.host : source.source;
      const about = [from, source.date && day(source.date), source.language && languageName(source.language)];
      const told = make("span", { class: "about" });
      about.filter(Boolean).forEach((part, i) => told.append(i ? " · " : "", make("bdi", {}, part)));
      const [before, quote, after] = [source.before, source.quote, source.after].map((text) => text.replace(/\n+/g, "\n"));
      const quoted = make("blockquote", { dir: "auto" }, before);
      const parts = source.answer.map((text) => text.replace(/\n+/g, "\n"));
      const [first, answer, last] = parts.length ? parts : [quote, "", ""];
      if (quote) quoted.append(make("mark", {}, first, ...(answer ? [make("b", {}, answer)] : []), last), clean(after));
      if (source.language) quoted.lang = source.language;
      const card = make("details", {},
        make("summary", {}, ...(source.n ? [make("bdi", {}, `[${source.n}]`), " "] : []), title, told), quoted);
      const span = `${source.start}-${source.end}`, lang = document.documentElement.lang;
      const asked = new URLSearchParams({ site: config.site, lang, cite: span });
      const href = url ? url.href : `article/${source.doc_id}?${asked}#${span}`;
      card.append(make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, words.open_article));
      card.open = open;
      if (source.n) this.cards.set(source.n, card);
      return card;
    }

    finish(done) {
      this.text = done.text;
      this.language = done.language;
      this.draw(true);
      if (done.closest) {
        this.below.append(make("section", { class: "sources" },
          make("h3", {}, words.closest), this.card(done.closest, true)));
      }
      this.end("");
      this.below.append(this.feedback());
      turns.push({ question: this.question, answer: this.text.slice(0, 20000) });
      status.textContent = words.ready;
      const detail = { id: this.id, length: this.text.length, citations: this.sources.length, abstained: done.abstained };
      tell("answer", detail);
    }

    /* No more comes; `text` says why, where that is not because all is there. */
    end(text, bad) {
      this.said.setAttribute("aria-busy", "false");
      this.note.hidden = !text;
      this.note.textContent = text;
      this.note.className = bad ? "note bad" : "note";
      if (text) {
        if (bad) this.note.setAttribute("role", "alert");
        if (this.text) this.draw(true);
        this.below.append(button(words.retry, { class: "chip" }, () => {
          this.section.remove();
          ask(this.question);
        }));
      }
    }

    feedback() {
      const row = make("div", { class: "said-of" }, make("span", {}, words.was_right));
      const offer = (...kinds) => row.append(...kinds.map((kind) =>
        button(words[kind], { class: "chip", "data-kind": kind }, () => this.say(kind, row, offer))));
      offer("right", "wrong", "wrong_citation", "not_in_articles");
      return row;
    }

    say(kind, row) {
      const citations = this.sources.map(({ doc_id, start, end }) => ({ doc_id, start, end }));
      post("feedback", { site: config.site, kind, question: this.question, answer: this.text.slice(0, 20000), citations })
        .catch(() => {}); // the visitor has said it; whether it was kept is not theirs to mend
      row.replaceChildren(make("span", { tabindex: "-1" }, words.thanks));
      row.firstChild.focus();
      tell("feedback", { id: this.id, kind });
    }
  }

  /* --- asking ---------------------------------------------------------------------------------------------- */

  const post = (path, body, signal) => fetch(path, {
    method: "POST", signal, credentials: "omit", cache: "no-store",
    headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });

  async function ask(text) {
    const question = text.trim().slice(0, config.max_chars);
    if (!question || running) return;
    const turn = new Turn(question);
    running = new AbortController();
    const mine = running;
    busy(true);
    tell("question", { id: turn.id, length: question.length });
    try {
      const body = { site: config.site, question, history: turns.slice(-MAX_TURNS) };
      const response = await post("ask", body, mine.signal);
      if (!response.ok) refused(turn, response);
      else await follow(turn, response.body);
    } catch {
      if (mine.signal.aborted) turn.end(words.stopped);
      else failed(turn, "offline", words.offline);
    }
    if (running === mine) {
      running = null;
      busy(false);
      const question = next;
      next = "";
      ask(question);
    }
  }

  function refused(turn, response) {
    const seconds = response.headers.get("Retry-After");
    if ([429, 503].includes(response.status) && seconds) failed(turn, "busy", words.busy.replace("{s}", seconds));
    else failed(turn, response.status === 403 ? "not_allowed" : "failed", response.status === 403 ? words.unknown_site : words.failed);
  }

  function failed(turn, code, text) {
    turn.end(text, true);
    tell("error", { id: turn.id, code });
  }

  /* Server-sent events: blocks of lines, an empty line between them. */
  async function follow(turn, stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let held = "", ended = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      held += value;
      const blocks = held.split("\n\n");
      held = blocks.pop();
      for (const block of blocks) {
        const name = /^event: (.*)$/m.exec(block), data = /^data: (.*)$/m.exec(block);
        if (name && data) ended = take(turn, name[1], JSON.parse(data[1])) || ended;
      }
    }
    if (!ended) failed(turn, "offline", words.offline);
  }

  /* One event; true where it is the last. */
  function take(turn, name, data) {
    if (name === "question") turn.marks = data.marks;
    else if (name === "delta") {
      turn.note.hidden = true;
      turn.text += data.text;
      turn.draw(false);
    } else if (name === "citations") turn.cite(data.citations);
    else if (name === "done") turn.finish(data);
    else if (name === "error") failed(turn, data.code, words.failed);
    return name === "done" || name === "error";
  }

  function busy(yes) {
    byId("send").hidden = yes;
    byId("stop").hidden = !yes;
    if (yes) status.textContent = words.searching;
  }

  function reset() {
    if (running) running.abort();
    turns = [];
    next = "";
    log.replaceChildren(greeting);
    status.textContent = "";
    box.focus();
  }

  function submit() {
    if (running || !box.value.trim()) return;
    const text = box.value;
    box.value = "";
    grow();
    ask(text);
  }

  function grow() {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
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
      byId("close").hidden = false;
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
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    // While a syllable is being composed, Enter chooses it; Safari tells that by the key code alone.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      submit();
    }
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && tell("close"));

  paint(query.get("color"), "");
  label();
  tell("ready", {});
})();
