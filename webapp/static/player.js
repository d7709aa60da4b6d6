// Plays a clip, or a part of it and no more.
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

  // What the browser recorded itself does not say how long it is, until its end has been looked for.
  open(clip) {
    this.close();
    this.url = URL.createObjectURL(clip);
    this.audio.src = this.url;
    this.ready = new Promise((done) => {
      this.audio.addEventListener("error", done, { once: true });
      this.audio.addEventListener("loadedmetadata", () => {
        if (Number.isFinite(this.audio.duration)) return done();
        this.audio.addEventListener("durationchange", () => {
          this.audio.addEventListener("seeked", done, { once: true });
          this.audio.currentTime = 0;
        }, { once: true });
        this.audio.currentTime = 1e7;
      }, { once: true });
    });
  }

  close() {
    this.audio.pause();
    this.part = null;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.audio.removeAttribute("src");
  }

  get playable() { return !this.audio.error; }
  get playing() { return !this.audio.paused && !this.audio.ended; }
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
