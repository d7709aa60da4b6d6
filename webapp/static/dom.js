// Small things that every other module needs: elements by their id, texts with their gaps filled, figures for people.
import TEXTS from "../texts.js";

export { TEXTS };

export const $ = (id) => document.getElementById(id);

export const set = (element, name, on) => on ? element.setAttribute(name, on === true ? "true" : on) : element.removeAttribute(name);

// "{n} clips" with { n: 3 } is "3 clips"; a text with several forms takes the one that belongs to n.
export function fill(text, values = {}) {
  const form = typeof text === "string" ? text
    : values.n === 0 && text.zero ? text.zero
    : text[new Intl.PluralRules(TEXTS.lang).select(values.n)] ?? text.other;
  return form.replace(/\{(\w+)\}/g, (gap, name) => values[name] ?? gap);
}

export const word = (emotion) => TEXTS.emotions[emotion] ?? emotion;

export function percent(share) {
  if (share >= 0.995 && share < 1) return "> 99 %";
  if (share > 0 && share < 0.005) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

// 0:07, 12:30, 1:02:03; fine: 0:07.4
export function clock(seconds, fine = false) {
  const tenths = fine ? Math.floor(10 * seconds + 0.5) : 10 * Math.floor(seconds), all = Math.floor(tenths / 10);
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60], pad = (n) => String(n).padStart(2, "0");
  return (h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`) + (fine ? `.${tenths % 10}` : "");
}

export const lasting = (seconds) => seconds < 10 ? `${Number(seconds.toPrecision(2))} s` : seconds < 90 ? `${Math.round(seconds)} s` : clock(seconds);

// A sentence for people. What was thrown otherwise is a fault of the page.
export class Trouble extends Error {}

export const pause = (seconds, signal) => new Promise((done, fail) => {
  const timer = setTimeout(done, 1000 * seconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); fail(signal.reason); }, { once: true });
});

// What the tab remembers until it is closed. Where that is full or forbidden, it remembers until the page is left.
export function keep(key, value) {
  try {
    value === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, JSON.stringify(value));
  } catch { /* see above */ }
}

export function recall(key) {
  try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
