// The page's own NumPy: what a printed declaration calls, under NumPy's names. An array is its shape and its entries,
// row by row, as numbers; truths are 0 and 1. A plain number counts as an array without axes.

const np = (() => {
  const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
  const array = (shape, data) => ({ shape, data });
  const full = (shape, number) => array(shape, new Array(sizeOf(shape)).fill(number));
  const asArray = (x) => (typeof x === "number" ? array([], [x]) : x);
  const same = (a, b) => a.length === b.length && a.every((size, i) => size === b[i]);

  function stridesOf(shape) {
    const strides = new Array(shape.length);
    let step = 1;
    for (let i = shape.length - 1; i >= 0; i--) {
      strides[i] = step;
      step *= shape[i];
    }
    return strides;
  }

  function broadcastShapes(...shapes) {
    const ndim = Math.max(...shapes.map((shape) => shape.length));
    return Array.from({ length: ndim }, (_, i) => {
      const sizes = shapes.map((shape) => shape[i - ndim + shape.length] ?? 1);
      const size = sizes.find((each) => each !== 1) ?? 1;
      if (sizes.some((each) => each !== 1 && each !== size)) throw new Error(`shapes do not broadcast: ${shapes}`);
      return size;
    });
  }

  // For each entry of a shape, in order, where an array of the given strides has it.
  function placesOf(shape, strides) {
    const places = new Array(sizeOf(shape));
    const index = new Array(shape.length).fill(0);
    let place = 0;
    for (let k = 0; k < places.length; k++) {
      places[k] = place;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index[axis]++;
        place += strides[axis];
        if (index[axis] < shape[axis]) break;
        place -= strides[axis] * shape[axis];
        index[axis] = 0;
      }
    }
    return places;
  }

  function broadcast_to(x, shape) {
    x = asArray(x);
    if (same(x.shape, shape)) return x;
    const added = shape.length - x.shape.length;
    const own = stridesOf(x.shape);
    const strides = shape.map((_, i) => (i < added || x.shape[i - added] === 1 ? 0 : own[i - added]));
    return array(shape, placesOf(shape, strides).map((place) => x.data[place]));
  }

  const unary = (f) => (x) => ((x = asArray(x)), array(x.shape, x.data.map(f)));

  function binary(f) {
    return (a, b) => {
      a = asArray(a);
      b = asArray(b);
      if (same(a.shape, b.shape)) return array(a.shape, a.data.map((x, i) => f(x, b.data[i])));
      if (!b.shape.length) return array(a.shape, a.data.map((x) => f(x, b.data[0])));
      if (!a.shape.length) return array(b.shape, b.data.map((y) => f(a.data[0], y)));
      const shape = broadcastShapes(a.shape, b.shape);
      const other = broadcast_to(b, shape).data;
      return array(shape, broadcast_to(a, shape).data.map((x, i) => f(x, other[i])));
    };
  }

  const where = (condition, a, b) => {
    const shapes = [condition, a, b].map((x) => asArray(x).shape);
    const shape = broadcastShapes(...shapes);
    const [c, x, y] = [condition, a, b].map((each) => broadcast_to(each, shape).data);
    return array(shape, c.map((truth, i) => (truth !== 0 ? x[i] : y[i])));
  };

  // ---- complex numbers: the parts of each are two entries side by side, and programs compute with the parts

  const part = (k) => (z) => (z.complex ? array(z.shape, z.data.filter((_, i) => i % 2 === k)) : k ? full(z.shape, 0) : z);
  const [real, imag] = [part(0), part(1)];

  function complex(x, y) {
    [x, y] = [x, y].map(asArray);
    const shape = broadcastShapes(x.shape, y.shape);
    const other = broadcast_to(y, shape).data;
    return { ...array(shape, broadcast_to(x, shape).data.flatMap((each, i) => [each, other[i]])), complex: true };
  }

  // A function that is linear in all of its arrays together, which may be complex.
  function byParts(f) {
    return (...arrays) => {
      if (!arrays.some((x) => x.complex)) return f(...arrays);
      return complex(f(...arrays.map(asArray).map(real)), f(...arrays.map(asArray).map(imag)));
    };
  }

  // ---- moving entries

  const reshape = (x, shape) => array(shape, asArray(x).data);
  const take = (x, shape, places) => array(shape, places.map((place) => x.data[place]));

  function scatter(shape, parts, places, forms) {
    const total = full(shape, 0);
    parts.forEach((part, k) => {
      const entries = fitting(part, forms[k]);
      places[k].forEach((place, i) => (total.data[place] += entries[i]));
    });
    return total;
  }

  const index_set = (x, values, places, form) => {
    const [data, entries] = [x.data.slice(), fitting(values, form)];
    places.forEach((place, i) => (data[place] = entries[i]));
    return array(x.shape, data);
  };

  const index_add = (x, values, places, form) => {
    const [data, entries] = [x.data.slice(), fitting(values, form)];
    places.forEach((place, i) => (data[place] += entries[i]));
    return array(x.shape, data);
  };

  // Values as an assignment broadcasts them: they may have further axes of one in front.
  function fitting(values, form) {
    const { shape, data } = asArray(values);
    return broadcast_to(array(shape.slice(Math.max(shape.length - form.length, 0)), data), form).data;
  }

  function transpose(x, { axes } = {}) {
    const ndim = x.shape.length;
    const order = axes ? axes.map((axis) => (axis + ndim) % ndim) : x.shape.map((_, i) => ndim - 1 - i);
    const [own, shape] = [stridesOf(x.shape), order.map((axis) => x.shape[axis])];
    return take(x, shape, placesOf(shape, order.map((axis) => own[axis])));
  }

  function swapaxes(x, { axis1, axis2 }) {
    const axes = x.shape.map((_, i) => i);
    const [i, j] = [axis1, axis2].map((axis) => (axis + axes.length) % axes.length);
    [axes[i], axes[j]] = [axes[j], axes[i]];
    return transpose(x, { axes });
  }

  function concatenate(...given) {
    const { axis } = { axis: 0, ...(isArray(given.at(-1)) ? {} : given.pop()) };
    given = given.map(asArray);
    if (axis === null) given = given.map((x) => reshape(x, [x.data.length]));
    const at = ((axis ?? 0) + given[0].shape.length) % given[0].shape.length;
    const shape = given[0].shape.slice();
    shape[at] = given.reduce((total, x) => total + x.shape[at], 0);
    const outer = sizeOf(shape.slice(0, at));
    const blocks = given.map((x) => sizeOf(x.shape.slice(at)));
    const data = [];
    for (let row = 0; row < outer; row++) {
      given.forEach((x, k) => {
        for (let i = row * blocks[k]; i < (row + 1) * blocks[k]; i++) data.push(x.data[i]);
      });
    }
    return array(shape, data);
  }

  function stack(...given) {
    const { axis } = { axis: 0, ...(isArray(given.at(-1)) ? {} : given.pop()) };
    const arrays = given.map(asArray);
    const at = (axis + arrays[0].shape.length + 1) % (arrays[0].shape.length + 1);
    const layers = arrays.map((x) => reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]));
    return concatenate(...layers, { axis: at });
  }

  const isArray = (x) => typeof x === "number" || Boolean(x.shape);

  // ---- reductions

  // The array with the axes that are reduced last, as rows of them, and the shape of what is left.
  function rowsOf(x, axis, keepdims) {
    const ndim = x.shape.length;
    const lost = ndim ? [axis ?? x.shape.map((_, i) => i)].flat().map((i) => (i + ndim) % ndim) : [];
    const kept = x.shape.map((_, i) => i).filter((i) => !lost.includes(i));
    const moved = lost.length && kept.length ? transpose(x, { axes: [...kept, ...lost.sort((a, b) => a - b)] }) : x;
    const count = sizeOf(lost.map((i) => x.shape[i]));
    const shape = keepdims
      ? x.shape.map((size, i) => (lost.includes(i) ? 1 : size))
      : kept.map((i) => x.shape[i]);
    return { data: moved.data, count, shape };
  }

  function reduction(f) {
    return (x, { axis, keepdims = false, ...settings } = {}) => {
      const { data, count, shape } = rowsOf(asArray(x), axis, keepdims);
      const result = new Array(sizeOf(shape));
      for (let k = 0; k < result.length; k++) result[k] = f(data.slice(k * count, (k + 1) * count), settings);
      return array(shape, result);
    };
  }

  // Pairwise, as NumPy's: rounding grows with the logarithm of the count.
  function total(row, from = 0, to = row.length) {
    if (to - from <= 8) {
      let sum = 0;
      for (let i = from; i < to; i++) sum += row[i];
      return sum;
    }
    const middle = (from + to) >> 1;
    return total(row, from, middle) + total(row, middle, to);
  }

  const mean = (row) => total(row) / row.length;
  const variance = (row, { ddof = 0, correction }) => {
    const m = mean(row);
    return total(row.map((x) => (x - m) ** 2)) / Math.max(row.length - (correction ?? ddof), 0);
  };
  const larger = (a, b) => (a !== a || b !== b ? NaN : Math.max(a, b));
  const smaller = (a, b) => (a !== a || b !== b ? NaN : Math.min(a, b));

  // The norm of some order of the numbers in a row.
  const length = (ord) => (row) => {
    const sizes = row.map(Math.abs);
    if (typeof ord !== "number" || ord === 2) return Math.hypot(...row);
    if (Math.abs(ord) === Infinity) return ord > 0 ? sizes.reduce(larger, 0) : sizes.reduce(smaller, Infinity);
    if (ord === 0) return sizes.filter((x) => x !== 0).length;
    return total(sizes.map((x) => x ** ord)) ** (1 / ord);
  };

  const running = (f) => (x, { axis } = {}) => {
    x = asArray(x);
    if (axis == null || !x.shape.length) x = reshape(x, [x.data.length]);
    const at = ((axis ?? 0) + x.shape.length) % x.shape.length;
    const [data, step, size] = [x.data.slice(), stridesOf(x.shape)[at], x.shape[at]];
    for (let i = 0; i < data.length; i++) if (Math.floor(i / step) % size) data[i] = f(data[i - step], data[i]);
    return array(x.shape, data);
  };

  // ---- order

  // The first of the entries that come before all others; a NaN does.
  const first = (isBefore) => (row) => row.reduce((best, x, i) => (isBefore(x, row[best]) || (x !== x && row[best] === row[best]) ? i : best), 0);

  // Numbers in ascending order, equal ones as they stand, and NaN last.
  function argsort(x, { axis = -1 } = {}) {
    x = asArray(x);
    if (axis === null || !x.shape.length) return argsort(reshape(x, [x.data.length]));
    const at = (axis + x.shape.length) % x.shape.length;
    const [step, size] = [stridesOf(x.shape)[at], x.shape[at]];
    const data = new Array(x.data.length);
    for (let start = 0; start < data.length; start++) {
      if (Math.floor(start / step) % size) continue;
      const entry = (k) => x.data[start + k * step];
      const order = Array.from({ length: size }, (_, k) => k);
      order.sort((a, b) => (entry(a) !== entry(a)) - (entry(b) !== entry(b)) || entry(a) - entry(b) || a - b);
      order.forEach((k, place) => (data[start + place * step] = k));
    }
    return array(x.shape, data);
  }

  // The place of each number among sorted ones: before its equals, or behind them.
  function searchsorted(sorted, x, { side = "left" } = {}) {
    const isBefore = (a, b) => (side === "left" ? a < b || (b !== b && a === a) : a <= b || b !== b);
    return unary((each) => {
      let [low, high] = [0, sorted.data.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (isBefore(sorted.data[middle], each)) low = middle + 1;
        else high = middle;
      }
      return low;
    })(x);
  }

  // ---- products

  let products = null; // those that a computation performs, for whoever watches

  function watched(f) {
    const before = products;
    products = [];
    try {
      f();
      return products;
    } finally {
      products = before;
    }
  }

  function matmul(a, b) {
    const [rows, columns] = [a.shape.length === 1, b.shape.length === 1];
    const left = rows ? reshape(a, [1, a.shape[0]]) : a;
    const right = columns ? reshape(b, [b.shape[0], 1]) : b;
    const [n, m, p] = [left.shape.at(-2), left.shape.at(-1), right.shape.at(-1)];
    const outer = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2));
    const x = broadcast_to(left, [...outer, n, m]).data;
    const y = broadcast_to(right, [...outer, m, p]).data;
    const data = new Array(sizeOf(outer) * n * p).fill(0);
    for (let k = 0; k < sizeOf(outer); k++) {
      for (let i = 0; i < n; i++) {
        for (let l = 0; l < m; l++) {
          const factor = x[(k * n + i) * m + l];
          for (let j = 0; j < p; j++) data[(k * n + i) * p + j] += factor * y[(k * m + l) * p + j];
        }
      }
    }
    if (products) {
      const part = (all, k, ...shape) => array(shape, all.slice(k * sizeOf(shape), (k + 1) * sizeOf(shape)));
      const at = (k) => ({ left: part(x, k, n, m), right: part(y, k, m, p), result: part(data, k, n, p) });
      products.push({ count: sizeOf(outer), at });
    }
    return array([...outer, ...(rows ? [] : [n]), ...(columns ? [] : [p])], data);
  }

  // The sum over the last axis of a and one axis of b, as one matrix product.
  function contracted(a, b, axis) {
    [a, b] = [asArray(a), asArray(b)];
    if (!a.shape.length || !b.shape.length) return binary(twoArguments.multiply)(a, b);
    const at = axis + b.shape.length;
    const free = b.shape.map((_, i) => i).filter((i) => i !== at);
    const moved = transpose(b, { axes: [at, ...free] });
    const [n, shape] = [a.shape.at(-1), [...a.shape.slice(0, -1), ...free.map((i) => b.shape[i])]];
    const [rows, columns] = [a.shape.slice(0, -1), free.map((i) => b.shape[i])].map(sizeOf);
    return reshape(matmul(reshape(a, [rows, n]), reshape(moved, [n, columns])), shape);
  }

  function einsum(...given) {
    const { subscripts } = given.pop();
    const [inputs, output] = subscripts.split("->");
    const terms = inputs.split(",");
    const sizes = {};
    terms.forEach((term, k) =>
      [...term].forEach((letter, i) => {
        const size = asArray(given[k]).shape[i];
        if (size !== 1 || !(letter in sizes)) sizes[letter] = size;
      }),
    );
    const letters = [...new Set([...output, ...inputs.replaceAll(",", "")])];
    const shape = letters.map((letter) => sizes[letter]);
    const laid = terms.map((term, k) => {
      const x = asArray(given[k]);
      const own = stridesOf(x.shape);
      const strides = letters.map((letter) =>
        [...term].reduce((step, c, i) => step + (c === letter && x.shape[i] !== 1 ? own[i] : 0), 0),
      );
      return placesOf(shape, strides).map((place) => x.data[place]);
    });
    if (products) asProduct(given, terms, output, sizes);
    const all = array(shape, laid[0].map((_, i) => laid.reduce((value, x) => value * x[i], 1)));
    const lost = letters.map((_, i) => i).slice(output.length);
    return lost.length ? functions.sum(all, { axis: lost }) : all;
  }

  // A contraction of two arrays as matrix products, for whoever watches: of the letters of both, those in the output
  // number the products, and the others are summed.
  function asProduct(given, terms, output, sizes) {
    const [a, b] = terms;
    if (terms.length !== 2 || terms.some((term) => new Set(term).size < term.length)) return;
    const letters = [...new Set(a + b)];
    const group = (f) => letters.filter(f).sort((x, y) => output.indexOf(x) - output.indexOf(y));
    const batch = group((c) => a.includes(c) && b.includes(c) && output.includes(c));
    const summed = group((c) => a.includes(c) && b.includes(c) && !output.includes(c));
    const [rows, columns] = [group((c) => !b.includes(c)), group((c) => !a.includes(c))];
    if (!summed.length || [...rows, ...columns].some((c) => !output.includes(c))) return;
    const laidOut = (k, order) => {
      const x = asArray(given[k]);
      if ([...terms[k]].some((c, i) => x.shape[i] !== sizes[c])) return null;
      return transpose(x, { axes: order.map((c) => terms[k].indexOf(c)) });
    };
    const size = (group) => sizeOf(group.map((c) => sizes[c]));
    const [left, right] = [laidOut(0, [...batch, ...rows, ...summed]), laidOut(1, [...batch, ...summed, ...columns])];
    if (!left || !right) return;
    matmul(reshape(left, [size(batch), size(rows), size(summed)]), reshape(right, [size(batch), size(summed), size(columns)]));
  }

  // Gauss's elimination with the largest pivots, on [a | b]: the solution, and the determinant, also as its sign and the
  // logarithm of its size, which may be too large for a number.
  function eliminated(a, b) {
    const n = a.length;
    const rows = a.map((row, i) => [...row, ...b[i]]);
    let [determinant, sign, logarithm] = [1, 1, 0];
    for (let k = 0; k < n; k++) {
      let pivot = k;
      for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
      if (pivot !== k) {
        [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
        [determinant, sign] = [-determinant, -sign];
      }
      determinant *= rows[k][k];
      sign *= Math.sign(rows[k][k]);
      logarithm += Math.log(Math.abs(rows[k][k]));
      if (rows[k][k] === 0) return { determinant: 0, sign, logarithm, solution: b.map((row) => row.map(() => NaN)) };
      for (let i = 0; i < n; i++) {
        if (i === k) continue;
        const factor = rows[i][k] / rows[k][k];
        if (factor) for (let j = k; j < rows[i].length; j++) rows[i][j] -= factor * rows[k][j];
      }
    }
    return { determinant, sign, logarithm, solution: rows.map((row, i) => row.slice(n).map((x) => x / row[i])) };
  }

  const matrixOf = (data, k, n, m) =>
    Array.from({ length: n }, (_, i) => data.slice((k * n + i) * m, (k * n + i + 1) * m));
  const identity = (n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => +(i === j)));

  function inv(a) {
    const n = a.shape.at(-1);
    const each = Array.from({ length: a.data.length / n ** 2 }, (_, k) => matrixOf(a.data, k, n, n));
    return array(a.shape, each.flatMap((rows) => eliminated(rows, identity(n)).solution.flat()));
  }

  // Row by row, L with LLᵀ = a; of a matrix that is not positive definite, NaN.
  function cholesky(a, { upper = false } = {}) {
    const n = a.shape.at(-1);
    const rowsOf = (matrix) => {
      const lower = matrix.map((row) => row.map(() => 0));
      for (let i = 0; i < n; i++) {
        for (let j = 0; j <= i; j++) {
          let rest = upper ? matrix[j][i] : matrix[i][j];
          for (let k = 0; k < j; k++) rest -= lower[i][k] * lower[j][k];
          lower[i][j] = i === j ? (rest > 0 ? Math.sqrt(rest) : NaN) : rest / lower[j][j];
        }
      }
      return upper ? lower.map((row, i) => row.map((_, j) => lower[j][i])) : lower;
    };
    return array(a.shape, Array.from({ length: a.data.length / n ** 2 }, (_, k) => rowsOf(matrixOf(a.data, k, n, n))).flat(2));
  }

  const ofEachMatrix = (part) => (a) => {
    const n = a.shape.at(-1);
    const outer = a.shape.slice(0, -2);
    return array(
      outer,
      Array.from({ length: sizeOf(outer) }, (_, k) => eliminated(matrixOf(a.data, k, n, n), identity(n))[part]),
    );
  };

  function solve(a, b) {
    const column = b.shape.length === 1;
    const right = column ? reshape(b, [b.shape[0], 1]) : b;
    const [n, p] = [a.shape.at(-1), right.shape.at(-1)];
    const outer = broadcastShapes(a.shape.slice(0, -2), right.shape.slice(0, -2));
    const [x, y] = [broadcast_to(a, [...outer, n, n]).data, broadcast_to(right, [...outer, n, p]).data];
    const data = Array.from({ length: sizeOf(outer) }, (_, k) =>
      eliminated(matrixOf(x, k, n, n), matrixOf(y, k, n, p)).solution.flat(),
    ).flat();
    return array([...outer, n, ...(column ? [] : [p])], data);
  }

  // ---- functions of a number

  const toEven = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  const remainder = (a, b) => {
    if (b === 0 || b !== b) return NaN;
    if (!Number.isFinite(b)) return Number.isFinite(a) ? (a === 0 || a > 0 === b > 0 ? a : b) : NaN;
    const rest = a % b;
    return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  };
  const isNegative = (x) => +(x < 0 || Object.is(x, -0));
  const exponent = (x) => {
    if (x === 0 || !Number.isFinite(x)) return 0;
    const e = Math.floor(Math.log2(Math.abs(x))) + 1; // which rounding may take too far, or not far enough
    const size = Math.abs(x) / 2 ** (e - 1);
    return size < 1 ? e - 1 : size < 2 ? e : e + 1;
  };
  const ldexp = (x, k) => x * 2 ** Math.trunc(k / 2) * 2 ** (k - Math.trunc(k / 2)); // 2 ** k may be too large
  const addExponentials = (a, b) => (a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))));

  const FAR = 3; // where the tail of the normal distribution converges fast

  const density = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

  // From 0 to x lies as much of the normal distribution as the series of erf says (Abramowitz and Stegun 7.1.6) …
  function share(x) {
    let [term, sum] = [x, x];
    for (let k = 1; Math.abs(term) > Math.abs(sum) * 1e-17; k++) sum += term *= (x * x) / (2 * k + 1);
    return density(x) * sum;
  }

  // … and beyond a large x as much as a continued fraction says (26.2.14).
  function tailByDensity(x) {
    let fraction = x;
    for (let k = 120; k > 0; k--) fraction = x + k / fraction;
    return 1 / fraction;
  }

  const tail = (x) => density(x) * tailByDensity(x);

  const normalCdf = (x) => (x !== x ? NaN : Math.abs(x) < FAR ? 0.5 + share(x) : x < 0 ? tail(-x) : 1 - tail(x));
  const erf = (x) => (x !== x ? NaN : Math.abs(x) * Math.SQRT2 < FAR ? 2 * share(x * Math.SQRT2) : Math.sign(x) * (1 - 2 * tail(Math.abs(x) * Math.SQRT2)));

  const erfcx = (x) => (x * Math.SQRT2 < FAR ? Math.exp(x * x) * 2 * normalCdf(-x * Math.SQRT2) : Math.sqrt(2 / Math.PI) * tailByDensity(x * Math.SQRT2));

  let rounds = true; // whether float32 is what it says

  // What f returns when float32 has all the digits of float64: to measure slopes.
  function unrounded(f) {
    rounds = false;
    try {
      return f();
    } finally {
      rounds = true;
    }
  }

  const isTrue = (x) => x !== 0; // NaN is true, in NumPy
  const power = (a, b) => (a === 1 || b === 0 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b);
  const truth = (f) => (...x) => +f(...x);
  const oneArgument = {
    negative: (x) => -x,
    reciprocal: (x) => 1 / x,
    square: (x) => x * x,
    absolute: Math.abs,
    fabs: Math.abs,
    sign: Math.sign,
    rint: toEven,
    exponent,
    exp2: (x) => 2 ** x,
    degrees: (x) => x * (180 / Math.PI),
    rad2deg: (x) => x * (180 / Math.PI),
    radians: (x) => x * (Math.PI / 180),
    deg2rad: (x) => x * (Math.PI / 180),
    arcsin: Math.asin,
    arccos: Math.acos,
    arctan: Math.atan,
    arcsinh: Math.asinh,
    arccosh: Math.acosh,
    arctanh: Math.atanh,
    logical_not: truth((x) => !isTrue(x)),
    invert: truth((x) => !isTrue(x)),
    isfinite: truth(Number.isFinite),
    isinf: truth((x) => Math.abs(x) === Infinity),
    isnan: truth(Number.isNaN),
    signbit: isNegative,
    zeros_like: () => 0,
    ones_like: () => 1,
    normal_cdf: normalCdf,
    erf,
    erfcx,
    erfc: (x) => 2 * normalCdf(-x * Math.SQRT2),
    float32: (x) => (rounds ? Math.fround(x) : x),
  };
  for (const name of "sqrt cbrt floor ceil trunc exp expm1 log log2 log10 log1p sin cos tan sinh cosh tanh".split(" ")) {
    oneArgument[name] = Math[name];
  }
  const twoArguments = {
    add: (a, b) => a + b,
    subtract: (a, b) => a - b,
    multiply: (a, b) => a * b,
    divide: (a, b) => a / b,
    power,
    float_power: power,
    remainder,
    fmod: (a, b) => a % b,
    floor_divide: (a, b) => (b === 0 ? a / b : Math.round((a - remainder(a, b)) / b)),
    hypot: Math.hypot,
    ldexp,
    copysign: (a, b) => (isNegative(b) ? -Math.abs(a) : Math.abs(a)),
    heaviside: (a, b) => (a === 0 ? b : a > 0 ? 1 : a < 0 ? 0 : NaN),
    logaddexp: addExponentials,
    logaddexp2: (a, b) => addExponentials(a * Math.LN2, b * Math.LN2) / Math.LN2,
    arctan2: Math.atan2,
    maximum: larger,
    minimum: smaller,
    fmax: (a, b) => (a !== a ? b : b !== b ? a : Math.max(a, b)),
    fmin: (a, b) => (a !== a ? b : b !== b ? a : Math.min(a, b)),
    equal: truth((a, b) => a === b),
    not_equal: truth((a, b) => a !== b),
    less: truth((a, b) => a < b),
    less_equal: truth((a, b) => a <= b),
    greater: truth((a, b) => a > b),
    greater_equal: truth((a, b) => a >= b),
    logical_and: truth((a, b) => isTrue(a) && isTrue(b)),
    logical_or: truth((a, b) => isTrue(a) || isTrue(b)),
    logical_xor: truth((a, b) => isTrue(a) !== isTrue(b)),
    bitwise_and: (a, b) => a & b,
    bitwise_or: (a, b) => a | b,
    bitwise_xor: (a, b) => a ^ b,
  };

  const functions = {
    sum: reduction((row, { initial = 0 }) => total(row) + initial),
    mean: reduction(mean),
    prod: reduction((row, { initial = 1 }) => row.reduce((a, b) => a * b, initial)),
    max: reduction((row, { initial = -Infinity }) => row.reduce(larger, initial)),
    min: reduction((row, { initial = Infinity }) => row.reduce(smaller, initial)),
    all: reduction((row) => +row.every(isTrue)),
    any: reduction((row) => +row.some(isTrue)),
    var: reduction(variance),
    std: reduction((row, settings) => Math.sqrt(variance(row, settings))),
    where,
    clip: (x, lowest, highest) =>
      [lowest, highest].reduce(
        (value, bound, i) => (bound === null ? value : binary(i ? smaller : larger)(value, bound)),
        x,
      ),
    concatenate,
    stack,
    transpose,
    swapaxes,
    argmax: reduction(first((a, b) => a > b)),
    argmin: reduction(first((a, b) => a < b)),
    argsort,
    searchsorted,
    cumsum: running((a, b) => a + b),
    cumprod: running((a, b) => a * b),
    norm: (x, { axes, keepdims, ord } = {}) => reduction(length(ord))(x, { axis: axes, keepdims }),
    vector_norm: (x, { axis, keepdims, ord } = {}) => reduction(length(ord))(x, { axis, keepdims }),
    round: (x, { decimals = 0 } = {}) => unary((each) => toEven(each * 10 ** decimals) / 10 ** decimals)(x),
    dot: (a, b) => contracted(a, b, asArray(b).shape.length > 1 ? -2 : -1),
    inner: (a, b) => contracted(a, b, -1),
    matmul,
    einsum,
    inv,
    cholesky,
    det: ofEachMatrix("determinant"),
    sign_of_det: ofEachMatrix("sign"),
    log_abs_det: ofEachMatrix("logarithm"),
    solve,
  };
  for (const [name, f] of Object.entries(oneArgument)) functions[name] = unary(f);
  for (const [name, f] of Object.entries(twoArguments)) functions[name] = binary(f);

  // A gradient summed over the axes that broadcasting added to its argument or stretched, as the engine sums it.
  const fitted = (g, shape) => byParts((part) => fittedPart(part, shape))(asArray(g));

  function fittedPart(g, shape) {
    const added = g.shape.length - shape.length;
    if (added > 0) g = functions.sum(g, { axis: Array.from({ length: added }, (_, i) => i) });
    const stretched = shape.map((_, i) => i).filter((i) => shape[i] === 1 && g.shape[i] !== 1);
    return stretched.length ? functions.sum(g, { axis: stretched, keepdims: true }) : g;
  }

  return {
    ...functions,
    array,
    asArray,
    sizeOf,
    stridesOf,
    reshape,
    broadcast_to,
    take,
    scatter,
    index_set,
    index_add,
    complex,
    real,
    imag,
    plus: byParts(functions.add),
    minus: byParts(functions.subtract),
    fitted,
    watched,
    unrounded,
  };
})();
