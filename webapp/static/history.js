// The answers of this session. They live in the tab's own storage, without the sound, and the table can be taken home.
import { $, TEXTS, fill, keep, lasting, percent, recall, word } from "./dom.js";

const KEY = "ser.history", MOST = 200, MOST_CLIPS = 16;

export class History {
  constructor({ maxBytes, onShow, onTick }) {
    Object.assign(this, { maxBytes, onShow, onTick });
    this.entries = recall(KEY) ?? [];
    this.kept = new Map(); // id -> { clip, page }, for as long as the page is open
    $("clear").addEventListener("click", () => this.clear());
    $("csv").addEventListener("click", () => { $("csv").href = this.link(); });
    this.show();
  }

  get next() { return (this.entries[0]?.id ?? 0) + 1; }

  add(name, answer, clip, page, same) {
    const entry = { id: this.next, time: new Date().toISOString(), name, same, ...answer };
    this.entries = [entry, ...this.entries].slice(0, MOST);
    this.kept.set(entry.id, { clip, page });
    this.save();
    return entry.id;
  }

  // The clip was judged anew.
  change(id, answer, page) {
    const entry = this.entries.find((e) => e.id === id);
    if (!entry) return;
    Object.assign(entry, answer);
    this.kept.get(id).page = page;
    this.save();
  }

  // The clips that are ticked as the same voice and still here, the newest, as many as the server takes at a time.
  ticked() {
    let room = this.maxBytes;
    const clips = this.entries.filter((e) => e.same && this.kept.has(e.id)).map((e) => this.kept.get(e.id).clip);
    return clips.slice(0, MOST_CLIPS).filter((clip) => (room -= clip.size) >= 0);
  }

  clear() {
    this.entries = [];
    this.kept.clear();
    this.save();
    $("record").focus();
  }

  save() {
    keep(KEY, this.entries);
    this.show();
  }

  show() {
    $("history").hidden = !this.entries.length;
    $("rows").replaceChildren(...this.entries.map((entry) => this.row(entry)));
    this.onTick?.(this.ticked().length);
  }

  row(entry) {
    const row = document.createElement("tr"), kept = this.kept.has(entry.id);
    const cell = (text, kind = "") => { const td = document.createElement("td"); td.className = kind; td.append(text); return td; };
    if (document.querySelector("th.same")) row.append(cell(this.tick(entry, kept), "same"));
    const name = document.createElement("th");
    name.scope = "row";
    name.append(kept ? this.again(entry) : entry.name);
    const emotion = document.createElement("span");
    emotion.className = `tag${entry.emotion === "no speech" ? "" : ` e-${entry.emotion}`}${entry.unsure ? " unsure" : ""}`;
    emotion.textContent = word(entry.emotion) + (entry.unsure ? ", " + TEXTS.timeline.unsure : "");
    const time = new Date(entry.time).toLocaleTimeString(TEXTS.lang === "en" ? "en-GB" : TEXTS.lang, { hour: "2-digit", minute: "2-digit" });
    const what = cell(emotion), share = document.createElement("span");
    share.className = "narrow"; // where there is no room for a column of its own
    share.textContent = ` ${percent(entry.confidence)}`;
    what.append(share);
    row.append(name, what, cell(percent(entry.confidence), "figure"), cell(lasting(entry.duration), "figure"), cell(time, "figure"));
    return row;
  }

  tick(entry, kept) {
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", checked: entry.same && kept, disabled: !kept });
    box.setAttribute("aria-label", fill(TEXTS.history.same_of, { name: entry.name }));
    box.addEventListener("change", () => {
      entry.same = box.checked;
      this.onTick(this.ticked().length);
    });
    return box;
  }

  again(entry) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = entry.name;
    button.setAttribute("aria-label", fill(TEXTS.history.again, { name: entry.name }));
    button.addEventListener("click", () => this.onShow(entry, this.kept.get(entry.id)));
    return button;
  }

  csv() {
    const labels = [...new Set(this.entries.flatMap((e) => Object.keys(e.probabilities)))];
    const head = ["time", "clip", "emotion", "confidence", "unsure", "seconds", "known_by", ...labels];
    const rows = this.entries.toReversed().map((e) => [e.time, e.name, e.emotion, e.confidence.toFixed(4), e.unsure,
      e.duration.toFixed(2), e.known, ...labels.map((label) => e.probabilities[label]?.toFixed(4) ?? "")]);
    return [head, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
  }

  link() {
    if (this.url) URL.revokeObjectURL(this.url);
    return (this.url = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" })));
  }
}

// Quoted where it must be; and what a spreadsheet would take for a formula is text.
function field(value) {
  let text = String(value);
  if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
