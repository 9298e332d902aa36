"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const form = byId("filter");
  const names = ["find", "outcome", "language", "pair", "tag"].filter((name) => form.elements[name]);
  const questions = [...document.querySelectorAll(".question")];

  // What is searched is compared without accents, vowel points, width and case. Signs that are letters of their own
  // script (the marks of Hindi, Thai, Korean, kana) stay.
  const marks = /[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u2060]/g;
  const plain = { "ø": "o", "ł": "l", "đ": "d", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe" };
  const folded = (text) => text.toLowerCase().normalize("NFKD").replace(marks, "").normalize("NFKC")
    .replace(/[øłđıßæœ]/g, (letter) => plain[letter]).replace(/\s+/g, " ").trim();

  const texts = new Map();
  const wordsOf = (part) => {
    const copy = part.cloneNode(true);
    copy.querySelectorAll(".verdict").forEach((sign) => sign.remove());
    return copy.textContent;
  };
  const textOf = (question) => {
    if (!texts.has(question)) {
      texts.set(question, folded([...question.querySelectorAll(".find")].map(wordsOf).join("\n")));
    }
    return texts.get(question);
  };
  const tagsOf = (question) => JSON.parse(question.dataset.tag);

  const wanted = () => new Map(names.map((name) => [name, form.elements[name].value]).filter(([, value]) => value));
  const matches = (question, asked) => [...asked].every(([name, value]) => {
    if (name === "find") return folded(value).split(" ").every((word) => textOf(question).includes(word));
    return name === "tag" ? tagsOf(question).includes(value) : question.dataset[name] === value;
  });

  const show = () => {
    const asked = wanted();
    let n = 0;
    for (const question of questions) {
      question.hidden = !matches(question, asked);
      n += question.hidden ? 0 : 1;
    }
    const all = questions.length.toLocaleString("en");
    byId("shown").textContent = asked.size ? `${n.toLocaleString("en")} of ${all} questions shown` : `${all} questions`;
    byId("clear").disabled = !asked.size;
  };

  const remember = () => {
    const hash = new URLSearchParams([...wanted()]).toString();
    try {
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    } catch {
      // A page without an address of its own keeps no filter.
    }
  };

  const clear = () => {
    for (const name of names) form.elements[name].value = "";
  };

  // A fragment with "=" is a filter, any other the name of a place in the page.
  const follow = () => {
    const hash = location.hash.slice(1);
    if (hash.includes("=")) {
      const asked = new URLSearchParams(hash);
      for (const name of names) form.elements[name].value = asked.get(name) ?? "";
      show();
      byId("questions").scrollIntoView();
      return;
    }
    const place = hash && byId(hash);
    const question = place && place.closest(".question");
    if (question) {
      if (question.hidden) {
        clear();
        show();
      }
      question.querySelector("details").open = true;
      place.scrollIntoView();
    }
  };

  form.addEventListener("input", () => { show(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { clear(); show(); remember(); form.elements.find.focus(); });
  const fold = (open) => {
    for (const question of questions) {
      if (!open || !question.hidden) question.querySelector("details").open = open;
    }
  };
  byId("unfold").addEventListener("click", () => fold(true));
  byId("fold").addEventListener("click", () => fold(false));
  window.addEventListener("hashchange", follow);

  const theme = byId("theme");
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  theme.hidden = false;
  form.hidden = false;
  show();
  follow();
})();
