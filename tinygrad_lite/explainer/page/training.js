// A network that learns in the page, by the declarations.

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

// `seen` are the rows that the network learns from, `heldOut` as many others; `layers` has the nodes of each layer's
// weights, of its bias and of what it takes; `losses` and `heldOutLosses` hold one number for each step.
class Training {
  constructor({ problem, depth, units, activation, optimizer, seed }) {
    this.problem = content.problems.find(({ name }) => name === problem);
    this.network = content.networks.find((each) => each.inputs === this.problem.inputs && each.depth === depth && each.activation === activation);
    this.optimizer = content.optimizers[optimizer];
    [this.seen, this.heldOut] = [0, 1].map((part) => this.half(part));
    this.parameters = new Map();
    this.kept = new Map();
    this.layers = [];
    const draw = random(seed);
    this.network.parameters.forEach(([name, node], k) => {
      const layer = k >> 1;
      const [from, to] = [layer ? units : this.problem.inputs, layer === depth ? 1 : units];
      const shape = name.endsWith("weight") ? [to, from] : [to];
      const reach = 1 / Math.sqrt(from);
      this.parameters.set(node, array(shape, Array.from({ length: np.sizeOf(shape) }, () => reach * (2 * draw() - 1))));
      this.kept.set(node, this.optimizer.kept.map(() => array(shape, new Array(np.sizeOf(shape)).fill(0))));
      if (k % 2 === 0) this.layers.push({ weight: node, bias: this.network.parameters[k + 1][1], from, to, takes: this.network.operations.find(({ inputs }) => inputs[1] === node).inputs[0] });
    });
    this.steps = 0;
    [this.losses, this.heldOutLosses] = [[], []];
    this.note();
  }

  // Half of the problem's rows.
  half(part) {
    const { x, y, inputs } = this.problem;
    const rows = y.length / 2;
    return { inputs: array([rows, inputs], x.slice(part * rows * inputs, (part + 1) * rows * inputs)), targets: array([rows, 1], y.slice(part * rows, (part + 1) * rows)) };
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

  // The values of the units for some inputs.
  says(inputs) {
    return this.values(inputs, null, this.network.outputs);
  }

  // Computes the values of all rows with the weights as they are. The losses, the gradients and the shares read them.
  note() {
    for (const [rows, losses] of [[this.seen, this.losses], [this.heldOut, this.heldOutLosses]]) {
      rows.values = this.values(rows.inputs, rows.targets);
      losses[this.steps] = rows.values.get(this.network.loss).data[0];
    }
    this.known = null;
  }

  // The gradient of the loss by each parameter, with the weights as they are.
  gradients() {
    if (this.known) return this.known;
    const { values } = this.seen;
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
    return (this.known = gradients);
  }

  step(lr) {
    const gradients = this.gradients();
    this.steps += 1;
    const [t, rate] = [array([], [this.steps]), array([], [lr])];
    for (const [node, w] of this.parameters) {
      const before = [np, w, gradients.get(node), t, rate, ...this.kept.get(node)];
      const kept = this.optimizer.kept.map((program) => np.asArray(programs[program](...before)));
      this.parameters.set(node, np.asArray(programs[this.optimizer.updated](...before)));
      this.kept.set(node, kept);
    }
    this.note();
  }

  // Another number at a place of a parameter, by hand.
  change(node, place, x) {
    const { shape, data } = this.parameters.get(node);
    this.parameters.set(node, array(shape, Array.from(data, (old, k) => (k === place ? x : old))));
    this.note();
  }

  // The share of rows on the right side.
  accuracy({ values, targets }) {
    const outputs = values.get(this.network.outputs).data;
    return outputs.filter((x, k) => x > 0 === targets.data[k] > 0).length / outputs.length;
  }
}
