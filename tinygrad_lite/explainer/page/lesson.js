// The lesson: the recorded graph with its numbers, and the same computed again when somebody changes a leaf.

const MOST_OF_JACOBIAN = 1_000_000; // entries of a Jacobian that is made row by row

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
      const { shape, dtype, complex, rows, columns, told } = packed;
      recorded.set(packed, { shape, dtype, complex, data: unpacked(packed), sample: rows && { rows, columns, told: mapped(told) } });
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
  const argument = (x, of = value) => (typeof x === "number" ? of(x) : Array.isArray(x) ? np.complex(...x.map(number)) : number(x));
  const typed = (array, i) => {
    const { dtype, complex } = nodes[i].value;
    const made = np.asArray(array);
    const fit = Boolean(complex) === Boolean(made.complex) ? made : complex ? np.complex(made, 0) : np.real(made);
    return { ...fit, data: dtype === "float32" ? np.float32(fit).data : fit.data, dtype };
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
    const own = typed(np.fitted(full, nodes[each.node].value.shape), each.node);
    // Of complex numbers, products and terms are those of their parts, which nobody has written.
    const isComplex = [full, gradient(step.node), ...given].some((x) => x.complex);
    return isComplex ? { full: null, value: own } : { full, products, value: own };
  }

  // The gradient of a node once some backward steps have had their turn: as far as it has added up; null before any.
  function gradientAfter(i, turns) {
    const parts = received[i].filter(([turn]) => turn < turns);
    if (parts.length === received[i].length) return turns >= 0 ? gradient(i) : null;
    const found = parts.map(([turn, each]) => contribution(steps[turn], each).value);
    // Samples of arrays of one shape are of the same places; what is told of the whole array is not known of a part.
    const sample = found[0]?.sample && { ...found[0].sample, told: undefined };
    return found.length ? { ...found.reduce((a, b) => np.plus(a, b)), sample } : null;
  }

  function slope(step, each) {
    if (each.slopes) return recordedArray(each.slopes);
    if (typeof each.slope !== "number") return null;
    const node = nodes[step.node];
    return np.asArray(programs[each.slope](np, value(step.node), ...node.inputs.map((x) => argument(x))));
  }

  // The values of all nodes that depend on some whose values have changed.
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
  const recordedResult = total(value(root));

  // The result's sum when a node has other numbers; in full precision.
  const resultWith = (changed) => np.unrounded(() => total(affected(changed).get(root) ?? value(root)));

  const listeners = []; // functions to call when numbers have changed

  // Everything, with other numbers in some leaves.
  function change(changed) {
    for (const [leaf, array] of changed) changes.set(leaf, typed(array, leaf));
    recompute();
    listeners.forEach((told) => told());
  }

  const withEntry = (array, place, x) => ({ ...array, data: array.data.map((each, k) => (k === place ? x : each)) });

  const changeEntry = (leaf, place, x) => change([[leaf, withEntry(value(leaf), place, x)]]);

  // The result moves by Re(g · dz): along the imaginary axis, its slope is minus the imaginary part of g.
  const signOf = (array, place) => (array.complex && place % 2 ? -1 : 1);
  const slopeAt = (i, place) => signOf(value(i), place) * gradient(i).data[place];

  // The change of an operation's result if its inputs change, by its local derivatives: forward mode. If an operation
  // cannot be pushed through, from its rule, which is linear in g: one row of the Jacobian for each entry.
  function pushed(step, tangents) {
    const node = nodes[step.node];
    const y = value(step.node);
    const given = node.inputs.map((x) => argument(x));
    let total = null;
    for (const each of step.to) {
      const t = tangents.get(node.inputs[each.input]);
      if (!t) continue;
      let part;
      if (node.pushes === "entries") part = np.broadcast_to(programs[each.vjp](np, np.broadcast_to(t, y.shape), y, ...given), y.shape);
      else if (node.pushes === "linear") part = programs[node.forward](np, ...given.map((x, k) => (k === each.input ? t : x)));
      else if (typeof each.push === "number") part = programs[each.push](np, t, ...given);
      else if (y.data.length * t.data.length > MOST_OF_JACOBIAN) return null;
      else {
        const rows = y.data.map((_, k) => {
          const g = { ...y, data: y.data.map((_, other) => (k === other ? signOf(y, k) : 0)) };
          const row = typed(np.fitted(programs[each.vjp](np, g, y, ...given), t.shape), each.node);
          return row.data.reduce((sum, x, other) => sum + signOf(t, other) * x * t.data[other], 0);
        });
        part = { ...y, data: rows };
      }
      total = total ? np.plus(total, part) : np.asArray(part);
    }
    return total && { ...total, dtype: y.dtype };
  }

  // What a nudge of one entry by h does behind it: for each node on the way, the change that the chain rule predicts and
  // the one that is real, both as arrays; null where nothing is predicted.
  function nudged(i, place, h) {
    const moved = (array) => np.unrounded(() => affected(new Map([[i, array]]))); // else float32 rounds a small change away
    const [before, real] = [moved(value(i)), moved(withEntry(value(i), place, value(i).data[place] + h))];
    const tangent = { ...value(i), data: value(i).data.map((_, k) => (k === place ? h : 0)) };
    const tangents = new Map([[i, tangent]]);
    for (const node of real.keys()) {
      if (node === i || !turn.has(node)) continue;
      const predicted = pushed(steps[turn.get(node)], tangents);
      if (predicted) tangents.set(node, predicted);
    }
    return [...real].map(([node, now]) => ({ node, predicted: tangents.get(node) ?? null, real: np.minus(now, before.get(node)) }));
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
        arrived.set(each.node, before ? typed(np.plus(before, part), each.node) : part);
      }
    }
  }

  function reset() {
    [values, gradients, changes] = [new Map(), new Map(), new Map()];
    listeners.forEach((told) => told());
  }

  // The derivative with respect to an entry of a node, from values alone: central differences with ever smaller steps, extrapolated
  // (C. Ridders, 1982), and of these the one with the smallest error; and the slopes to either side.
  function measured(i, place) {
    const array = value(i);
    const x = array.data[place];
    const scale = Math.abs(x) || 1;
    const shifted = (h) => {
      const moved = array.data.slice();
      moved[place] = x + h;
      return resultWith(new Map([[i, { ...array, data: moved }]]));
    };
    const here = shifted(0);
    const rounding = noise(shifted, scale * 1e-5);
    let best = { estimate: NaN, error: Infinity };
    let sides = { left: NaN, right: NaN, error: Infinity };
    let [former, formerSides, formerEstimates] = [[], null, null];
    for (let level = 0; level < 12; level++) {
      const step = scale * 0.0618 * 2 ** -level;
      const [above, below] = [shifted(step), shifted(-step)];
      const column = [{ value: (above - below) / (2 * step), noise: rounding / step }];
      former.slice(0, 6).forEach((before, k) => {
        const [weight, last] = [1 / (4 ** (k + 1) - 1), column.at(-1)];
        column.push({ value: last.value + weight * (last.value - before.value), noise: (1 + weight) * last.noise + weight * before.noise });
        const distance = Math.max(Math.abs(column.at(-1).value - last.value), Math.abs(column.at(-1).value - before.value));
        const error = 2 * distance + 4 * column.at(-1).noise;
        if (k > 0 && error < best.error) best = { estimate: column.at(-1).value, error };
      });
      const now = [(here - below) / step, (above - here) / step];
      const estimates = formerSides && now.map((slope, k) => 2 * slope - formerSides[k]);
      if (formerEstimates) {
        const moved = Math.max(...estimates.map((slope, k) => Math.abs(slope - formerEstimates[k])));
        const error = 2 * moved + (24 * rounding) / step;
        if (error < sides.error) sides = { left: estimates[0], right: estimates[1], error };
      }
      [former, formerSides, formerEstimates] = [column, now, estimates];
    }
    const jump = Math.abs(sides.right - sides.left);
    return { ...best, ...{ left: sides.left, right: sides.right }, kink: jump > 4 * sides.error && jump > 1e-6 * Math.abs(sides.right) };
  }

  // How far rounding moves a result: differences of high order vanish at close points, and what remains of them is noise
  // (J. Moré and S. Wild, 2011).
  function noise(f, spacing) {
    let values = Array.from({ length: 8 }, (_, k) => f(k * spacing));
    let found = 2 ** -51 * Math.max(...values.map(Math.abs));
    let factor = 1; // (k!)² / (2k)!
    for (let k = 1; k <= 6; k++) {
      values = values.slice(1).map((x, i) => x - values[i]);
      factor *= k / (2 * (2 * k - 1));
      const mean = values.reduce((sum, x) => sum + x * x, 0) / values.length;
      if (k >= 4) found = Math.max(found, Math.sqrt(factor * mean));
    }
    return found;
  }

  const live = data.recordedOnly === null;

  return {
    data,
    nodes,
    steps,
    root,
    letter: data.letter,
    startsFromOnes: upstream.data.every((x) => x === 1),
    operations,
    leaves,
    uses,
    received,
    live,
    // Labels and indices are written into the programs; a mask has two values only.
    isEditable: (i) => !isOperation(nodes[i]) && live && nodes[i].value.dtype.startsWith("float"),
    number,
    isOperation,
    recordedArray,
    value,
    gradient,
    gradientAfter,
    slopeAt,
    forward,
    contribution,
    slope,
    result,
    weighted: total,
    recordedResult,
    resultWith,
    measured,
    listeners,
    change,
    changeEntry,
    nudged,
    reset,
    changed: () => changes.size > 0,
    changes: () => changes,
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
