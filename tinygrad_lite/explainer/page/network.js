// A network unit by unit. In a unit is what it says, for all pairs of inputs or for the rows of each class; a line is a
// weight, as wide as that is large. A weight or a bias that is chosen tells its number and its gradient, and can be
// dragged.

const GAP = 6; // pixels between units
const HEAD = 18; // pixels of the titles
const NEAREST = 8; // pixels between a pointer and the line that it means
const SQUASHED = 1.5; // the scale of an output that is between -1 and 1: pale, so that dots on it stand out

// What the output unit says of a row, from -1, surely class 0, to 1, surely class 1.
const squashed = (x) => Math.tanh(x / 2);

// `numbersOf(at)` are the numbers of a unit's picture, which has `columns` columns, where at(k) is what it says of row
// k; `changed()` is called when a number has been dragged.
function networkView(training, { width, columns, numbersOf, changed }) {
  const { layers, problem } = training;
  const counts = [...layers.map(({ from }) => from), 1];
  const side = Math.min(Math.max(Math.floor(330 / Math.max(...counts)) - GAP, 16), 44);
  const height = HEAD + Math.max(...counts) * (side + GAP);
  const canvas = element("canvas", { class: "drag", role: "img", "aria-label": say("The network: each line is a weight, each box a unit") });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const [line, range] = [element("p", { class: "chosen" }), element("span", {})];
  let chosen = { layer: 0, to: 0, from: 0 }; // a bias, if there is no unit `from`
  let [pointed, base, isShowingGradients, latest] = [null, null, false, null];

  const names = Math.min(Math.max(...problem.columns.map((name) => 7 * name.length)) + 8, width / 4);
  const left = (column) => names + (column * (width - names - side - 2)) / (counts.length - 1);
  const middle = (column, unit) => HEAD + (height - HEAD) / 2 + (unit - (counts[column] - 1) / 2) * (side + GAP);

  const placeOf = ({ layer, to, from }) => (from === undefined ? [layers[layer].bias, to] : [layers[layer].weight, to * layers[layer].from + from]);
  const numberIn = (arrays, each) => {
    const [node, place] = placeOf(each);
    return arrays.get(node).data[place];
  };
  const all = layers.flatMap(({ from, to }, layer) => Array.from({ length: to }, (_, k) => [...Array.from({ length: from }, (_, i) => ({ layer, to: k, from: i })), { layer, to: k }]).flat());
  const weights = all.filter(({ from }) => from !== undefined);
  const same = (a, b) => a && b && a.layer === b.layer && a.to === b.to && a.from === b.from;

  const unitName = (column, unit) => (column === 0 ? problem.columns[unit] : column === layers.length ? say("the output") : say("unit {n} of layer {k}", { n: unit + 1, k: column }));
  const nameOf = ({ layer, to, from }) => (from === undefined ? say("the bias of {to}", { to: unitName(layer + 1, to) }) : say("the weight of {from} in {to}", { from: unitName(layer, from), to: unitName(layer + 1, to) }));

  // Points along the line of a weight.
  function path({ layer, to, from }) {
    const [x0, y0, x1, y1] = [left(layer) + side, middle(layer, from), left(layer + 1), middle(layer + 1, to)];
    return Array.from({ length: 25 }, (_, k) => {
      const t = k / 24;
      return [x0 + (x1 - x0) * t, y0 + (y1 - y0) * t * t * (3 - 2 * t)];
    });
  }
  const paths = new Map(weights.map((each) => [each, path(each)]));

  // A place of the picture that belongs to a number.
  const spotOf = ({ layer, to, from }) => (from === undefined ? [left(layer + 1) + side / 2, middle(layer + 1, to)] : path({ layer, to, from })[16]);

  // The weight or the bias under a pointer.
  function under(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
    const unit = all.find(({ layer, to, from }) => from === undefined && x >= left(layer + 1) && x <= left(layer + 1) + side && Math.abs(y - middle(layer + 1, to)) <= side / 2);
    if (unit) return unit;
    let [found, least] = [null, NEAREST];
    for (const [each, points] of paths) {
      const distance = Math.min(...points.map(([a, b]) => Math.hypot(a - x, b - y)));
      if (distance < least) [found, least] = [each, distance];
    }
    return found;
  }

  function choose(each) {
    chosen = each;
    base = null;
    show();
  }

  // Another number for what is chosen. The loss is compared with what it was when that was chosen.
  function write(x) {
    base ??= { x: numberIn(training.parameters, chosen), loss: training.losses.at(-1), slope: numberIn(training.gradients(), chosen) };
    training.change(...placeOf(chosen), x);
    changed();
  }

  const unit = () => 5 * dragging.unitOf({ data: weights.map((each) => numberIn(training.parameters, each)) });

  function outcome() {
    if (!base) return "";
    const now = training.losses.at(-1);
    const signed = (x) => `${x > 0 ? "+" : ""}${told(x, 3)}`;
    return say("Loss: {before} → {now}, a change of {change}; gradient × change predicts {told}.", { before: told(base.loss), now: told(now), change: signed(now - base.loss), told: signed(base.slope * (numberIn(training.parameters, chosen) - base.x)) });
  }

  function tell() {
    const focused = document.activeElement?.id;
    const at = all.findIndex((each) => same(each, chosen));
    const to = (way) => () => choose(all[(at + way + all.length) % all.length]);
    const label = nameOf(chosen);
    line.replaceChildren(
      element("button", { type: "button", id: "number-before", "aria-label": say("The number before"), onclick: to(-1) }, "◀"),
      " ",
      element("button", { type: "button", id: "number-after", "aria-label": say("The next number"), onclick: to(1) }, "▶"),
      ` ${label} = `,
      dragging.number({ id: "chosen", x: numberIn(training.parameters, chosen), unit: unit(), label, write, digits: 4 }),
      ` ${say("with the gradient {g}", { g: told(numberIn(training.gradients(), chosen), 3) })}. `,
      element("span", { id: "outcome", role: "status" }, outcome()),
    );
    if (["number-before", "number-after", "chosen"].includes(focused)) document.getElementById(focused).focus();
  }

  function unitPicture(draw, column, unit, said, largest) {
    const numbers = numbersOf((k) => said[k * counts[column] + unit]);
    const pixels = pixelsOf(array([numbers.length / columns, columns], numbers), largest);
    [small.canvas.width, small.canvas.height] = [pixels.width, pixels.height];
    small.putImageData(pixels, 0, 0);
    draw.drawImage(small.canvas, left(column), middle(column, unit) - side / 2, side, side);
    draw.strokeRect(left(column), middle(column, unit) - side / 2, side, side);
  }

  // Draws the network, with the values of the units for some rows.
  function show(values = latest) {
    latest = values;
    const draw = cleared(canvas, width, height);
    const numbers = isShowingGradients ? training.gradients() : training.parameters;
    const largest = largestOf(weights.map((each) => numberIn(numbers, each)));
    for (const each of weights) {
      const marked = same(each, chosen) || same(each, pointed);
      const x = numberIn(numbers, each);
      for (const [ink, more] of marked ? [[styled("--ink"), 3], [colour(x, largest), 1]] : [[colour(x, largest), 0]]) {
        draw.strokeStyle = ink;
        draw.lineWidth = 0.7 + more + (largest > 0 ? (5 * Math.abs(x)) / largest : 0);
        draw.beginPath();
        paths.get(each).forEach(([a, b]) => draw.lineTo(a, b));
        draw.stroke();
      }
    }
    draw.font = "12px ui-sans-serif, system-ui, sans-serif";
    draw.fillStyle = styled("--ink");
    draw.imageSmoothingEnabled = columns > 2; // else the two halves stay apart
    counts.forEach((count, column) => {
      const isOutput = column === layers.length;
      const data = values.get(isOutput ? training.network.outputs : layers[column].takes).data;
      const said = isOutput ? data.map(squashed) : data;
      const most = isOutput ? SQUASHED : largestOf(said);
      draw.textAlign = isOutput ? "right" : "center";
      draw.fillText(column === 0 ? say("inputs") : isOutput ? say("output") : say("layer {k}", { k: column }), isOutput ? width - 2 : left(column) + side / 2, 12);
      for (let unit = 0; unit < count; unit++) {
        const marked = [chosen, pointed].some((each) => each && each.from === undefined && each.layer + 1 === column && each.to === unit);
        [draw.strokeStyle, draw.lineWidth] = marked ? [styled("--ink"), 4] : [styled("--soft"), 1.2];
        unitPicture(draw, column, unit, said, most);
      }
    });
    draw.textAlign = "right";
    problem.columns.forEach((name, k) => draw.fillText(name, names - 6, middle(0, k) + 4, names - 8));
    range.replaceChildren(legend(largest));
    tell();
  }

  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) return;
    const found = under(event);
    canvas.style.cursor = found ? "ew-resize" : "default";
    canvas.title = found ? `${nameOf(found)} = ${told(numberIn(training.parameters, found), 3)}` : "";
    if (same(found, pointed)) return;
    pointed = found;
    show();
  });
  canvas.addEventListener("pointerleave", () => ((pointed = null), show()));
  canvas.addEventListener("pointerdown", (event) => {
    const found = under(event);
    if (!found) return;
    choose(found);
    dragging.follow(event, { from: numberIn(training.parameters, found), unit: unit(), write });
  });

  const lines = element(
    "select",
    { id: "lines", onchange: (event) => ((isShowingGradients = event.target.value === "gradients"), show()) },
    ["weights", "gradients"].map((value) => element("option", { value }, value === "weights" ? say("weights") : say("gradients"))),
  );
  const box = figure(say("The network"), canvas, element("label", {}, `${say("the lines show")} `, lines), range);
  box.classList.add("network");
  box.append(line);
  return { figure: box, show, spotOf, forget: () => (base = null) };
}
