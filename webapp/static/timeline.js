// The clip that is looked at: its waveform, the emotion over time beneath it, and any part of it to be heard.
import { $, TEXTS, clock, fill, set } from "./dom.js";
import { Player } from "./player.js";
import { draw, peaks } from "./wave.js";

const SCALE = 8; // pixels a second, at least: what does not fit is scrolled
// Decoded, a clip takes many times its size. What may be too long waits until it is known how long it is.
const SOON = 12 * 2 ** 20, LONGEST = 1200; // bytes, seconds
const FINE = 20; // shorter clips show tenths of a second

export class Timeline {
  constructor() {
    this.player = new Player();
    this.parts = [];
    this.player.addEventListener("change", () => this.follow());
    $("play").addEventListener("click", () => this.player.toggle());
    $("wave").addEventListener("keydown", (event) => this.keys(event));
    $("wave").addEventListener("click", (event) => this.point(event));
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
    this.pictured = clip.size <= SOON;
    if (this.pictured) await this.picture();
  }

  async picture() {
    const { clip } = this, found = await peaks(clip);
    if (clip !== this.clip) return;
    this.pictured = true;
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
    this.current = null;
    this.strips();
    this.draw();
    if (!this.pictured && duration <= LONGEST) this.picture();
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
    $("reel").style.width = this.parts.length > 1 ? `max(100%, ${Math.round(SCALE * this.duration)}px)` : "100%";
    this.ticks();
    draw($("wave").querySelector("svg"), this.peaks, this.duration || 1, kind);
    $("end").textContent = this.duration ? this.clock(this.duration) : "";
    this.name();
    this.shade(null);
    this.follow();
  }

  clock(seconds) { return clock(seconds, this.duration < FINE); }

  // Where one has to scroll, times stand along the way.
  ticks() {
    const scrolls = $("reel").clientWidth > $("window").clientWidth + 1;
    const times = [];
    for (let time = 0; scrolls && time < this.duration - 5; time += 15) times.push(time);
    $("ticks").replaceChildren(...times.map((time) => {
      const tick = document.createElement("span");
      tick.textContent = clock(time);
      tick.style.left = `${(100 * time) / this.duration}%`;
      return tick;
    }));
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
    const { player } = this, now = Math.min(player.now, this.duration || Infinity), wave = $("wave");
    const share = this.duration ? now / this.duration : 0;
    const part = player.playing || now > 0 ? this.at(now) : null;
    wave.querySelector("i").style.left = `${100 * share}%`;
    wave.classList.toggle("begun", now > 0);
    wave.setAttribute("aria-valuemax", this.duration.toFixed(2));
    wave.setAttribute("aria-valuenow", now.toFixed(2));
    const times = { now: this.clock(now), all: this.clock(this.duration) };
    wave.setAttribute("aria-valuetext", part ? fill(TEXTS.timeline.at_in, { ...times, emotion: part.word }) : fill(TEXTS.timeline.at, times));
    $("now").textContent = times.now;
    $("play").setAttribute("aria-label", player.playing ? TEXTS.timeline.pause : TEXTS.timeline.play);
    $("play").classList.toggle("playing", player.playing);
    this.mark(player.playing ? part : null);
    this.shade(player.part);
    if (player.playing) this.turn(share);
    const said = this.looked ?? (player.playing ? part : null);
    $("readout").textContent = said ? said.say : this.parts.length && player.playable ? $("readout").dataset.hint : "";
    $("readout").className = `hint readout ${said?.kind ?? ""}`;
    set($("play"), "disabled", !player.playable);
    $("unplayable").hidden = player.playable;
  }

  // The part that is heard.
  mark(part) {
    if (part === this.current) return;
    set(this.current?.button ?? $("play"), "aria-current", false);
    if (part?.button) set(part.button, "aria-current", true);
    this.current = part;
  }

  // While one part is heard, the others step back.
  shade(part) {
    if (part === this.shaded) return;
    this.shaded = part;
    for (const bar of $("wave").querySelectorAll("rect")) {
      const time = Number(bar.dataset.time);
      bar.classList.toggle("outside", Boolean(part) && (time < part.from || time > part.to));
    }
  }

  // Keep what is heard in sight.
  turn(share) {
    const view = $("window"), place = share * $("reel").clientWidth;
    if (place < view.scrollLeft || place > view.scrollLeft + view.clientWidth) view.scrollLeft = place - view.clientWidth / 8;
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
    if (!this.duration) return;
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
