/* The conversations that this browser keeps. Anybody at the browser can write to its storage: what has another shape is left out. */

const KEY = "dragoman_conversations_2"; // another name forgets all conversations
const MOST = 30; // conversations
const MOST_CHARS = 400_000; // of them together
const TITLE_CHARS = 60;
const KEPT = ["question", "text", "language", "sentences", "sources", "closest", "abstained", "reason", "done"]; // of an answer

export function all() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) || "[]");
    return found.filter((one) => typeof one?.id === "string" && typeof one.title === "string" && Array.isArray(one.turns))
      .map((one) => ({ ...one, turns: one.turns.filter((turn) => typeof turn?.question === "string" && typeof turn.text === "string") }));
  } catch {
    return [];
  }
}

function store(conversations) {
  const kept = conversations.slice(0, MOST);
  while (kept.length > 1 && JSON.stringify(kept).length > MOST_CHARS) kept.pop();
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // storage is full or switched off: the conversation goes on without it
  }
}

/* Keep a conversation as the newest; its title is its first question, until it is given another. */
export function keep(id, turns) {
  const before = all();
  const others = before.filter((one) => one.id !== id);
  if (!turns.length) return store(others);
  const first = turns[0].question.replace(/\s+/g, " ").trim();
  const title = before.find((one) => one.id === id)?.renamed || (first.length > TITLE_CHARS ? `${first.slice(0, TITLE_CHARS)}…` : first);
  const renamed = before.find((one) => one.id === id)?.renamed;
  const plain = turns.map((turn) => Object.fromEntries(KEPT.map((name) => [name, turn[name]])));
  store([{ id, title, renamed, turns: plain }, ...others]);
}

export function rename(id, title) {
  store(all().map((one) => (one.id === id ? { ...one, title, renamed: title } : one)));
}

export function drop(id) {
  store(all().filter((one) => one.id !== id));
}

export function drop_all() {
  store([]);
}
