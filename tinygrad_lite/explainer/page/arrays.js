// Arrays on the screen: as a heat map whose cells can be chosen, with the numbers where there is room for them.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function element(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value === true) found.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) found.setAttribute(name, value);
  }
  found.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return found;
}

// A number for people: four digits, more if asked for.
function told(x, digits = 4) {
  if (typeof x !== "number") return String(x);
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const rounded = Number(x.toPrecision(digits));
  const text = Math.abs(x) >= 1e-3 && Math.abs(x) < 1e6 ? String(rounded) : rounded.toExponential();
  return text.replaceAll("-", "−").replace("e+", "e");
}

// The number that somebody typed, or null.
function parsed(text) {
  const plain = text.trim().replaceAll("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) && Number.isFinite(Number(plain)) ? Number(plain) : null;
}

const shapeOf = (shape) => (shape.length ? shape.join(" × ") : "a number");
const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Mean and range of an array: those of all of it, even where only a sample is here.
function summary(array) {
  if (array.data.length === 1 && !array.sample) return told(array.data[0], 6);
  const finite = array.data.filter(Number.isFinite);
  const { mean, min, max } = array.sample?.told ?? {
    mean: finite.reduce((a, b) => a + b, 0) / finite.length,
    min: finite.reduce((a, b) => Math.min(a, b), Infinity),
    max: finite.reduce((a, b) => Math.max(a, b), -Infinity),
  };
  const lost = array.data.length - finite.length;
  const range = finite.length ? `mean ${told(mean)}, from ${told(min)} to ${told(max)}` : "no finite number";
  return lost ? `${range}, ${lost} not finite` : range;
}

// Blue below zero, orange above it, the paper's colour at it: told apart without red and green.
function mixture(x, largest) {
  if (!Number.isFinite(x)) return [192, 38, 211];
  const share = largest > 0 ? Math.min(Math.abs(x) / largest, 1) ** 0.7 : 0;
  const paper = dark.matches ? [22, 27, 34] : [250, 250, 248];
  const ink = dark.matches ? (x < 0 ? [88, 166, 255] : [255, 166, 77]) : x < 0 ? [5, 80, 174] : [176, 80, 0];
  return paper.map((part, i) => Math.round(part + share * (ink[i] - part)));
}

const colour = (x, largest) => `rgb(${mixture(x, largest).join(" ")})`;

// Black or white, whichever is read more easily on the colour of a number.
function readableOn(x, largest) {
  const [red, green, blue] = mixture(x, largest);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 125 ? "#0d1117" : "#fff";
}

const largestOf = (data) => data.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);

// The place of the entry that is furthest from zero.
const largestPlace = (array) => array.data.reduce((most, x, i) => (Math.abs(x) > Math.abs(array.data[most]) ? i : most), 0);

// A choice of how much of a sum to look at: all of it, its mean, or one of its terms.
const chooseTerm = (count, choose) =>
  element(
    "select",
    { onchange: (event) => choose(event.target.value) },
    element("option", { value: "sum" }, `the sum of all ${count}`),
    element("option", { value: "mean" }, "the mean of them"),
    Array.from({ length: Math.min(count, 1000) }, (_, k) => element("option", { value: k }, `only ${k}`)),
  );

// An array as rows and columns: its last axis runs across, all others down.
function asMatrix(array) {
  if (array.sample) return { rows: array.sample.rows.length, columns: array.sample.columns.length };
  const columns = array.shape.length ? array.shape.at(-1) : 1;
  return { rows: columns ? array.data.length / columns : 0, columns };
}

// The index of an entry along each axis.
const indexOf = (shape, place) => np.stridesOf(shape).map((step, i) => Math.floor(place / step) % shape[i]);

// Where an entry, which is counted along what the page has of the array, is in the whole array.
function wholePlace(array, place) {
  if (!array.sample) return place;
  const { rows, columns } = array.sample;
  const width = array.shape.length > 1 ? array.shape.at(-1) : np.sizeOf(array.shape);
  return rows[Math.floor(place / columns.length)] * width + columns[place % columns.length];
}

// The name of an entry.
const indexed = (name, array, place) =>
  array.shape.length ? `${name}[${indexOf(array.shape, wholePlace(array, place)).join(", ")}]` : name;

// The shape of what the page has of an array.
const formOf = (array) => (array.sample ? [array.sample.rows.length, array.sample.columns.length] : array.shape);

function paint(canvas, array, { width, height, numbers, rows: marked, columns: ruled, cell }) {
  const { rows, columns } = asMatrix(array);
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const draw = canvas.getContext("2d");
  draw.scale(scale, scale);
  const [w, h, largest] = [width / columns, height / rows, largestOf(array.data)];
  draw.font = `${Math.min(12, h * 0.62)}px ui-sans-serif, system-ui, sans-serif`;
  draw.textAlign = "center";
  draw.textBaseline = "middle";
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const x = array.data[i * columns + j];
      draw.fillStyle = colour(x, largest);
      draw.fillRect(j * w, i * h, w + 0.5, h + 0.5);
      if (!Number.isFinite(x) && w > 5) {
        draw.strokeStyle = "#fff";
        draw.beginPath();
        draw.moveTo(j * w, i * h);
        draw.lineTo((j + 1) * w, (i + 1) * h);
        draw.stroke();
      }
      if (numbers) {
        draw.fillStyle = readableOn(x, largest);
        draw.fillText(told(x, 3), (j + 0.5) * w, (i + 0.5) * h, w - 4);
      }
    }
  }
  draw.strokeStyle = dark.matches ? "#f0f6fc" : "#0d1117";
  draw.lineWidth = 2;
  if (marked !== undefined) draw.strokeRect(1, marked * h + 1, width - 2, Math.max(h - 2, 2));
  if (ruled !== undefined) draw.strokeRect(ruled * w + 1, 1, Math.max(w - 2, 2), height - 2);
  if (cell) draw.strokeRect(cell[1] * w + 1, cell[0] * h + 1, Math.max(w - 2, 3), Math.max(h - 2, 3));
}

// An array as a picture with a caption. `choose(place)` is told which entry somebody clicks, `hover(place)` which one
// they point at; `show({place, row, column})` marks an entry, a row or a column.
function heatMap(array, { label, choose, hover }) {
  const { rows, columns } = asMatrix(array);
  const numbers = rows <= 16 && columns <= 8 && rows * columns <= 96;
  const width = numbers ? Math.min(columns * 62, 360) : Math.max(Math.min(columns * 18, 290), 24);
  const height = numbers ? rows * 24 : Math.max(Math.min(rows * 20, 220), 16);
  const canvas = element("canvas", { style: `width:${width}px;height:${height}px`, "aria-hidden": "true" });
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    return Math.min(Math.max(row, 0), rows - 1) * columns + Math.min(Math.max(column, 0), columns - 1);
  };
  if (choose && rows && columns) {
    canvas.classList.add("choosable");
    canvas.addEventListener("click", (event) => choose(place(event)));
  }
  if (hover && rows && columns) canvas.addEventListener("pointermove", (event) => hover(place(event)));
  const whole = array.sample ? `; ${counted(rows * columns, "entry", "entries")} of ${np.sizeOf(array.shape).toLocaleString("en")} shown, evenly spread` : "";
  const text = `${label}, ${shapeOf(array.shape)}${whole}`;
  const figure = element(
    "figure",
    { class: "array" },
    element("figcaption", {}, element("b", {}, text), " ", element("small", {}, summary(array))),
    rows && columns ? canvas : element("p", {}, "empty"),
  );
  if (numbers && rows && columns) figure.append(tableOf(array, label, rows, columns));
  const show = ({ place: chosen, row, column } = {}) => {
    const at = chosen === undefined ? undefined : [Math.floor(chosen / columns), chosen % columns];
    if (rows && columns) paint(canvas, array, { width, height, numbers, cell: at, rows: row, columns: column });
  };
  show();
  return { figure, show, canvas };
}

// The same numbers for who does not see the picture.
const tableOf = (array, label, rows, columns) =>
  element(
    "table",
    { class: "unseen" },
    element("caption", {}, label),
    element(
      "tbody",
      {},
      Array.from({ length: rows }, (_, i) =>
        element("tr", {}, Array.from({ length: columns }, (_, j) => element("td", {}, told(array.data[i * columns + j])))),
      ),
    ),
  );

// Fields in which an entry is chosen by its index; `choose(place)` is told, `show(place)` sets them.
function cellFields(shape, name, choose) {
  const [box, strides] = [element("span", { class: "cell" }), np.stridesOf(shape)];
  if (np.sizeOf(shape) <= 1) return { box, show: () => {} };
  const fields = shape.map((size, axis) =>
    element("input", {
      type: "number",
      min: 0,
      max: size - 1,
      "aria-label": `Entry of ${name}, axis ${axis}, 0 to ${size - 1}`,
      onchange: () => {
        const wanted = fields.map((field, i) => Math.min(Math.max(Math.trunc(+field.value) || 0, 0), shape[i] - 1));
        choose(wanted.reduce((sum, i, k) => sum + i * strides[k], 0));
      },
    }),
  );
  box.append("entry [", ...fields.flatMap((field, i) => (i ? [", ", field] : [field])), "]");
  return { box, show: (place) => indexOf(shape, place).forEach((i, axis) => (fields[axis].value = i)) };
}
