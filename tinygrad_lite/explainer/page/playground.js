// The playground: a network of the reader's choice, trained in the page by the declarations.

document.documentElement.lang = language.now();
document.getElementById("title").textContent = say("A network to play with");

const content = JSON.parse(document.getElementById("data").textContent);
const SIDE = 40; // points along each axis of the plane
const SIZE = 320;
const STEP_SHARE = 12; // milliseconds of a picture's time for steps

const array = (shape, data) => ({ shape, data, dtype: "float64" });

// Numbers between 0 and 1 from a seed (mulberry32), so that a network begins the same each time.
function random(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// A network that learns.
class Training {
  constructor({ problem, depth, units, activation, optimizer, seed }) {
    this.problem = content.problems.find(({ name }) => name === problem);
    this.network = content.networks.find((each) => each.inputs === this.problem.inputs && each.depth === depth && each.activation === activation);
    this.optimizer = content.optimizers[optimizer];
    const rows = this.problem.y.length;
    this.inputs = array([rows, this.problem.inputs], this.problem.x);
    this.targets = array([rows, 1], this.problem.y);
    this.parameters = new Map();
    this.kept = new Map();
    const draw = random(seed);
    this.network.parameters.forEach(([name, node], k) => {
      const layer = k >> 1;
      const [from, to] = [layer ? units : this.problem.inputs, layer === depth ? 1 : units];
      const shape = name.endsWith("weight") ? [to, from] : [to];
      const reach = 1 / Math.sqrt(from);
      this.parameters.set(node, array(shape, Array.from({ length: np.sizeOf(shape) }, () => reach * (2 * draw() - 1))));
      this.kept.set(node, this.optimizer.kept.map(() => array(shape, new Array(np.sizeOf(shape)).fill(0))));
    });
    this.gradients = new Map();
    this.steps = 0;
    this.losses = [this.loss()];
  }

  // The values of all nodes for some inputs, up to one node.
  values(inputs, targets, last) {
    const found = new Map([[this.network.x, inputs], [this.network.y, targets], ...this.parameters]);
    for (const { node, inputs: taken, forward } of this.network.operations) {
      found.set(node, np.asArray(programs[forward](np, ...taken.map((x) => (typeof x === "number" ? found.get(x) : Number(x))))));
      if (node === last) break;
    }
    return found;
  }

  loss() {
    return this.values(this.inputs, this.targets).get(this.network.loss).data[0];
  }

  outputs(inputs) {
    return this.values(inputs, this.targets, this.network.outputs).get(this.network.outputs).data;
  }

  step(lr) {
    const values = this.values(this.inputs, this.targets);
    const gradients = new Map([[this.network.loss, array([], [1])]]);
    const taken = new Map(this.network.operations.map(({ node, inputs }) => [node, inputs]));
    for (const [node, to] of this.network.steps) {
      const given = taken.get(node).map((x) => (typeof x === "number" ? values.get(x) : Number(x)));
      for (const [target, rule] of to) {
        const full = np.asArray(programs[rule](np, gradients.get(node), values.get(node), ...given));
        const part = np.fitted(full, values.get(target).shape);
        gradients.set(target, gradients.has(target) ? np.add(gradients.get(target), part) : part);
      }
    }
    this.steps += 1;
    const [t, rate] = [array([], [this.steps]), array([], [lr])];
    for (const [node, w] of this.parameters) {
      const g = gradients.get(node);
      const before = [np, w, g, t, rate, ...this.kept.get(node)];
      const kept = this.optimizer.kept.map((program) => np.asArray(programs[program](...before)));
      this.parameters.set(node, np.asArray(programs[this.optimizer.updated](...before)));
      this.kept.set(node, kept);
      this.gradients.set(node, g);
    }
    this.losses.push(this.loss());
  }

  accuracy() {
    const outputs = this.outputs(this.inputs);
    return outputs.filter((x, k) => x > 0 === this.problem.y[k] > 0).length / outputs.length;
  }
}

const playground = (() => {
  const [controls, all, status] = ["controls", "all", "status"].map((id) => document.getElementById(id));
  const chosen = { problem: content.problems[0].name, depth: 1, units: 6, activation: "tanh", optimizer: "Adam", rate: 0.03, seed: 1 };
  let [training, frame, pictures] = [null, null, []];

  const choice = (name, text, options) =>
    element(
      "label",
      {},
      `${text} `,
      element(
        "select",
        { id: name, onchange: (event) => ((chosen[name] = options.find((x) => String(x) === event.target.value)), name === "rate" ? null : restart()) },
        options.map((x) => element("option", { value: x, selected: x === chosen[name] }, typeof x === "string" ? say(x) : String(x))),
      ),
    );
  const play = element("button", { type: "button", id: "play", onclick: () => (frame === null ? start() : stop()) });
  controls.setAttribute("aria-label", say("The network and its training"));
  controls.append(
    play,
    element("button", { type: "button", id: "step", onclick: () => (stop(), training.step(chosen.rate), show()) }, say("One step")),
    element("button", { type: "button", id: "again", onclick: () => ((chosen.seed += 1), restart()) }, say("Other first weights")),
    choice("problem", say("Problem"), content.problems.map(({ name }) => name)),
    choice("depth", say("Hidden layers"), [1, 2, 3]),
    choice("units", say("Units"), [1, 2, 3, 4, 6, 8, 12]),
    choice("activation", say("Activation"), ["ReLU", "tanh", "sigmoid"]),
    choice("optimizer", say("Optimiser"), Object.keys(content.optimizers)),
    choice("rate", say("Learning rate"), [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]),
  );

  // The outputs for all pairs of inputs, with the data as dots.
  function plane() {
    const { x, y } = training.problem;
    const reach = 1.08 * Math.max(...x.map(Math.abs));
    const grid = Array.from({ length: SIDE }, (_, k) => reach * ((2 * k) / (SIDE - 1) - 1));
    const points = array([SIDE * SIDE, 2], grid.toReversed().flatMap((b) => grid.flatMap((a) => [a, b])));
    const picture = cells([], SIDE, SIDE, { size: 1, label: "" });
    const canvas = element("canvas", { role: "img", "aria-label": say("The outputs for all pairs of inputs, with {n} rows of the data", { n: y.length }) });
    canvas.style.width = canvas.style.height = `${SIZE}px`;
    const place = onto([[-reach, reach], [-reach, reach]], SIZE);
    all.append(figure(say("All pairs of inputs"), canvas, say("blue is class 0, orange class 1")));
    return () => {
      picture.show(0, training.outputs(points).map((x) => Math.tanh(x / 2)), 1.5); // pale, so that the dots stand out
      const draw = cleared(canvas, SIZE, SIZE);
      draw.drawImage(picture.canvas, 0, 0, SIZE, SIZE);
      draw.strokeStyle = styled("--paper");
      y.forEach((target, k) => {
        draw.fillStyle = colour(target ? 1 : -1, 1);
        draw.beginPath();
        draw.arc(...place([x[2 * k], x[2 * k + 1]]), 3.2, 0, 7);
        draw.fill();
        draw.stroke();
      });
    };
  }

  function loss() {
    const line = { epochs: [0], values: [], ink: "--hue0" };
    const drawn = curves([line], { width: Math.min(420, window.innerWidth - 40), height: 180, label: say("The loss over the steps") });
    const kind = element("span", {});
    all.append(figure(say("The loss"), drawn.canvas, kind));
    return () => {
      const stride = Math.ceil(training.losses.length / 400);
      line.epochs = training.losses.map((_, k) => k).filter((k) => k % stride === 0 || k === training.steps);
      line.values = line.epochs.map((k) => training.losses[k]);
      drawn.show(training.steps, (n) => say("step {n}", { n }));
      kind.textContent = drawn.isLogarithmic() ? say("on a logarithmic scale") : "";
    };
  }

  // The weights of each layer: a column for each input, and last the bias.
  function layers() {
    const box = element("div", { class: "parameter" });
    all.append(box);
    const { parameters } = training.network;
    const shows = [];
    for (let k = 0; k < parameters.length; k += 2) {
      const [weight, bias] = [parameters[k][1], parameters[k + 1][1]];
      const [to, from] = training.parameters.get(weight).shape;
      const drawn = cells([], to, from + 1, { size: 18, label: say("Weights of layer {n}, the bias last", { n: k / 2 + 1 }) });
      const range = element("span", {});
      box.append(figure(say("Layer {n}", { n: k / 2 + 1 }), drawn.canvas, range));
      shows.push(() => {
        const [w, b] = [training.parameters.get(weight).data, training.parameters.get(bias).data];
        const rows = b.flatMap((x, i) => [...w.slice(i * from, (i + 1) * from), x]);
        const largest = largestOf(rows);
        drawn.show(0, rows, largest);
        const slopes = training.gradients.get(weight);
        const size = slopes && Math.sqrt(slopes.data.reduce((sum, x) => sum + x * x, 0));
        range.replaceChildren(legend(largest), slopes ? say("|gradient| {g}", { g: told(size, 2) }) : "");
      });
    }
    return () => shows.forEach((show) => show());
  }

  function show() {
    pictures.forEach((picture) => picture());
    const value = training.losses.at(-1);
    status.textContent = say("After {n} steps: loss {x}, {share} % of the rows are on the right side", { n: training.steps, x: told(value), share: told(100 * training.accuracy(), 3) });
  }

  function restart() {
    stop();
    training = new Training(chosen);
    all.replaceChildren();
    all.className = "overview";
    pictures = [...(training.problem.inputs === 2 ? [plane()] : []), loss(), layers()];
    show();
  }

  function stop() {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    status.setAttribute("aria-live", "polite");
    play.textContent = say("▶ Play");
  }

  function start() {
    status.setAttribute("aria-live", "off"); // else each picture is read aloud
    play.textContent = say("Pause");
    const next = () => {
      const until = performance.now() + STEP_SHARE;
      do training.step(chosen.rate);
      while (performance.now() < until);
      show();
      if (Number.isFinite(training.losses.at(-1))) frame = requestAnimationFrame(next);
      else stop();
    };
    frame = requestAnimationFrame(next);
  }

  restart();
  dark.addEventListener("change", show);
  return { chosen, restart, training: () => training };
})();
