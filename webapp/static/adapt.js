// Getting to know a voice. What is learnt is a row of numbers; it lives in the tab's own storage and goes to the server with each clip.
import { $, TEXTS, Trouble, fill, keep, recall, set } from "./dom.js";
import { learn } from "./api.js";
import { Busy } from "./busy.js";
import { Recorder, obstacle } from "./record.js";

const KEY = "ser.voice", SECONDS = 20;

export class Voice {
  constructor({ clips, onBegin, onChange, say }) {
    Object.assign(this, { clips, onBegin, onChange, say, root: $("voice") });
    if (!this.root) return; // the model that answers cannot adapt
    this.busy = new Busy($("voice-busy"));
    this.recorder = new Recorder($("voice-booth"), { most: SECONDS, say: TEXTS.voice.anything });
    for (const [id, text] of [["learn-speak", TEXTS.voice.speak], ["learn-more", TEXTS.voice.more]]) {
      $(id).textContent = fill(text, { seconds: SECONDS });
      $(id).hidden = Boolean(obstacle());
      $(id).addEventListener("click", () => this.try(() => this.speak()));
    }
    $("learn-clips").addEventListener("click", () => this.try(() => this.learn(this.clips())));
    $("forget").addEventListener("click", () => this.forget());
    const known = recall(KEY); // another model, if the server has a new one, could make nothing of it
    this.adaptation = known?.model === this.root.dataset.model ? known : null;
    this.offer(0);
    this.show();
  }

  // How many clips of the session could be learnt from.
  offer(n) {
    if (!this.root) return;
    $("learn-clips").hidden = false;
    $("learn-clips").textContent = fill(TEXTS.voice.clips, { n });
    set($("learn-clips"), "disabled", n === 0);
  }

  async try(act) {
    this.onBegin();
    $("voice-error").textContent = "";
    $("stranger").hidden = $("known").hidden = true;
    try {
      await act();
    } catch (error) {
      if (error.name === "AbortError") this.say(TEXTS.working.cancelled);
      else if (error instanceof Trouble) $("voice-error").textContent = error.message;
      else throw error;
    } finally {
      this.busy.end();
      this.show();
      (this.adaptation ? $("forget") : $("learn-speak")).focus();
    }
  }

  async speak() {
    const clip = await this.recorder.record();
    if (clip) await this.learn([clip], this.adaptation);
  }

  async learn(clips, adaptation) {
    const how = this.busy.begin(TEXTS.voice.learning);
    $("voice-busy").querySelector(".cancel").focus();
    this.keep(await learn(this.root.dataset.address, clips, { ...how, adaptation }));
    this.say(fill(TEXTS.voice.known, { n: this.adaptation.clips }));
  }

  forget() {
    this.keep(null);
    this.say(TEXTS.voice.forgotten);
    $("learn-speak").focus();
  }

  keep(adaptation) {
    this.adaptation = adaptation;
    keep(KEY, adaptation);
    this.show();
    this.onChange(adaptation);
  }

  show() {
    const known = Boolean(this.adaptation);
    $("stranger").hidden = known;
    $("known").hidden = !known;
    this.root.classList.toggle("is-known", known);
    if (known) $("known-by").textContent = fill(TEXTS.voice.known, { n: this.adaptation.clips });
  }
}
