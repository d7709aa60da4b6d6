// The page works without this file: forms and links then load it anew. With it, a clip is sent as soon as it is there,
// and the parts that change are taken out of the server's answer.
import { $, TEXTS, Trouble, calm, fill, set } from "./dom.js";
import { ask } from "./api.js";
import { Busy } from "./busy.js";
import { History } from "./history.js";
import { Recorder, obstacle } from "./record.js";
import { Timeline } from "./timeline.js";
import { Voice } from "./adapt.js";

const MOST = 120, LEAST = 0.5; // seconds of a recording
const form = $("form"), file = $("file"), maxBytes = Number(form.dataset.maxBytes);
let shown = null; // the id in the history of the answer that is looked at

document.documentElement.classList.add("js");
file.multiple = true;

const say = (sentence) => { $("status").textContent = sentence; };
const busy = new Busy($("busy"));
const timeline = new Timeline();
const recorder = new Recorder($("booth"), { most: Math.min(MOST, Number(form.dataset.maxSeconds)) });
const voice = new Voice({ clips: () => history.ticked(), onBegin: () => recorder.finish(false), onChange: rejudge, say });
const history = new History({ maxBytes, onShow: again, onTick: (n) => voice.offer(n) });

if (obstacle()) {
  set($("record"), "disabled", true);
  $("record-note").textContent = obstacle();
  $("record-note").hidden = false;
}

function complain(sentence) {
  $("error").textContent = sentence;
  set(file, "aria-invalid", Boolean(sentence));
}

function mark(sample) {
  for (const link of document.querySelectorAll(".sample")) set(link, "aria-current", link === sample);
}

// One thing at a time: what was begun before is given up.
async function work(act) {
  busy.control?.abort(new DOMException("", "AbortError"));
  recorder.finish(false);
  complain("");
  $("ways").hidden = true;
  const mine = (work.mine = {});
  try {
    await act(() => mine === work.mine);
  } catch (error) {
    if (mine !== work.mine) return;
    if (error.name === "AbortError") say(TEXTS.working.cancelled);
    else if (error instanceof Trouble) complain(error.message);
    else throw error;
  } finally {
    if (mine === work.mine) {
      const lost = [...document.querySelectorAll("#booth, #busy")].some((e) => e.contains(document.activeElement));
      busy.end();
      $("ways").hidden = false;
      set($("answer"), "aria-busy", false);
      if (lost || document.activeElement === document.body) $(recorder.used ? "record" : "file").focus({ preventScroll: true });
    }
  }
}

// Ask the server about one clip, and show what it says.
async function judge(clip, name, title = name) {
  if (clip.size > maxBytes) throw new Trouble(form.dataset.tooLarge);
  say(fill(TEXTS.working.title, { name }));
  set($("answer"), "aria-busy", true);
  const how = busy.begin(fill(TEXTS.working.title, { name: title }));
  if (document.activeElement === document.body) $("busy").querySelector(".cancel").focus({ preventScroll: true });
  return ask(form.action, clip, { ...how, adaptation: voice.adaptation });
}

function draw(page, clip, name) {
  for (const id of ["verdict", "parts", "shares"]) $(id).replaceChildren(...page.getElementById(id).cloneNode(true).childNodes);
  const verdict = $("verdict").querySelector("[data-answer]"), answer = JSON.parse(verdict.dataset.answer);
  if (timeline.clip !== clip) timeline.open(clip, name);
  timeline.answer(answer, $("parts").querySelectorAll("li"));
  say(verdict.dataset.say);
  return answer;
}

// Clips, one after the other: [{ clip, name, same }]. One that cannot be read does not stop the others.
function hear(clips) {
  return work(async (current) => {
    const wrong = [];
    for (const [i, { clip, name, same }] of clips.entries()) {
      timeline.open(clip, name);
      const title = clips.length > 1 ? `${fill(TEXTS.clip.count, { n: i + 1, all: clips.length })}: ${name}` : name;
      try {
        const page = await judge(clip, name, title);
        if (!current()) return;
        shown = history.add(name, draw(page, clip, name), clip, page, same);
      } catch (error) {
        if (!(error instanceof Trouble)) throw error;
        if (!current()) return;
        wrong.push(clips.length > 1 ? fill(TEXTS.errors.named, { name, sentence: error.message }) : error.message);
        complain(wrong.join(" "));
        empty();
      }
    }
    $("answer").scrollIntoView({ block: $("answer").offsetTop > $("form").offsetTop + 50 ? "start" : "nearest", behavior: calm() ? "auto" : "smooth" });
  });
}

// What got no answer leaves none behind that could be taken for its own.
function empty() {
  timeline.close();
  shown = null;
  $("verdict").replaceChildren($("blank").content.cloneNode(true));
  $("parts").replaceChildren();
  $("shares").replaceChildren();
}

// An answer of the session, looked at once more.
function again(entry, { clip, page }) {
  shown = entry.id;
  mark(null);
  draw(page, clip, entry.name);
  $("answer").scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
}

// The voice is known now, or forgotten: what is looked at is judged anew.
function rejudge() {
  const kept = history.kept.get(shown), entry = history.entries.find((e) => e.id === shown);
  if (!kept || !entry) return;
  work(async (current) => {
    const page = await judge(kept.clip, entry.name);
    if (current()) history.change(entry.id, draw(page, kept.clip, entry.name), page);
  });
}

const named = (files) => [...files].map((clip) => ({ clip, name: clip.name, same: true }));

file.addEventListener("click", () => { file.value = ""; });
file.addEventListener("change", () => {
  if (!file.files.length) return;
  recorder.used = false;
  mark(null);
  hear(named(file.files));
});
form.addEventListener("submit", (event) => event.preventDefault());

$("record").addEventListener("click", () => work(async (current) => {
  recorder.used = true;
  timeline.player.pause();
  const clip = await recorder.record();
  if (!clip || !current()) return;
  if (clip.seconds < LEAST) throw new Trouble(TEXTS.record.short);
  mark(null);
  await hear([{ clip, name: fill(TEXTS.record.name, { n: history.next }), same: true }]);
}));

for (const link of document.querySelectorAll(".sample")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    mark(link);
    work(async (current) => {
      const reply = await fetch(link.dataset.audio).catch(() => { throw new Trouble(TEXTS.errors.offline); });
      if (!reply.ok) throw new Trouble(TEXTS.errors.broken);
      const clip = await reply.blob();
      if (current()) await hear([{ clip, name: fill(TEXTS.clip.sample, { name: link.textContent }), same: false }]);
    });
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
  if (!event.dataTransfer.files.length) return;
  mark(null);
  hear(named(event.dataTransfer.files));
});

// The page was opened with a sample in its address.
document.querySelector(".sample[aria-current]")?.click();
