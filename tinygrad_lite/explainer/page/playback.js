// A training to scrub through: every picture shows the same epoch, in colours that are the same for all epochs.

const training = JSON.parse(document.getElementById("data").textContent);
const INK = ["--hue0", "--hue1"]; // of the two runs
const FRAMES_PER_SECOND = 30;
const BANDS = 14; // of the landscape, with contours between them
const NOT_FINITE = -32768;
const LONGEST = 12; // seconds that playing takes at most

document.documentElement.lang = language.now();
entitle(tell(training.title));

const still = window.matchMedia("(prefers-reduced-motion: reduce)");

// The integers of a packed array; one of them stands for what is not finite.
function integers(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (x) => (x === NOT_FINITE ? NaN : x));
}

// What the colours of a packed array say.
function legendOf({ scale, cut, lost }) {
  const shown = legend(scale);
  if (cut) shown.append(element("span", {}, say("or further from 0")));
  if (lost) shown.append(element("span", {}, element("span", { class: "key", style: `background:rgb(${LOST.join(" ")})` }), ` ${say("not finite")}`));
  return shown;
}

const numbered = (x) => (typeof x === "string" ? { inf: Infinity, "-inf": -Infinity }[x] ?? NaN : x);

// Kernels of a convolution side by side, with gaps.
function tiles([count, height, width]) {
  const across = Math.min(count, 16);
  const down = Math.ceil(count / across);
  const [columns, rows] = [across * (width + 1) - 1, down * (height + 1) - 1];
  const cell = (k) => {
    const [i, j] = [Math.floor(k / columns), k % columns];
    const [y, x] = [i % (height + 1), j % (width + 1)];
    const which = Math.floor(i / (height + 1)) * across + Math.floor(j / (width + 1));
    return y === height || x === width || which >= count ? -1 : which * height * width + y * width + x;
  };
  return { rows, columns, cell, each: count * height * width };
}

const runName = (run) => run.name || say("the loss");

function landscape() {
  const { side, bounds, losses, paths, share } = training.landscape;
  const size = 300;
  const values = losses.map(numbered);
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const level = (x) => Math.log1p((99 * (x - low)) / (high - low || 1)) / Math.log(100);
  const canvas = element("canvas", { role: "img", "aria-label": say("The loss around the path of the weights, from {low} to {high}", { low: told(low, 3), high: told(high, 3) }) });
  canvas.style.width = canvas.style.height = `${size}px`;
  const levels = values.map((x) => (Number.isFinite(x) ? level(x) : 1));
  // The band of a pixel, from the level between the points at which the loss was computed.
  const bands = Int8Array.from({ length: size * size }, (_, pixel) => {
    const [row, column] = [Math.floor(pixel / size), pixel % size].map((x) => (x / (size - 1)) * (side - 1));
    const [i, j] = [row, column].map((x) => Math.min(Math.floor(x), side - 2));
    const along = (k) => levels[k] + (column - j) * (levels[k + 1] - levels[k]);
    const [above, below] = [along(i * side + j), along((i + 1) * side + j)];
    return Math.round((above + (row - i) * (below - above)) * BANDS);
  });
  const ground = document.createElement("canvas");
  ground.width = ground.height = size;
  let paintedFor = null;
  const paint = () => {
    if (paintedFor === dark.matches) return;
    paintedFor = dark.matches;
    const draw = ground.getContext("2d");
    const picture = draw.createImageData(size, size);
    const [from, to] = dark.matches ? [22, 130] : [250, 140];
    bands.forEach((band, k) => {
      const isEdge = (k % size && band !== bands[k - 1]) || (k >= size && band !== bands[k - size]);
      picture.data.fill(from + (band / BANDS + (isEdge ? 0.2 : 0)) * (to - from), 4 * k, 4 * k + 3);
      picture.data[4 * k + 3] = 255;
    });
    draw.putImageData(picture, 0, 0);
  };
  const place = onto(bounds, size);
  return {
    canvas,
    caption: say("{share} % of the path lies in this plane; from {low}, the colour of the page, to {high}, grey", { share: told(100 * share, 3), low: told(low, 3), high: told(high, 3) }),
    show(epoch) {
      paint();
      const draw = cleared(canvas, size, size);
      draw.drawImage(ground, 0, 0, size, size);
      paths.forEach((path, r) => {
        const at = frameAt(training.runs[r].epochs, epoch);
        for (const [width, ink] of [[4, styled("--paper")], [2, styled(INK[r])]]) {
          draw.strokeStyle = draw.fillStyle = ink;
          draw.lineWidth = width;
          draw.beginPath();
          path.slice(0, at + 1).forEach((point, k) => draw[k ? "lineTo" : "moveTo"](...place(point)));
          draw.stroke();
          draw.beginPath();
          draw.arc(...place(path[at]), width + 2.5, 0, 7);
          draw.fill();
        }
      });
    },
  };
}

const CLASSES = ["--hue0", "--hue1", "--hue2", "--hue3", "--hue4"];

// The outputs for all pairs of inputs, with rows of the batch as dots.
function plane(run) {
  const { side, bounds, points, targets, classes } = run.plane;
  const size = 300;
  const paper = () => (dark.matches ? [22, 27, 34] : [250, 250, 248]);
  const rgb = (ink) => [1, 3, 5].map((k) => parseInt(styled(ink).slice(k, k + 2), 16));
  const mixed = () => CLASSES.map((ink) => rgb(ink).map((part, i) => Math.round(0.45 * part + 0.55 * paper()[i])));
  let [tints, mixedFor] = [[], null];
  const hue = (x) => tints[x % CLASSES.length] ?? LOST;
  const picture = cells(integers(run.plane), side, side, { size: size / side, label: say("The outputs for all pairs of inputs"), hue: classes ? hue : undefined });
  const canvas = element("canvas", { role: "img", "aria-label": say("The outputs for all pairs of inputs, with {n} rows of the data", { n: points.length }) });
  canvas.style.width = canvas.style.height = `${size}px`;
  const place = onto(bounds, size);
  return {
    canvas,
    legend: classes ? "" : legendOf(run.plane),
    show(frame) {
      if (mixedFor !== dark.matches) [tints, mixedFor] = [mixed(), dark.matches];
      picture.show(frame);
      const draw = cleared(canvas, size, size);
      draw.imageSmoothingEnabled = false;
      draw.drawImage(picture.canvas, 0, 0, size, size);
      points.forEach((point, k) => {
        draw.fillStyle = classes ? styled(CLASSES[targets[k] % CLASSES.length]) : colour(targets[k] > 0 ? 1 : -1, 1);
        draw.strokeStyle = styled("--paper");
        draw.beginPath();
        draw.arc(...place(point), 3.4, 0, 7);
        draw.fill();
        draw.stroke();
      });
    },
  };
}

// What a run has for all pairs of inputs stands beside the losses if there is no other run.
function runSection(run, r, overview) {
  const section = element("section", { "aria-label": runName(run) });
  const shows = [];
  const key = training.runs.length > 1 ? [element("span", { class: "key", style: `background:var(${INK[r]})` }), " "] : [];
  section.append(element("h2", {}, ...key, run.name || say("Layer by layer")));
  if (run.plane) {
    const drawn = plane(run);
    shows.push(drawn.show);
    (training.runs.length > 1 ? section : overview).append(figure(say("All pairs of inputs"), drawn.canvas, drawn.legend));
  }
  const layers = element("div", { class: "layers" });
  section.append(layers);
  for (const parameter of run.parameters) {
    const { name, shape, rows, columns, kernel, sampled, norms } = parameter;
    const form = kernel ? tiles(kernel) : { rows, columns };
    const size = Math.min(Math.max(Math.min(220 / form.columns, 200 / form.rows), 2), 16);
    const box = element("div", { class: "parameter" });
    for (const [part, title] of [["weights", say("weights")], ["gradients", say("gradient")]]) {
      if (!parameter[part]) {
        box.append(element("p", { class: "hint" }, say("No gradient reaches it: it is frozen, or not used.")));
        continue;
      }
      const drawn = cells(integers(parameter[part]), form.rows, form.columns, { ...form, size, label: `${name}, ${title}, ${shapeOf(shape)}` });
      shows.push(drawn.show);
      box.append(figure(title, drawn.canvas, legendOf(parameter[part])));
    }
    const lines = norms.slice(0, parameter.gradients ? 2 : 1).map((values, k) => ({ epochs: run.epochs, values: values.map(numbered), ink: k ? "--hue1" : "--hue0", dashed: k === 1 }));
    const drawn = curves(lines, { width: 160, height: 56, label: say("Norms of {name} and of its gradient over the epochs", { name }) });
    const numbers = lines.map(() => element("span"));
    shows.push((frame) => {
      drawn.show(run.epochs[frame]);
      const norm = lines.map((line) => told(line.values[frame], 3));
      numbers[0].textContent = say("|weights| {norm}", { norm: norm[0] });
      if (norm[1]) numbers[1].textContent = say("|gradient| {norm}", { norm: norm[1] });
    });
    const keys = lines.map(({ ink }, k) => element("span", { class: "listed" }, element("span", { class: "key", style: `background:var(${ink})` }), " ", numbers[k]));
    box.append(figure(say("norms"), drawn.canvas, ...keys.flatMap((key) => [key, " "])));
    const title = element("h3", {}, `${name}, ${shapeOf(shape)}`, ...(sampled ? [element("small", {}, ` ${say("evenly spread entries are shown")}`)] : []));
    layers.append(element("div", {}, title, box));
  }
  const outputs = element("div", { class: "parameter" });
  section.append(outputs);
  for (const activation of run.activations) {
    const { name, rows, columns, silent } = activation;
    const size = Math.min(Math.max(Math.min(260 / columns, 200 / rows), 2), 10);
    const drawn = cells(integers(activation), rows, columns, { size, label: say("Outputs of {name}, rows of the batch down", { name }) });
    const count = element("span", {});
    shows.push((frame) => {
      drawn.show(frame);
      count.textContent = silent[frame] ? `; ${say("{n} of {all} are 0 in every row", { n: silent[frame], all: columns })}` : "";
    });
    outputs.append(figure(say("Outputs of {name}", { name }), drawn.canvas, legendOf(activation), count));
  }
  return { section, show: (epoch) => shows.forEach((show) => show(frameAt(run.epochs, epoch))) };
}

const playback = (() => {
  const [slider, play, status] = ["slider", "play", "status"].map((id) => document.getElementById(id));
  const epochs = [...new Set(training.runs.flatMap((run) => run.epochs))].sort((a, b) => a - b);
  let [at, timer] = [epochs.length - 1, null];
  slider.max = epochs.length - 1;
  slider.setAttribute("aria-label", say("Epoch"));
  document.getElementById("previous").setAttribute("aria-label", say("One epoch back"));
  document.getElementById("next").setAttribute("aria-label", say("One epoch on"));

  const lines = training.runs.map((run, r) => ({ epochs: run.epochs, values: run.losses.map(numbered), ink: INK[r], dashed: r === 1 }));
  const width = Math.min(560, window.innerWidth - 40);
  const loss = curves(lines, { width, height: width < 560 ? 200 : 300, label: say("The loss over the epochs") });
  const names = training.runs.length > 1 ? training.runs.flatMap((run, r) => [element("span", { class: "key", style: `background:var(${INK[r]})` }), ` ${run.name} `]) : [];
  const overview = element("div", { class: "overview" }, figure(say("The loss"), loss.canvas, ...names, loss.isLogarithmic() ? say("on a logarithmic scale") : ""));
  const around = Array.isArray(training.landscape) ? null : landscape();
  if (!around) overview.append(element("p", { class: "hint" }, say("There is no picture of the loss around the path: {why}.", { why: tell(training.landscape) })));
  if (around) overview.append(figure(say("The loss around the path"), around.canvas, around.caption));
  const sections = training.runs.map((run, r) => runSection(run, r, overview));
  document.getElementById("all").append(overview, element("div", { class: "runs" }, sections.map(({ section }) => section)));

  function show(place) {
    at = Math.min(Math.max(place, 0), epochs.length - 1);
    const epoch = epochs[at];
    slider.value = at;
    slider.setAttribute("aria-valuetext", say("epoch {n}", { n: epoch }));
    loss.show(epoch);
    around?.show(epoch);
    sections.forEach((section) => section.show(epoch));
    const losses = training.runs.map((run) => `${run.name ? `${run.name}: ` : ""}${say("loss {x}", { x: told(numbered(run.losses[frameAt(run.epochs, epoch)])) })}`);
    status.textContent = `${say("After {n} of {all} epochs", { n: epoch, all: epochs.at(-1) })}; ${losses.join("; ")}`;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    status.setAttribute("aria-live", "polite");
    play.textContent = say("▶ Play");
  }

  function start() {
    if (at === epochs.length - 1) show(0);
    const pause = Math.max(1000 / FRAMES_PER_SECOND, still.matches ? 500 : 0);
    const stride = Math.max(1, Math.round((epochs.length * pause) / (1000 * LONGEST)));
    status.setAttribute("aria-live", "off"); // else each epoch is read aloud
    play.textContent = say("Pause");
    timer = setInterval(() => {
      show(at + stride);
      if (at === epochs.length - 1) stop();
    }, pause);
  }

  play.addEventListener("click", () => (timer === null ? start() : stop()));
  slider.addEventListener("input", () => (stop(), show(+slider.value)));
  document.getElementById("previous").addEventListener("click", () => (stop(), show(at - 1)));
  document.getElementById("next").addEventListener("click", () => (stop(), show(at + 1)));
  redrawnInItsShades(() => show(at));
  stop();
  show(at);
  return { show, epochs };
})();
