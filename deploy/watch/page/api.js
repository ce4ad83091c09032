// Questions to the page's own server, which is the only one that this page ever asks.

export class Refusal extends Error {
  constructor(status, code, words) {
    super(words);
    this.status = status;
    this.code = code;
  }
}

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "NoServer", "the page's own server does not answer: is `invoke watch` still running?");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, told.code || "", told.error || `HTTP ${answer.status}`);
}

export async function get(path, options) { return (await asked(path, options)).json(); }
export async function blob(path, options) { return (await asked(path, options)).blob(); }
export async function post(path, body, options) {
  const json = { "Content-Type": "application/json" };
  return (await asked(path, { method: "POST", headers: json, body: JSON.stringify(body), ...options })).json();
}
export function remove(path) { asked(path, { method: "DELETE", keepalive: true }).catch(() => {}); }
