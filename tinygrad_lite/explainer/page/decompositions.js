// Decompositions of matrices in the last two axes, for the page's own NumPy. Several results are side by side in one
// array, as the declarations pack them.

Object.assign(np, (() => {
  const SWEEPS = 60; // of rotations; a few are enough
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const turned = (rows) => (rows.length ? rows[0].map((_, j) => rows.map((row) => row[j])) : []);
  const identity = (n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => +(i === j)));

  // What f makes of the rows of each matrix: a row of numbers.
  const ofEach = (f) => (a, settings = {}) => {
    const [m, n] = a.shape.slice(-2);
    const outer = a.shape.slice(0, -2);
    const rowsOf = (k) => Array.from({ length: m }, (_, i) => a.data.slice((k * m + i) * n, (k * m + i + 1) * n));
    const made = Array.from({ length: np.sizeOf(outer) }, (_, k) => f(rowsOf(k), settings, k));
    return np.array([...outer, made[0].length], made.flat());
  };

  // The angle of the rotation that makes the off-diagonal entry of [[p, o], [o, q]] vanish, as its cosine and sine.
  function rotation(p, o, q) {
    const half = (q - p) / (2 * o);
    const t = (half < 0 ? -1 : 1) / (Math.abs(half) + Math.hypot(half, 1));
    const c = 1 / Math.hypot(t, 1);
    return [c, t * c];
  }

  // Turn two rows into one another.
  function turn(a, b, c, s) {
    for (let i = 0; i < a.length; i++) [a[i], b[i]] = [c * a[i] - s * b[i], s * a[i] + c * b[i]];
  }

  // Jacobi's rotations of the rows until they are orthogonal, and the same of the rows of another matrix.
  function orthogonalise(rows, others) {
    for (let sweep = 0, isDone = false; sweep < SWEEPS && !isDone; sweep++) {
      isDone = true;
      for (let i = 0; i < rows.length; i++) {
        for (let j = i + 1; j < rows.length; j++) {
          const [p, o, q] = [dot(rows[i], rows[i]), dot(rows[i], rows[j]), dot(rows[j], rows[j])];
          if (!(Math.abs(o) > 1e-16 * Math.sqrt(p * q))) continue;
          isDone = false;
          const [c, s] = rotation(p, o, q);
          turn(rows[i], rows[j], c, s);
          turn(others[i], others[j], c, s);
        }
      }
    }
  }

  const order = (values, isBefore) => values.map((_, k) => k).sort((i, j) => isBefore(values[i], values[j]) || i - j);

  // The singular values from the largest, with rows of left and right vectors.
  function singular(rows) {
    const isTall = rows.length >= rows[0].length;
    const [scaled, right] = [isTall ? turned(rows) : rows.map((row) => row.slice()), identity(Math.min(rows.length, rows[0].length))];
    orthogonalise(scaled, right);
    const sizes = scaled.map((row) => Math.hypot(...row));
    const sorted = order(sizes, (a, b) => b - a);
    const units = sorted.map((k) => scaled[k].map((x) => (sizes[k] ? x / sizes[k] : 0)));
    const others = sorted.map((k) => right[k]);
    return { values: sorted.map((k) => sizes[k]), left: isTall ? units : others, right: isTall ? others : units };
  }

  // The eigenvalues of a symmetric matrix, of which one triangle is read, from the smallest, with rows of vectors.
  function symmetric(rows, { UPLO = "L" }) {
    const isUpper = UPLO.toUpperCase() === "U";
    const a = rows.map((row, i) => row.map((x, j) => (i < j === isUpper ? x : rows[j][i])));
    const vectors = identity(a.length);
    for (let sweep = 0, isDone = false; sweep < SWEEPS && !isDone; sweep++) {
      isDone = true;
      for (let i = 0; i < a.length; i++) {
        for (let j = i + 1; j < a.length; j++) {
          if (!(Math.abs(a[i][j]) > 1e-17 * (Math.abs(a[i][i]) + Math.abs(a[j][j])))) continue;
          isDone = false;
          const [c, s] = rotation(a[i][i], a[i][j], a[j][j]);
          turn(a[i], a[j], c, s);
          for (const row of a) [row[i], row[j]] = [c * row[i] - s * row[j], s * row[i] + c * row[j]];
          a[i][j] = a[j][i] = 0;
          turn(vectors[i], vectors[j], c, s);
        }
      }
    }
    const values = a.map((row, i) => row[i]);
    const sorted = order(values, (x, y) => x - y);
    return { values: sorted.map((k) => values[k]), vectors: sorted.map((k) => vectors[k]) };
  }

  // The sign of each vector is arbitrary; here it is that of the recorded ones, if it matters.
  const signs = (vectors, recorded) => vectors.map((vector, k) => (recorded && dot(vector, recorded[k]) < 0 ? -1 : 1));
  const times = (factors, rows) => rows.map((row, k) => row.map((x) => factors[k] * x));

  // Of what was recorded for the matrix k, the rows of n numbers in a part of so many.
  function recordedRows(like, k, count, from, n) {
    if (!like) return null;
    const own = like.slice(k * count, (k + 1) * count);
    return Array.from({ length: (count - from) / n }, (_, i) => own.slice(from + i * n, from + (i + 1) * n));
  }

  // Householder's reflections, with LAPACK's signs.
  function reflections(rows, { mode = "reduced" }) {
    const [m, n] = [rows.length, rows[0].length];
    const [r, q] = [rows.map((row) => row.slice()), identity(m)];
    for (let k = 0; k < Math.min(m - 1, n); k++) {
      const column = r.slice(k).map((row) => row[k]);
      if (!Math.hypot(...column.slice(1))) continue;
      const beta = (column[0] < 0 ? 1 : -1) * Math.hypot(...column);
      const v = column.map((x, i) => (i ? x / (column[0] - beta) : 1));
      const factor = (beta - column[0]) / beta;
      for (const matrix of [r, q]) {
        const below = matrix.slice(k);
        const products = turned(below).map((each) => factor * dot(v, each));
        below.forEach((row, i) => row.forEach((_, j) => (row[j] -= v[i] * products[j])));
      }
    }
    const count = mode === "complete" ? m : Math.min(m, n);
    return [...turned(q.slice(0, count)).flat(), ...r.slice(0, count).flatMap((row, i) => row.map((x, j) => (j < i ? 0 : x)))];
  }

  return {
    eigvalsh: ofEach((rows, settings) => symmetric(rows, settings).values),
    svdvals: ofEach((rows) => singular(rows).values),
    qr: ofEach(reflections),
    eigh: ofEach((rows, { like, ...settings }, k) => {
      const [n, { values, vectors }] = [rows.length, symmetric(rows, settings)];
      const recorded = recordedRows(like, k, n + n * n, n, n);
      return [...values, ...turned(times(signs(vectors, recorded && turned(recorded)), vectors)).flat()];
    }),
    svd: ofEach((rows, { like }, k) => {
      const [m, n, { values, left, right }] = [rows.length, rows[0].length, singular(rows)];
      const few = values.length;
      const factors = signs(right, recordedRows(like, k, m * few + few + few * n, m * few + few, n));
      return [...turned(times(factors, left)).flat(), ...values, ...times(factors, right).flat()];
    }),
  };
})());
