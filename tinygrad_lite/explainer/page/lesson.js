// The lesson: the recorded graph with its numbers, and the same computed again when somebody changes a leaf.

const lesson = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { nodes, steps, root } = data;

  const number = (text) => ({ nan: NaN, inf: Infinity, "-inf": -Infinity })[text] ?? Number(text);

  const mapped = (told) => Object.fromEntries(Object.entries(told).map(([name, text]) => [name, number(text)]));

  // An array as it came, once it is asked for.
  function unpacked(packed) {
    if (Array.isArray(packed.data)) return packed.data.map(number);
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    return Array.from(packed.dtype === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer));
  }

  const recorded = new Map();
  function recordedArray(packed) {
    if (!recorded.has(packed)) {
      const { shape, dtype, rows, columns, told } = packed;
      recorded.set(packed, { shape, dtype, data: unpacked(packed), sample: rows && { rows, columns, told: mapped(told) } });
    }
    return recorded.get(packed);
  }

  const isOperation = (node) => node.op !== undefined;
  const operations = nodes.map((_, i) => i).filter((i) => isOperation(nodes[i]));
  const leaves = nodes.map((_, i) => i).filter((i) => !isOperation(nodes[i]));
  const order = new Map(operations.map((i, k) => [i, k + 1]));
  const turn = new Map(steps.map((step, k) => [step.node, k])); // of which backward step a node is the operation
  const uses = nodes.map(() => []); // the operations that take a node in
  operations.forEach((i) => new Set(nodes[i].inputs).forEach((x) => typeof x === "number" && uses[x].push(i)));
  const received = nodes.map(() => []); // the contributions to a node: [step, contribution]
  steps.forEach((step, k) => step.to.forEach((each) => received[each.node].push([k, each])));

  // ---- computed again: what differs from the recording, by node

  let values = new Map();
  let gradients = new Map();
  let changes = new Map(); // of leaves

  const value = (i) => values.get(i) ?? recordedArray(nodes[i].value);
  const gradient = (i) => gradients.get(i) ?? (nodes[i].gradient ? recordedArray(nodes[i].gradient) : null);
  const argument = (x, of = value) => (typeof x === "number" ? of(x) : number(x));
  const typed = (array, i) => {
    const dtype = nodes[i].value.dtype;
    return { ...(dtype === "float32" ? np.float32(array) : np.asArray(array)), dtype };
  };

  function forward(i, of = value) {
    return typed(programs[nodes[i].forward](np, ...nodes[i].inputs.map((x) => argument(x, of))), i);
  }

  // What an operation's rule gives for one of its inputs, before and after the sum over broadcast axes.
  function contribution(step, each) {
    const node = nodes[step.node];
    if (each.value) return { full: null, value: recordedArray(each.value) };
    const given = node.inputs.map((x) => argument(x));
    let full;
    const products = np.watched(() => {
      full = np.asArray(programs[each.vjp](np, gradient(step.node), value(step.node), ...given));
    });
    return { full, products, value: typed(np.fitted(full, nodes[each.node].value.shape), each.node) };
  }

  // The gradient of a node once some backward steps have had their turn: as far as it has added up; null before any.
  function gradientAfter(i, turns) {
    const parts = received[i].filter(([turn]) => turn < turns);
    if (parts.length === received[i].length) return turns >= 0 ? gradient(i) : null;
    const found = parts.map(([turn, each]) => contribution(steps[turn], each).value);
    return found.length ? found.reduce((a, b) => np.add(a, b)) : null;
  }

  function slope(step, each) {
    if (each.slopes) return recordedArray(each.slopes);
    if (typeof each.slope !== "number") return null;
    const node = nodes[step.node];
    return np.asArray(programs[each.slope](np, value(step.node), ...node.inputs.map((x) => argument(x))));
  }

  // The values of all that depends on some nodes, which have others than they had.
  function affected(changed, of = value) {
    const found = new Map(changed);
    const get = (i) => found.get(i) ?? of(i);
    for (const i of operations) {
      if (!found.has(i) && nodes[i].inputs.some((x) => typeof x === "number" && found.has(x))) found.set(i, forward(i, get));
    }
    return found;
  }

  // What is differentiated: the sum of the result's entries, each times what the backward pass starts from.
  const upstream = recordedArray(nodes[root].gradient);
  const total = (array) => np.sum(np.multiply(array, upstream)).data[0];
  const result = () => total(value(root));

  // The result's sum when a node has other numbers; in full precision.
  const resultWith = (changed) => np.unrounded(() => total(affected(changed).get(root) ?? value(root)));

  // Everything, with other numbers in some leaves.
  function change(changed) {
    for (const [leaf, array] of changed) changes.set(leaf, array);
    recompute();
  }

  function recompute() {
    values = new Map();
    values = affected(changes);
    gradients = new Map([[root, upstream]]);
    const arrived = gradients;
    for (const step of steps) {
      for (const each of step.to) {
        const part = contribution(step, each).value;
        const before = arrived.get(each.node);
        arrived.set(each.node, before ? typed(np.add(before, part), each.node) : part);
      }
    }
  }

  function reset() {
    [values, gradients, changes] = [new Map(), new Map(), new Map()];
  }

  // The derivative by one entry of a node, from values alone: two central differences, and Richardson's extrapolation.
  function measured(i, place) {
    const array = value(i);
    const x = array.data[place];
    const shifted = (h) => {
      const moved = array.data.slice();
      moved[place] = x + h;
      return resultWith(new Map([[i, { ...array, data: moved }]]));
    };
    const step = 1e-3 * Math.max(1, Math.abs(x));
    const [wide, narrow] = [step, step / 2].map((h) => (shifted(h) - shifted(-h)) / (2 * h));
    const [left, middle, right] = [shifted(-step * 1e-3), shifted(0), shifted(step * 1e-3)];
    const estimate = (4 * narrow - wide) / 3;
    const rounding = (2 ** -52 * Math.abs(middle)) / step;
    return {
      estimate,
      error: Math.abs(estimate - narrow) + rounding,
      left: (middle - left) / (step * 1e-3),
      right: (right - middle) / (step * 1e-3),
    };
  }

  return {
    data,
    nodes,
    steps,
    root,
    operations,
    leaves,
    turn,
    uses,
    received,
    live: data.recordedOnly === null,
    number,
    isOperation,
    recordedArray,
    value,
    gradient,
    gradientAfter,
    forward,
    contribution,
    slope,
    argument,
    result,
    resultWith,
    measured,
    change,
    reset,
    changed: () => changes.size > 0,
    // Positions in the lesson: 0 before anything, then each operation forward, then each backward step.
    last: operations.length + steps.length,
    at: (position) => {
      if (position === 0) return { phase: "start" };
      if (position <= operations.length) return { phase: "forward", node: operations[position - 1] };
      return { phase: "backward", turn: position - operations.length - 1, node: steps[position - operations.length - 1].node };
    },
    forwardPosition: (i) => order.get(i),
    backwardPosition: (i) => operations.length + turn.get(i) + 1,
  };
})();
