// The page works without this file: forms and links then load it anew. With it, a clip is sent as soon as it is chosen,
// and the parts that change are taken out of the server's answer, so that each is drawn in one place, the template.
const $ = (id) => document.getElementById(id);
const form = $("form"), file = $("file"), audio = $("audio");
const TEXTS = {
  working: "Listening…",
  offline: "The server did not answer: check that it is still running, then try again.",
  oneOnly: "One clip at a time: the first was taken.",
};
let url = null, asking = null;

document.documentElement.classList.add("js");

const set = (element, name, on) => on ? element.setAttribute(name, "true") : element.removeAttribute(name);

function hear(source, name) {
  if (url) URL.revokeObjectURL(url);
  url = source instanceof Blob ? URL.createObjectURL(source) : null;
  audio.src = url ?? source;
  $("clip-name").textContent = name;
  $("player").hidden = false;
  $("unplayable").hidden = true;
}

// What the browser cannot play may still have an answer; what has neither needs no player.
function review() {
  $("unplayable").hidden = !audio.error;
  if (audio.error && $("error").textContent) $("player").hidden = true;
}

function complain(sentence) {
  $("error").textContent = sentence;
  set(file, "aria-invalid", sentence);
  review();
}

function show(page) {
  $("answer").replaceChildren(...page.getElementById("answer").childNodes);
  complain(page.getElementById("error").textContent);
  const said = $("answer").querySelector("[data-say]");
  $("status").textContent = said ? said.dataset.say : "";
  if (said) $("answer").scrollIntoView({ block: "nearest" });
}

async function ask(address, options = {}) {
  asking?.abort();
  const mine = (asking = new AbortController());
  complain("");
  $("status").textContent = TEXTS.working;
  $("answer").setAttribute("aria-busy", "true");
  try {
    const reply = await fetch(address, { ...options, signal: mine.signal, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (mine !== asking) return;
    if (page.getElementById("answer")) show(page);
    else throw new Error(page.querySelector("h1")?.textContent || TEXTS.offline);
  } catch (error) {
    if (mine !== asking) return;
    $("status").textContent = "";
    complain(error instanceof TypeError ? TEXTS.offline : error.message);
  } finally {
    if (mine === asking) $("answer").removeAttribute("aria-busy");
  }
}

function send(clip) {
  mark(null);
  hear(clip, clip.name);
  if (clip.size > Number(form.dataset.maxBytes)) {
    asking?.abort();
    asking = null;
    $("answer").removeAttribute("aria-busy");
    return complain(form.dataset.tooLarge);
  }
  const body = new FormData();
  body.set("file", clip);
  ask(form.action, { method: "POST", body });
}

function mark(sample) {
  for (const link of document.querySelectorAll(".sample")) set(link, "aria-current", link === sample);
}

file.addEventListener("click", () => { file.value = ""; });
file.addEventListener("change", () => { if (file.files[0]) send(file.files[0]); });
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (file.files[0]) send(file.files[0]);
});
audio.addEventListener("error", review);

for (const link of document.querySelectorAll(".sample")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    mark(link);
    hear(link.dataset.audio, `Sample: ${link.textContent}`);
    ask(link.href);
  });
}

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
let over = 0;
document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { over++; $("drop").classList.add("over"); } });
document.addEventListener("dragleave", (event) => { if (holdsFiles(event) && --over <= 0) { over = 0; $("drop").classList.remove("over"); } });
document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  over = 0;
  $("drop").classList.remove("over");
  const { files } = event.dataTransfer;
  if (!files[0]) return;
  send(files[0]);
  if (files.length > 1) $("clip-name").textContent += `. ${TEXTS.oneOnly}`;
});
