// The playground: a network of the reader's choice, trained in the page by the declarations.

document.documentElement.lang = language.now();
entitle(say("A network to play with"));

const content = JSON.parse(document.getElementById("data").textContent);
const SIDE = 40; // points along each axis of the plane
const SIZE = 320;
const STEP_SHARE = 12; // milliseconds of a picture's time for steps

const playground = (() => {
  const [controls, all, status] = ["controls", "all", "status"].map((id) => document.getElementById(id));
  const chosen = { problem: content.problems[0].name, depth: 1, units: 6, activation: "tanh", optimizer: "Adam", rate: 0.03, seed: 1 };
  const beside = element("div", {});
  let [training, frame, pictures, inputs, network] = [null, null, [], null, null];

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
    element("button", { type: "button", id: "step", onclick: () => (stop(), step(), show()) }, say("One step")),
    element("button", { type: "button", id: "again", onclick: () => ((chosen.seed += 1), restart()) }, say("Other first weights")),
    choice("problem", say("Problem"), content.problems.map(({ name }) => name)),
    choice("depth", say("Hidden layers"), [1, 2, 3]),
    choice("units", say("Units"), [1, 2, 3, 4, 6, 8, 12]),
    choice("activation", say("Activation"), ["ReLU", "tanh", "sigmoid"]),
    choice("optimizer", say("Optimiser"), Object.keys(content.optimizers)),
    choice("rate", say("Learning rate"), [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]),
  );

  const reachOf = ({ x }) => 1.08 * Math.max(...x.map(Math.abs));

  // All pairs of inputs, row by row from the top of the plane.
  function pairs(reach) {
    const grid = Array.from({ length: SIDE }, (_, k) => reach * ((2 * k) / (SIDE - 1) - 1));
    return array([SIDE * SIDE, 2], grid.toReversed().flatMap((b) => grid.flatMap((a) => [a, b])));
  }

  // The outputs for all pairs of inputs, with the data as dots: those that are held out are hollow.
  function plane() {
    const { x, y } = training.problem;
    const reach = reachOf(training.problem);
    const picture = cells([], SIDE, SIDE, { size: 1, label: "" });
    const canvas = element("canvas", { role: "img", "aria-label": say("The outputs for all pairs of inputs, with {n} rows of the data", { n: y.length }) });
    canvas.style.width = canvas.style.height = `${SIZE}px`;
    const place = onto([[-reach, reach], [-reach, reach]], SIZE);
    beside.append(figure(say("The output"), canvas, say("Blue is class 0, orange class 1. The network learns from the full dots; the rings are held out.")));
    return (values) => {
      picture.show(0, values.get(training.network.outputs).data.map(squashed), SQUASHED);
      const draw = cleared(canvas, SIZE, SIZE);
      draw.drawImage(picture.canvas, 0, 0, SIZE, SIZE);
      y.forEach((target, k) => {
        const isSeen = k < y.length / 2;
        draw.fillStyle = isSeen ? colour(target ? 1 : -1, 1) : styled("--paper");
        draw.strokeStyle = isSeen ? styled("--paper") : colour(target ? 1 : -1, 1);
        draw.lineWidth = isSeen ? 1 : 1.8;
        draw.beginPath();
        draw.arc(...place([x[2 * k], x[2 * k + 1]]), isSeen ? 3.4 : 2.6, 0, 7);
        draw.fill();
        draw.stroke();
      });
    };
  }

  function losses() {
    const lines = [{ ink: "--hue2", dashed: true }, { ink: "--hue0" }].map((line) => ({ epochs: [0], values: [], ...line }));
    const drawn = curves(lines, { width: SIZE, height: 160, label: say("The loss over the steps") });
    const kind = element("span", {});
    beside.append(figure(say("The loss"), drawn.canvas, say("dashed: of the rows held out"), kind));
    return () => {
      const stride = Math.ceil(training.losses.length / 400);
      const epochs = training.losses.map((_, k) => k).filter((k) => k % stride === 0 || k === training.steps);
      [training.heldOutLosses, training.losses].forEach((values, k) => Object.assign(lines[k], { epochs, values: epochs.map((epoch) => values[epoch]) }));
      drawn.show(training.steps, (n) => say("step {n}", { n }));
      kind.textContent = drawn.isLogarithmic() ? `; ${say("on a logarithmic scale")}` : "";
    };
  }

  // The network, whose units say something of all pairs of inputs, or of the rows of class 0 and of those of class 1.
  function units() {
    const isPlane = training.problem.inputs === 2;
    inputs = isPlane ? pairs(reachOf(training.problem)) : training.seen.inputs;
    const rows = [0, 1].map((wanted) => training.seen.targets.data.flatMap((target, k) => (target === wanted ? [k] : [])));
    const mean = (at, places) => places.reduce((sum, k) => sum + at(k), 0) / places.length;
    const coarse = Array.from({ length: (SIDE / 2) ** 2 }, (_, k) => 2 * SIDE * Math.floor(k / (SIDE / 2)) + 2 * (k % (SIDE / 2)));
    network = networkView(training, {
      width: Math.min(560, window.innerWidth - 40),
      columns: isPlane ? SIDE / 2 : 2,
      numbersOf: isPlane ? (at) => coarse.map(at) : (at) => rows.map((places) => mean(at, places)),
      changed: () => (stop(), show()),
    });
    const sizes = element("p", { class: "hint" });
    network.figure.append(sizes, element("p", { class: "hint" }, isPlane ? say("In each box: the output of the unit for all pairs of inputs.") : say("In each box: the mean output of the unit, on the left for those without the disease, on the right for those with it."), " ", say("Drag a line to change a weight, or a box to change a bias.")));
    all.replaceChildren(network.figure, beside);
    return (values) => {
      network.show(values);
      const norms = training.layers.map(({ weight }) => Math.hypot(...training.gradients().get(weight).data));
      sizes.textContent = say("|gradient| of the layers: {numbers}", { numbers: norms.map((g) => told(g, 2)).join(", ") });
    };
  }

  function show() {
    const values = training.says(inputs);
    pictures.forEach((picture) => picture(values));
    const [right, unseen] = [training.seen, training.heldOut].map((rows) => told(100 * training.accuracy(rows), 3));
    status.textContent = say("Step {n}: loss {x}, {right} % of the rows are on the right side, {unseen} % of those held out", { n: training.steps, x: told(training.losses.at(-1)), right, unseen });
  }

  function step() {
    training.step(chosen.rate);
    network.forget();
  }

  function restart() {
    stop();
    training = new Training(chosen);
    beside.replaceChildren();
    pictures = [units(), ...(training.problem.inputs === 2 ? [plane()] : []), losses()];
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
      do step();
      while (performance.now() < until);
      show();
      if (Number.isFinite(training.losses.at(-1))) frame = requestAnimationFrame(next);
      else stop();
    };
    frame = requestAnimationFrame(next);
  }

  all.className = "overview";
  restart();
  redrawnInItsShades(show);
  return { training: () => training, network: () => network, inputs: () => inputs };
})();
