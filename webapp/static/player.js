// Plays a clip, or a part of it and no more.
const IN_MEMORY = 32 * 2 ** 20; // bytes; what is larger stays where it is

export class Player extends EventTarget {
  constructor() {
    super();
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.part = null;
    for (const kind of ["play", "pause", "ended", "error", "seeked", "loadedmetadata"]) {
      this.audio.addEventListener(kind, () => this.tell());
    }
    this.audio.addEventListener("timeupdate", () => this.watch());
  }

  open(clip) {
    this.close();
    this.clip = clip;
    this.ready = this.load(clip);
  }

  // From memory: Chromium fails to find a place in some files of the disk (FLAC among them).
  async load(clip) {
    const sound = clip.size > IN_MEMORY ? clip : new Blob([await clip.arrayBuffer()], { type: clip.type });
    if (clip !== this.clip) return;
    this.url = URL.createObjectURL(sound);
    await new Promise((done) => {
      this.audio.addEventListener("error", done, { once: true });
      this.audio.addEventListener("loadedmetadata", () => this.measure(done), { once: true });
      this.audio.src = this.url;
    });
  }

  // What the browser recorded itself does not say how long it is, until its end has been looked for.
  measure(done) {
    if (Number.isFinite(this.audio.duration)) return done();
    setTimeout(done, 3000); // a browser that does not find it either plays all the same
    this.audio.addEventListener("durationchange", () => {
      this.audio.addEventListener("seeked", done, { once: true });
      this.audio.currentTime = 0;
    }, { once: true });
    this.audio.currentTime = 1e7;
  }

  close() {
    this.audio.pause();
    this.clip = this.part = null;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.audio.removeAttribute("src");
  }

  get playable() { return !this.audio.error; }
  get playing() { return this.playable && !this.audio.paused && !this.audio.ended; }
  get now() { return this.audio.currentTime; }

  async play(from = null, to = null) {
    await this.ready;
    if (!this.playable) return;
    if (from !== null) this.audio.currentTime = from;
    this.part = to === null ? null : { from, to };
    try {
      await this.audio.play();
    } catch (error) { // stopped again before it began
      if (error.name !== "AbortError") throw error;
    }
    this.watch();
  }

  pause() {
    this.audio.pause();
    this.part = null;
  }

  toggle() { return this.playing ? this.pause() : this.play(); }

  async seek(time) {
    await this.ready;
    this.part = null;
    this.audio.currentTime = time;
  }

  // The audio element tells its time four times a second, which is too seldom to end a part where it ends.
  watch() {
    cancelAnimationFrame(this.frame);
    if (this.part && this.now >= this.part.to) {
      this.audio.pause();
      this.part = null;
    }
    this.tell();
    if (this.playing) this.frame = requestAnimationFrame(() => this.watch());
  }

  tell() { this.dispatchEvent(new Event("change")); }
}
