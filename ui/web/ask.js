/* A question to the server, and the events of its answer. */

export const post = (path, body, signal) => fetch(path, {
  method: "POST", signal, credentials: "same-origin", cache: "no-store",
  headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

/* Send `body` and give each event to `take(name, data)`. Resolves to {code, seconds}, where `code` is empty at a good end. */
export async function ask(path, body, signal, take) {
  try {
    const response = await post(path, body, signal);
    if (!response.ok) return refused(response);
    return await follow(response.body, take);
  } catch {
    return { code: signal.aborted ? "stopped" : "offline" };
  }
}

async function refused(response) {
  const seconds = response.headers.get("Retry-After");
  if ([429, 503].includes(response.status) && seconds) return { code: "busy", seconds };
  let code = "failed";
  try {
    code = (await response.json()).code || code;
  } catch {
    // an answer of something between the server and us
  }
  return { code: response.status === 401 ? "no_key" : code };
}

/* Server-sent events: blocks of lines, an empty line between them. */
async function follow(stream, take) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = "", end = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block), data = /^data: (.*)$/m.exec(block);
      if (!name || !data) continue;
      const given = JSON.parse(data[1]);
      if (name[1] === "error") end = { code: given.code || "failed" };
      else if (name[1] === "done") end = { code: "" };
      if (name[1] !== "error") take(name[1], given);
    }
  }
  return end || { code: "offline" };
}

/* What to tell a reader of an end that was no good one. */
export function words_of(end, words) {
  if (end.code === "busy") return words.busy.replace("{s}", end.seconds);
  if (/^model_/.test(end.code)) return words.model_problem;
  if (/^(index|store|format|encoder)_/.test(end.code)) return words.index_problem;
  return { stopped: words.stopped, offline: words.offline, no_key: words.no_key, unknown_site: words.unknown_site }[end.code] || words.failed;
}
