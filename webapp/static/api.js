// Talks to the server, and to nobody else. An answer comes as the page that a plain form would get, so that each part
// of it is drawn in one place, the template; an error comes as a sentence.
import { $, TEXTS, Trouble, keep, pause, recall } from "./dom.js";

const RETRIES = 3, LONGEST_WAIT = 30, KEY = "ser.key";

// `XMLHttpRequest`, because `fetch` does not tell how far an upload has come.
function request(address, body, accept, { signal, onSent }) {
  return new Promise((done, fail) => {
    const xhr = new XMLHttpRequest();
    const abort = () => xhr.abort();
    xhr.open("POST", address);
    xhr.setRequestHeader("Accept", accept);
    if ($("key").value) xhr.setRequestHeader("Authorization", `Bearer ${$("key").value}`);
    xhr.upload.addEventListener("progress", (e) => { if (e.lengthComputable) onSent?.(e.loaded / e.total); });
    xhr.upload.addEventListener("load", () => onSent?.(1));
    xhr.addEventListener("load", () => done(xhr));
    xhr.addEventListener("error", () => fail(new Trouble(TEXTS.errors.offline)));
    xhr.addEventListener("abort", () => fail(signal.reason));
    xhr.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) return fail(signal.reason);
    xhr.send(body);
  });
}

// A server that is busy says when to come back.
async function patient(address, body, accept, how) {
  for (let round = 0; ; round++) {
    const reply = await request(address, body, accept, how);
    const wait = Number(reply.getResponseHeader("Retry-After"));
    if (reply.status === 401) {
      $("key-row").hidden = false;
      throw new Trouble(TEXTS.key.needed);
    }
    if (![429, 503].includes(reply.status) || !(wait > 0 && wait <= LONGEST_WAIT) || round >= RETRIES) return reply;
    how.onFull?.(wait);
    await pause(wait, how.signal);
  }
}

// Some servers answer those alone who have a key.
$("key").value = recall(KEY) ?? "";
$("key-row").hidden = !$("key").value;
$("key").addEventListener("input", () => keep(KEY, $("key").value.trim() || null));

function form(clips, adaptation) {
  const body = new FormData();
  for (const clip of clips) body.append("file", clip, "clip"); // the name that the clip has at home stays there
  if (adaptation) body.append("adaptation", JSON.stringify(adaptation));
  return body;
}

// The page with the answer to a clip.
export async function ask(address, clip, { adaptation, ...how } = {}) {
  const reply = await patient(address, form([clip], adaptation), "text/html", how);
  if (/json/.test(reply.getResponseHeader("Content-Type"))) throw new Trouble(sentence(reply));
  const page = new DOMParser().parseFromString(reply.responseText, "text/html");
  const error = page.getElementById("error")?.textContent || (reply.status >= 400 && page.querySelector("h1")?.textContent);
  if (error) throw new Trouble(error);
  if (!page.querySelector("#verdict [data-answer]")) throw new Trouble(TEXTS.errors.broken);
  return page;
}

// What is peculiar to the one voice in some clips, besides what was known of it: a row of numbers.
export async function learn(address, clips, { adaptation, ...how } = {}) {
  const reply = await patient(address, form(clips, adaptation), "application/json", how);
  if (reply.status >= 400) throw new Trouble(sentence(reply));
  const said = json(reply)?.adaptation;
  if (!said) throw new Trouble(TEXTS.errors.broken);
  return said;
}

function json(reply) {
  try { return JSON.parse(reply.responseText); } catch { return null; }
}

const sentence = (reply) => json(reply)?.detail || json(reply)?.title || TEXTS.errors.broken;
