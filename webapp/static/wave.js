// The waveform: the browser decodes the clip for it, and nothing is sent anywhere.
const RATE = 8000; // enough for a picture, and little memory
const FINE = 20; // peaks a second; a picture takes the largest of some of them for each of its bars

// Peaks from 0 to 1 over the clip, or null where the browser cannot decode it.
export async function peaks(clip) {
  try {
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await clip.arrayBuffer());
    const found = new Float32Array(Math.max(400, Math.ceil(FINE * sound.duration)));
    for (let c = 0; c < sound.numberOfChannels; c++) {
      const samples = sound.getChannelData(c);
      for (let i = 0; i < samples.length; i++) {
        const at = Math.floor((i / samples.length) * found.length);
        found[at] = Math.max(found[at], Math.abs(samples[i]));
      }
    }
    const most = found.reduce((a, b) => Math.max(a, b), 0) || 1;
    return { duration: sound.duration, values: found.map((x) => (x / most) ** 0.6) }; // what is quiet is seen too
  } catch {
    return null;
  }
}

const STEP = 5, BAR = 3;

// Bars in an <svg>, each in the colour of the emotion at its time.
export function draw(svg, values, duration, emotionAt) {
  const { width, height } = svg.getBoundingClientRect();
  const count = Math.max(1, Math.floor(width / STEP));
  const bars = [];
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i / count) * (values?.length ?? 0));
    const to = Math.max(from + 1, Math.floor(((i + 1) / count) * (values?.length ?? 0)));
    let level = 0;
    for (let j = from; values && j < to && j < values.length; j++) level = Math.max(level, values[j]);
    const time = ((i + 0.5) / count) * duration, tall = Math.max(3, level * height);
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const place = { x: (i * width) / count, y: (height - tall) / 2, width: BAR, height: tall, rx: BAR / 2 };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value.toFixed(2));
    const emotion = emotionAt(time);
    if (emotion) bar.setAttribute("class", emotion);
    bar.dataset.time = time;
    bars.push(bar);
  }
  svg.replaceChildren(...bars);
}
