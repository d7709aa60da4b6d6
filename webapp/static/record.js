// The microphone: opens it, shows its level, and gives back what was said.
import { TEXTS, Trouble, calm, clock, fill, lasting } from "./dom.js";

const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const QUIET = 0.01; // peaks below this are no speech, whoever speaks
// what makes calls pleasant takes away what emotion sounds like
const RAW = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } };

// Why recording cannot be had here, as a sentence; "" if it can.
export function obstacle() {
  if (!isSecureContext) return TEXTS.record.insecure;
  return navigator.mediaDevices?.getUserMedia && window.MediaRecorder ? "" : TEXTS.record.unsupported;
}

async function open() {
  try {
    return await navigator.mediaDevices.getUserMedia(RAW);
  } catch (error) {
    const why = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing" };
    throw new Trouble(TEXTS.record[why[error.name] ?? "busy"]);
  }
}

export class Recorder {
  // `most`: seconds after which it stops by itself; `say`: what is said meanwhile.
  constructor(root, { most, say }) {
    Object.assign(this, { root, most, say: say ?? fill(TEXTS.record.recording, { lasting: lasting(most) }) });
    this.part = (name) => root.querySelector(`.${name}`);
    this.part("stop").addEventListener("click", () => this.finish(true));
    this.part("discard").addEventListener("click", () => this.finish(false));
    root.addEventListener("keydown", (event) => { if (event.key === "Escape") this.finish(false); });
  }

  // What was said, a Blob with its `seconds` and `peak`; null if it was discarded.
  async record() {
    const stream = await open(), context = new AudioContext();
    try {
      this.ear = context.createAnalyser();
      this.ear.fftSize = 2048;
      context.createMediaStreamSource(stream).connect(this.ear);
      await context.resume();
      return await this.listen(stream);
    } finally {
      this.finish = () => {};
      this.root.hidden = true;
      for (const track of stream.getTracks()) track.stop();
      await context.close();
    }
  }

  async listen(stream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
    const parts = [], stopped = new Promise((done) => recorder.addEventListener("stop", done, { once: true }));
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    const finished = new Promise((done) => { this.finish = done; });
    stream.getTracks()[0].addEventListener("ended", () => this.finish(true)); // unplugged
    Object.assign(this, { started: performance.now(), levels: [], peak: 0 });
    this.part("booth-say").textContent = this.say;
    this.part("silent").textContent = "";
    this.root.hidden = false;
    this.part("stop").focus();
    recorder.start();
    const showing = setInterval(() => this.show(), 50);
    const wanted = await finished, seconds = this.seconds;
    clearInterval(showing);
    if (recorder.state !== "inactive") recorder.stop();
    await stopped;
    return wanted ? Object.assign(new Blob(parts, { type: recorder.mimeType }), { seconds, peak: this.peak }) : null;
  }

  finish() {} // while nothing is recorded

  get seconds() { return (performance.now() - this.started) / 1000; }

  // Level and time, twenty times a second.
  show() {
    const samples = new Float32Array(this.ear.fftSize);
    this.ear.getFloatTimeDomainData(samples);
    const level = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const now = this.seconds;
    this.peak = Math.max(this.peak, level);
    this.levels.push(level);
    this.part("elapsed").textContent = fill(TEXTS.record.elapsed, { now: clock(now), most: clock(this.most) });
    this.part("level").value = level;
    const silent = now > 2.5 && this.peak < QUIET ? TEXTS.record.silent : "";
    if (this.part("silent").textContent !== silent) this.part("silent").textContent = silent;
    this.draw();
    if (now >= this.most) this.finish(true);
  }

  draw() {
    const canvas = this.part("scope"), scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale)) [canvas.width, canvas.height] = [width * scale, height * scale].map(Math.round);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).color;
    const step = 5, bar = (x, level, wide) => {
      const tall = Math.max(3, Math.min(1, Math.sqrt(level) * 1.15) * height);
      pen.beginPath();
      pen.roundRect(x, (height - tall) / 2, wide, tall, 1.5);
      pen.fill();
    };
    if (calm()) { // no running picture: one bar, as long as it is loud
      const level = this.levels.at(-1);
      pen.beginPath();
      pen.roundRect(0, height / 2 - 5, Math.max(4, Math.min(1, Math.sqrt(level)) * width), 10, 5);
      pen.fill();
      return;
    }
    const room = Math.floor(width / step), seen = this.levels.slice(-room);
    seen.forEach((level, i) => bar(width - step * (seen.length - i), level, 3));
  }
}
