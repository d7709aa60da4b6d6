// The clip that is looked at: its waveform, the emotion over time beneath it, and any part of it to be heard.
import { $, TEXTS, clock, fill, set } from "./dom.js";
import { Player } from "./player.js";
import { draw, peaks } from "./wave.js";

export class Timeline {
  constructor() {
    this.player = new Player();
    this.parts = [];
    this.player.addEventListener("change", () => this.follow());
    $("play").addEventListener("click", () => this.player.toggle());
    $("wave").addEventListener("keydown", (event) => this.keys(event));
    $("wave").addEventListener("pointerdown", (event) => this.point(event));
    new ResizeObserver(() => this.draw()).observe($("wave"));
  }

  // A clip, before anything is known about it.
  async open(clip, name) {
    this.clip = clip;
    this.parts = [];
    this.peaks = null;
    this.emotion = "";
    this.duration = 0;
    this.player.open(clip);
    $("sound-name").textContent = name;
    $("sound").hidden = false;
    $("strips").replaceChildren();
    this.draw();
    const found = await peaks(clip);
    if (clip !== this.clip) return;
    this.peaks = found?.values ?? null;
    this.duration ||= found?.duration ?? 0;
    this.draw();
  }

  close() {
    this.clip = null;
    this.player.close();
    $("sound").hidden = true;
  }

  // What the server heard in it; `rows` are the segments of its answer.
  answer({ duration, emotion }, rows) {
    this.duration = duration;
    this.emotion = emotion;
    this.parts = [...rows].map((row) => ({
      start: Number(row.dataset.start), end: Number(row.dataset.end), emotion: row.dataset.emotion, word: row.dataset.word,
      unsure: row.dataset.unsure === "true", channel: row.dataset.channel ?? "", say: row.dataset.say, kind: row.className,
    }));
    this.strips();
    this.draw();
  }

  at(time, channel) {
    return this.parts.find((p) => time >= p.start && time < p.end && (channel === undefined || p.channel === channel));
  }

  draw() {
    if ($("sound").hidden) return;
    const whole = this.emotion in TEXTS.emotions && this.emotion !== "no speech" ? `e-${this.emotion}` : "";
    const kind = (time) => {
      const part = this.at(time);
      return this.parts.length ? part && `${part.kind}${part.unsure ? " unsure" : ""}` : whole;
    };
    draw($("wave").querySelector("svg"), this.peaks, this.duration || 1, kind);
    $("end").textContent = this.duration ? clock(this.duration) : "";
    this.name();
    this.follow();
  }

  // One strip, or one for each channel; one stop for the Tab key in each.
  strips() {
    const channels = [...new Set(this.parts.map((p) => p.channel))];
    $("strips").replaceChildren(...channels.map((channel) => {
      const strip = document.createElement("div");
      strip.className = "strip";
      strip.setAttribute("role", "toolbar");
      strip.setAttribute("aria-describedby", "strip-keys");
      strip.setAttribute("aria-label", channel ? fill(TEXTS.timeline.strip_channel, { channel: TEXTS.timeline.channels[channel] ?? channel }) : TEXTS.timeline.strip);
      const buttons = this.parts.filter((p) => p.channel === channel).map((part, i) => this.button(part, i));
      strip.append(...buttons);
      strip.addEventListener("keydown", (event) => rove(event, buttons));
      return strip;
    }));
  }

  button(part, i) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `part ${part.kind}${part.unsure ? " unsure" : ""}`;
    button.tabIndex = i ? -1 : 0;
    button.setAttribute("aria-label", part.say);
    button.style.left = `${(100 * part.start) / this.duration}%`;
    button.style.width = `${(100 * (part.end - part.start)) / this.duration}%`;
    const name = document.createElement("span");
    name.textContent = part.word;
    button.append(document.createElement("i"), name);
    button.addEventListener("click", () => { this.player.playing && this.player.part?.from === part.start ? this.player.pause() : this.player.play(part.start, part.end); });
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => this.read(part));
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => this.read(null));
    part.button = button;
    return button;
  }

  // Names are written where there is room for them.
  name() {
    for (const { button } of this.parts) {
      if (!button) continue;
      const name = button.querySelector("span");
      name.hidden = false;
      name.hidden = name.scrollWidth > button.clientWidth;
    }
  }

  read(part) {
    this.looked = part;
    this.follow();
  }

  follow() {
    const { player } = this, now = Math.min(player.now, this.duration || Infinity);
    const share = this.duration ? now / this.duration : 0;
    const part = player.playing || now > 0 ? this.at(now) : null, wave = $("wave");
    wave.querySelector("i").style.left = `${100 * share}%`;
    wave.classList.toggle("begun", now > 0);
    wave.setAttribute("aria-valuemax", this.duration.toFixed(2));
    wave.setAttribute("aria-valuenow", now.toFixed(2));
    const times = { now: clock(now), all: clock(this.duration) };
    wave.setAttribute("aria-valuetext", part ? fill(TEXTS.timeline.at_in, { ...times, emotion: part.word }) : fill(TEXTS.timeline.at, times));
    $("now").textContent = clock(now);
    $("play").setAttribute("aria-label", player.playing ? TEXTS.timeline.pause : TEXTS.timeline.play);
    $("play").classList.toggle("playing", player.playing);
    for (const p of this.parts) set(p.button, "aria-current", player.playing && p.start <= now && now < p.end);
    for (const bar of wave.querySelectorAll("rect")) {
      const time = Number(bar.dataset.time);
      bar.classList.toggle("outside", Boolean(player.part) && (time < player.part.from || time > player.part.to));
    }
    const said = this.looked ?? (player.playing ? part : null);
    $("readout").textContent = said ? said.say : this.parts.length && player.playable ? $("readout").dataset.hint : "";
    $("readout").className = `hint readout ${said?.kind ?? ""}`;
    set($("play"), "disabled", !player.playable);
    $("unplayable").hidden = player.playable;
  }

  keys(event) {
    const step = Math.max(0.5, this.duration / 40);
    const to = { ArrowRight: this.player.now + step, ArrowUp: this.player.now + step, ArrowLeft: this.player.now - step,
      ArrowDown: this.player.now - step, Home: 0, End: this.duration, PageUp: this.player.now + 4 * step, PageDown: this.player.now - 4 * step }[event.key];
    if (to !== undefined) this.player.seek(Math.min(Math.max(0, to), this.duration));
    else if (event.key === " " || event.key === "Enter") this.player.toggle();
    else return;
    event.preventDefault();
  }

  point(event) {
    if (event.button || !this.duration) return;
    const { left, width } = $("wave").getBoundingClientRect();
    this.player.play(Math.min(Math.max(0, (event.clientX - left) / width), 1) * this.duration);
  }
}

function rove(event, buttons) {
  const here = buttons.indexOf(event.target);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (here < 0 || !buttons[to]) return;
  event.preventDefault();
  buttons[here].tabIndex = -1;
  buttons[to].tabIndex = 0;
  buttons[to].focus();
}
