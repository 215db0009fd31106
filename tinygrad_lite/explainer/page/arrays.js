// Arrays on the screen: as a heat map whose cells can be chosen, with the numbers where there is room for them.

// Whether the page is dark: like the page around it, such as a notebook, whose text is light then, or like the system.
const dark = (() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const around = window.frameElement?.parentElement; // nothing, if this page may not look there
  if (!around) return system;
  const rule = [...document.styleSheets[0].cssRules].find((each) => each.media?.mediaText.includes("dark"));
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  pen.globalCompositeOperation = "copy";
  const scheme = new EventTarget();
  function look() {
    pen.fillStyle = window.parent.getComputedStyle(around).color;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
    const matches = red + green + blue > 3 * 128;
    if (matches === scheme.matches) return;
    scheme.matches = matches;
    rule.media.mediaText = matches ? "screen" : "not all";
    document.documentElement.style.colorScheme = matches ? "dark" : "light";
    scheme.dispatchEvent(new Event("change"));
  }
  const { documentElement, body } = window.parent.document;
  const watch = new MutationObserver(look); // themes are classes, styles or data of one of these
  for (const each of [documentElement, body]) watch.observe(each, { attributes: true });
  system.addEventListener("change", look);
  look();
  return scheme;
})();

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

// The number that somebody typed, such as 0.5, 0,5 or 1/2, or null.
function parsed(text) {
  const [above, below, ...more] = text.split("/").map(plainNumber);
  const number = below === undefined ? above : above / below;
  return above === null || below === null || more.length || !Number.isFinite(number) ? null : number;
}

function plainNumber(text) {
  const plain = text.trim().replaceAll("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) && Number.isFinite(Number(plain)) ? Number(plain) : null;
}

// The same, or a number that is not finite: inf, ∞, nan.
function parsedAny(text) {
  const plain = text.trim().toLowerCase().replace("−", "-").replace("+", "");
  if (plain === "nan") return NaN;
  const infinite = /^(-?)(∞|inf|infinity)$/.exec(plain);
  return infinite ? (infinite[1] ? -Infinity : Infinity) : parsed(text);
}

const shapeOf = (shape) => (shape.length ? shape.join(" × ") : say("a number"));
const { format: grouped } = new Intl.NumberFormat("en"); // 10,000
const counted = (count, one, many = `${one}s`) => `${grouped(count)} ${say(count === 1 ? one : many)}`;

// The shape in which an array lies here: the parts of a complex number are two entries side by side.
function formHere({ shape, complex }) {
  if (!complex) return shape;
  return shape.length > 1 ? [...shape.slice(0, -1), 2 * shape.at(-1)] : [np.sizeOf(shape), 2];
}

// Mean and range of an array: those of all of it, even where only a sample is here.
function summary(array) {
  if (array.complex) return say("complex: real and imaginary parts side by side");
  if (array.data.length === 1 && !array.sample) return told(array.data[0], 6);
  let [finite, sum, least, most] = [0, 0, Infinity, -Infinity];
  for (const x of array.data) {
    if (!Number.isFinite(x)) continue;
    finite++;
    sum += x;
    if (x < least) least = x;
    if (x > most) most = x;
  }
  const { mean, min, max } = array.sample?.told ?? { mean: sum / finite, min: least, max: most };
  const lost = array.data.length - finite;
  const range = finite ? say("mean {mean}, from {min} to {max}", { mean: told(Math.abs(mean) < 1e-14 * Math.max(-min, max) ? 0 : mean), min: told(min), max: told(max) }) : say("no finite number");
  return lost ? `${range}, ${say("{n} not finite", { n: lost })}` : range;
}

// Blue below zero, orange above it, the paper's colour at it: told apart without red and green.
const INKS = {
  light: { paper: [250, 250, 248], below: [5, 80, 174], above: [176, 80, 0] },
  dark: { paper: [22, 27, 34], below: [88, 166, 255], above: [255, 166, 77] },
};
const LOST = [192, 38, 211]; // of what is not finite

// Writes the three parts of the colour of a number into a list, from a place on.
function mix(x, largest, inks, list, from) {
  const share = largest > 0 ? Math.min(Math.abs(x) / largest, 1) ** 0.7 : 0;
  const [paper, ink] = [inks.paper, x < 0 ? inks.below : inks.above];
  for (let k = 0; k < 3; k++) list[from + k] = Number.isFinite(x) ? Math.round(paper[k] + share * (ink[k] - paper[k])) : LOST[k];
}

// Whether pictures are drawn for a dark page; paper is white.
const shades = { onPaper: false, get dark() { return dark.matches && !this.onPaper; } };

// Calls back before the page is printed, and when it is on the screen again.
function onPaper(before, after) {
  window.addEventListener("beforeprint", before);
  window.addEventListener("afterprint", after);
  const paper = window.matchMedia("print");
  paper.addEventListener("change", () => (paper.matches ? before() : after()));
}

// Draws anew when the page becomes dark or light, and for paper.
function redrawnInItsShades(redraw) {
  dark.addEventListener("change", redraw);
  const put = (is) => ((shades.onPaper = is), redraw());
  onPaper(() => put(true), () => put(false));
}

const inksNow = () => (shades.dark ? INKS.dark : INKS.light);

function mixture(x, largest) {
  const found = [];
  mix(x, largest, inksNow(), found, 0);
  return found;
}

const colour = (x, largest) => `rgb(${mixture(x, largest).join(" ")})`;

// Black or white, whichever is read more easily on the colour of a number.
function readableOn(x, largest) {
  const [red, green, blue] = mixture(x, largest).map((part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff"; // where both have the same contrast
}

const largestOf = (data) => data.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);

// The place of the entry that is furthest from zero.
const largestPlace = (array) => array.data.reduce((most, x, i) => (Math.abs(x) > Math.abs(array.data[most]) ? i : most), 0);

// A choice of how much of a sum to look at: all of it, its mean, or one of its terms.
const chooseTerm = (count, choose) =>
  element(
    "select",
    { onchange: (event) => choose(event.target.value) },
    element("option", { value: "sum" }, say("the sum of all {n}", { n: count })),
    element("option", { value: "mean" }, say("the mean of them")),
    Array.from({ length: Math.min(count, 1000) }, (_, k) => element("option", { value: k }, say("only {k}", { k }))),
  );

// An array as rows and columns: its last axis runs across, all others down.
function asMatrix(array) {
  if (array.sample) return { rows: array.sample.rows.length, columns: array.sample.columns.length };
  const columns = formHere(array).at(-1) ?? 1;
  return { rows: columns ? array.data.length / columns : 0, columns };
}

// The index of an entry along each axis.
const indexOf = (shape, place) => np.stridesOf(shape).map((step, i) => Math.floor(place / step) % shape[i]);

// Where an entry, which is counted along what the page has of the array, is in the whole array.
function wholePlace(array, place) {
  if (!array.sample) return place;
  const { rows, columns } = array.sample;
  const shape = formHere(array);
  const width = shape.length > 1 ? shape.at(-1) : np.sizeOf(shape);
  return rows[Math.floor(place / columns.length)] * width + columns[place % columns.length];
}

// The name of an entry.
function indexed(name, array, place) {
  const whole = wholePlace(array, place);
  const at = array.complex ? Math.floor(whole / 2) : whole;
  const entry = array.shape.length ? `${name}[${indexOf(array.shape, at).join(", ")}]` : name;
  if (!array.complex) return entry;
  return whole % 2 ? say("imaginary part of {entry}", { entry }) : say("real part of {entry}", { entry });
}

// The shape of what the page has of an array.
const formOf = (array) => (array.sample ? [array.sample.rows.length, array.sample.columns.length] : formHere(array));

// The context of a canvas that is empty and as fine as the screen.
function cleared(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const draw = canvas.getContext("2d");
  draw.scale(scale, scale);
  return draw;
}

// The colours of an array, an entry to a pixel.
function pixelsOf(array, largest) {
  const { rows, columns } = asMatrix(array);
  const [image, inks] = [new ImageData(columns, rows), inksNow()];
  array.data.forEach((x, k) => {
    mix(x, largest, inks, image.data, 4 * k);
    image.data[4 * k + 3] = 255;
  });
  return image;
}

const small = document.createElement("canvas").getContext("2d"); // on which pixels are put, to be drawn as large as entries

function paint(canvas, pixels, array, { width, height, rows: marked, columns: ruled, cell }) {
  const { rows, columns } = asMatrix(array);
  [small.canvas.width, small.canvas.height] = [columns, rows];
  small.putImageData(pixels, 0, 0);
  const draw = cleared(canvas, width, height);
  const [w, h] = [width / columns, height / rows];
  draw.imageSmoothingEnabled = Math.min(w, h) < 1; // entries that are smaller than a pixel share it
  draw.drawImage(small.canvas, 0, 0, width, height);
  draw.strokeStyle = "#fff";
  array.data.forEach((x, k) => {
    if (Number.isFinite(x) || w <= 5) return;
    const [i, j] = [Math.floor(k / columns), k % columns];
    draw.beginPath();
    draw.moveTo(j * w, i * h);
    draw.lineTo((j + 1) * w, (i + 1) * h);
    draw.stroke();
  });
  draw.strokeStyle = shades.dark ? "#f0f6fc" : "#0d1117";
  draw.lineWidth = 2;
  if (marked !== undefined) draw.strokeRect(1, marked * h + 1, width - 2, Math.max(h - 2, 2));
  if (ruled !== undefined) draw.strokeRect(ruled * w + 1, 1, Math.max(w - 2, 2), height - 2);
  if (cell) draw.strokeRect(cell[1] * w + 1, cell[0] * h + 1, Math.max(w - 2, 3), Math.max(h - 2, 3));
}

// One scale of colours for arrays that are compared.
const scaleOf = (...arrays) => Math.max(0, ...arrays.filter(Boolean).map((array) => largestOf(array.data)));

// What the colours of a scale say.
function legend(largest) {
  const stops = Array.from({ length: 9 }, (_, k) => colour(((k - 4) / 4) * largest, largest));
  return element("span", { class: "legend" }, told(-largest, 3), element("span", { class: "ramp", style: `background:linear-gradient(to right, ${stops.join(", ")})`, "aria-hidden": "true" }), told(largest, 3));
}

const LETTERS = 12.8; // pixels, as in the style of a cell
const NUMBERED = { rows: 16, columns: 8, entries: 96, width: 62, height: 25 };

// Whether there is room for the numbers of an array of so many rows and columns.
const hasNumbers = (array, rows, columns) => rows <= NUMBERED.rows && columns <= NUMBERED.columns && rows * columns <= NUMBERED.entries && columns * widthOfNumbers(array) <= roomBeside(70);

// The width of a cell in which each number of an array fits; a number is never cut, since a part of it is another one.
function widthOfNumbers(array, { least = NUMBERED.width, digits = 3, letters = LETTERS } = {}) {
  small.font = `${letters}px ${getComputedStyle(document.documentElement).fontFamily}`;
  return array.data.reduce((most, x) => Math.max(most, Math.ceil(small.measureText(told(x, digits)).width) + 8), least);
}

// The width that there is in the panel, beside what frames a picture.
const roomBeside = (frame) => Math.max((document.getElementById("panel").clientWidth || 640) - frame, 200);

// A text whose lines may break behind the parts of a name, such as hidden.weight, rather than before a comma.
const inParts = (text) => text.split(/(?<=[._])(?=\p{L})/u).flatMap((part, k) => (k ? [element("wbr"), part] : [part]));

// An array as a picture with a caption: a table of its numbers, or, if it is large, a heat map. `choose(place)` gets
// the entry that somebody clicks, `hover(place)` the one they point at, `edit(place, x)` the number they drag one to;
// `show({place, row, column})` marks an entry, a row or a column. `largest` is that of the scale of colours; a picture
// that has a scale of its own tells it. `cell` is the size of an entry.
function heatMap(array, { label, choose, hover, edit, largest, cell, caption = true }) {
  const { rows, columns } = asMatrix(array);
  const own = largest === undefined;
  const scale = own ? scaleOf(array) : largest;
  const numbers = cell ? cell.numbers : hasNumbers(array, rows, columns);
  const whole = array.sample ? `; ${say("{n} of {all} shown, evenly spread", { n: counted(rows * columns, "entry", "entries"), all: grouped(np.sizeOf(formHere(array))) })}` : "";
  const picture = !rows || !columns ? { body: element("p", {}, say("empty")), show: () => {} } : (numbers ? tableOf : canvasOf)(array, { rows, columns, label, choose, hover, edit, largest: scale, cell });
  const figure = element(
    "figure",
    { class: "array" },
    caption ? element("figcaption", {}, element("b", {}, inParts(`${label}, `), element("span", { class: "shape" }, shapeOf(array.shape)), whole), " ", element("small", {}, summary(array))) : null,
    picture.body,
    own && caption && rows && columns && array.data.length > 1 && scale > 0 ? legend(scale) : null,
  );
  const show = ({ place: chosen, row, column } = {}) => {
    const at = chosen === undefined ? undefined : [Math.floor(chosen / columns), chosen % columns];
    picture.show(at, row, column);
  };
  show();
  return { figure, show, body: picture.body };
}

// Pictures that are compared, on one scale of colours, whose legend stands below them.
function compared(figures, largest) {
  return element("div", { class: "compared" }, element("div", { class: "maps" }, figures), largest > 0 ? legend(largest) : "");
}

function canvasOf(array, { rows, columns, choose, hover, edit, largest, cell }) {
  const width = cell ? columns * cell.width : Math.max(Math.min(columns * 18, 264), 24);
  const height = cell ? rows * cell.height : Math.max(Math.min(rows * 20, 220), 16);
  const canvas = element("canvas", { style: `width:${width}px;height:${height}px`, "aria-hidden": "true", class: edit ? "drag" : "" });
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    return Math.min(Math.max(row, 0), rows - 1) * columns + Math.min(Math.max(column, 0), columns - 1);
  };
  if (choose || edit) {
    canvas.classList.add("choosable");
    canvas.addEventListener("pointerdown", (event) => {
      const at = place(event);
      choose?.(at);
      if (edit) dragging.follow(event, { from: array.data[at], unit: dragging.unitOf(array), write: (x) => edit(at, x) });
    });
  }
  if (hover) canvas.addEventListener("pointermove", (event) => event.buttons || hover(place(event)));
  const pixels = pixelsOf(array, largest);
  let marks = null; // to be painted: once, however often they change until then
  const show = (at, row, column) => {
    if (marks === null) queueMicrotask(() => {
        paint(canvas, pixels, array, { width, height, ...marks });
        marks = null;
      });
    marks = { cell: at, rows: row, columns: column };
  };
  return { body: canvas, show };
}

function tableOf(array, { rows, columns, label, choose, hover, edit, largest, cell }) {
  const size = cell ? `width:${cell.width}px;height:${cell.height}px;font-size:${cell.letters}px` : "";
  const act = choose || edit;
  const cells = Array.from(array.data, (x, at) =>
    element(
      "td",
      { class: edit ? "drag" : null, style: `${size};background:${colour(x, largest)};color:${readableOn(x, largest)}`, tabindex: act ? -1 : null },
      told(x, cell ? cell.digits : 3),
    ),
  );
  const body = element(
    "table",
    { class: `cells${act ? " choosable" : ""}`, role: act ? "grid" : null, "aria-label": label },
    element("tbody", {}, Array.from({ length: rows }, (_, i) => element("tr", {}, cells.slice(i * columns, (i + 1) * columns)))),
  );
  const placeOf = (event) => cells.indexOf(event.target.closest("td"));
  if (act) {
    cells[0].tabIndex = 0;
    body.addEventListener("pointerdown", (event) => {
      const at = placeOf(event);
      if (at < 0) return;
      choose?.(at);
      if (edit) dragging.follow(event, { from: array.data[at], unit: dragging.unitOf(array), write: (x) => edit(at, x) });
    });
    body.addEventListener("keydown", (event) => {
      const at = placeOf(event);
      const moved = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns }[event.key];
      if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      if (moved !== undefined && cells[moved]) {
        choose?.(moved);
        cells[moved].focus();
      } else if (edit && ["+", "-", "PageUp", "PageDown"].includes(event.key)) {
        const unit = dragging.unitOf(array);
        edit(at, dragging.rounded(array.data[at] + dragging.steps[event.key] * unit, unit));
      } else if (moved === undefined) return;
      event.preventDefault();
    });
  }
  if (hover) body.addEventListener("pointermove", (event) => event.buttons || placeOf(event) < 0 || hover(placeOf(event)));
  const show = (at, row, column) =>
    cells.forEach((each, k) => {
      const [i, j] = [Math.floor(k / columns), k % columns];
      const chosen = at && at[0] === i && at[1] === j;
      each.classList.toggle("chosen", Boolean(chosen) || row === i || column === j);
      if (!act) return;
      if (at) each.setAttribute("aria-selected", String(Boolean(chosen)));
      if (at) each.tabIndex = chosen ? 0 : -1;
    });
  return { body, show };
}

// Fields in which an entry is chosen by its index; `choose(place)` is told, `show(place)` sets them.
function cellFields(shape, name, choose) {
  const [box, strides] = [element("span", { class: "cell" }), np.stridesOf(shape)];
  if (np.sizeOf(shape) <= 1) return { box, show: () => {} };
  const fields = shape.map((size, axis) =>
    element("input", {
      type: "number",
      min: 0,
      max: size - 1,
      "aria-label": say("Entry of {name}, axis {axis}, 0 to {last}", { name, axis, last: size - 1 }),
      onchange: () => {
        const wanted = fields.map((field, i) => Math.min(Math.max(Math.trunc(+field.value) || 0, 0), shape[i] - 1));
        choose(wanted.reduce((sum, i, k) => sum + i * strides[k], 0));
      },
    }),
  );
  box.append(`${say("entry")} [`, ...fields.flatMap((field, i) => (i ? [", ", field] : [field])), "]");
  return { box, show: (place) => indexOf(shape, place).forEach((i, axis) => (fields[axis].value = i)) };
}
