// Progress: how much is sent, how long the server has been listening, and a way out.
import { TEXTS, fill, percent } from "./dom.js";

export class Busy {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`.${name}`);
    this.bar = root.querySelector("progress");
    this.part("cancel").addEventListener("click", () => this.control?.abort(new DOMException(TEXTS.working.cancelled, "AbortError")));
  }

  // What to hand to `api`: its signal, and what it reports.
  begin(title) {
    this.end();
    this.control = new AbortController();
    this.part("busy-title").textContent = title;
    this.root.hidden = false;
    this.sent(0);
    return { signal: this.control.signal, onSent: (share) => this.sent(share), onFull: (wait) => this.full(wait) };
  }

  sent(share) {
    clearInterval(this.timer);
    if (share < 1) {
      this.bar.value = share;
      this.part("busy-say").textContent = fill(TEXTS.working.sending, { percent: percent(share) });
      return;
    }
    const since = performance.now();
    this.bar.removeAttribute("value");
    this.part("busy-say").textContent = TEXTS.working.listening;
    this.timer = setInterval(() => {
      const seconds = Math.round((performance.now() - since) / 1000);
      if (seconds >= 3) this.part("busy-say").textContent = fill(TEXTS.working.since, { seconds });
    }, 1000);
  }

  full(seconds) {
    clearInterval(this.timer);
    this.part("busy-say").textContent = fill(TEXTS.working.full, { seconds });
  }

  end() {
    clearInterval(this.timer);
    this.control = null;
    this.root.hidden = true;
  }
}
