// A matrix product as an L: the left factor stands left of the result and the right one above it, so that the row and
// the column of an entry meet in it. Point at an entry, and see both, and the dot product as the bars of its terms.

const TERMS = 6; // of a sum that are written out

// "a·b + c·d + …", of two rows of numbers.
function dotProduct(a, b) {
  if (!a.length) return say("a sum of no terms");
  const terms = a.slice(0, TERMS).map((x, k) => `${told(x)} · ${told(b[k])}`);
  const more = a.length > TERMS ? ` + … (${say("{n} more", { n: a.length - TERMS })})` : "";
  return `${terms.join(" + ")}${more}`;
}

// Of several products at once, one for each matrix along the further axes, one is shown.
function productView({ count, at }, settings) {
  if (count === 1) return oneProduct(at(0), settings);
  const holder = element("div", {});
  const which = element("input", { type: "number", min: 0, max: count - 1, value: 0, "aria-label": say("Which of the {n} products", { n: count }), onchange: () => draw() });
  const draw = () => holder.replaceChildren(oneProduct(at(Math.min(Math.max(Math.trunc(+which.value) || 0, 0), count - 1)), settings));
  draw();
  return element("div", {}, element("p", { class: "choices" }, say("{n} products; number", { n: count }), " ", which), holder);
}

const CAPTION = 104; // pixels, as in the style of .corner
const FRAMES = { wide: 146, narrow: 114 }; // pixels around the matrices of a product inside a contribution

// What changes an entry of a factor: the same entry of the node that it is, or whose transpose it is.
function editOfFactor({ node, transposed }, { shape }) {
  const write = node === undefined ? undefined : (stepView.editOf(node) ?? stepView.nudgeOf(node));
  if (!write) return undefined;
  const own = lesson.nodes[node].value.shape;
  if (own.length !== 2 || np.sizeOf(own) !== np.sizeOf(shape)) return undefined;
  return (place, x) => write(transposed ? (place % shape[1]) * own[1] + Math.floor(place / shape[1]) : place, x);
}

// The width that is left for an entry where matrices of m and p columns stand side by side; a caption is never narrower.
function widthBeside(m, p) {
  const [room, few, many] = [roomBeside(window.innerWidth < 736 ? FRAMES.narrow : FRAMES.wide), Math.min(m, p), Math.max(m, p)];
  return (few * room) / (m + p) < CAPTION ? (room - CAPTION) / many : room / (m + p);
}

// How numbers are written, the shorter the less room there is.
const FORMS = [{ digits: 3, letters: LETTERS }, { digits: 3, letters: 11 }, { digits: 2, letters: 11 }];

// The width and height of an entry of each matrix, so that rows and columns are as long in all of them.
function sizesOf(n, m, p, arrays) {
  const room = widthBeside(m, p);
  const numbers = [[n, m], [m, p], [n, p]].every(([rows, columns]) => rows <= NUMBERED.rows && columns <= NUMBERED.rows && rows * columns <= NUMBERED.entries);
  const form = numbers && FORMS.find((form) => arrays.every((array) => widthOfNumbers(array, { least: 38, ...form }) <= room));
  const width = Math.min(room, form ? Math.max(NUMBERED.width, ...arrays.map((array) => widthOfNumbers(array, form))) : 24);
  const fits = Boolean(form);
  const height = (count) => (fits ? NUMBERED.height : Math.max(Math.min(20, 230 / count), 1));
  const across = fits ? width : Math.max(Math.min(n > 40 ? 18 : 24, room), 1);
  const [wide, high] = [n, m].map((count) => ({ width: across, height: height(count), numbers: fits, ...form }));
  return { left: wide, right: high, result: wide };
}

// `label` is the title to who hears it, who does not see what the product is for. `name` is what the result is called, if
// that is not the title; `edit(place, x)` is told to what somebody drags an entry of it.
function oneProduct({ left, right, result }, { factors, title, label = title, name = title, edit }) {
  if (!result.data.length) return element("section", { class: "product", "aria-label": label }, element("h4", {}, title), element("p", {}, say("It is empty.")));
  const [n, m, p] = [left.shape[0], left.shape[1], right.shape[1]];
  const names = factors?.map((each) => each.text) ?? [say("the left factor"), say("the right factor")];
  let [row, column, term] = [0, 0, "sum"];
  const largest = largestPlace(result);
  if (p) [row, column] = [Math.floor(largest / p), largest % p];

  const box = element("section", { class: "product", "aria-label": label });
  const text = element("p", { class: "numbers", "aria-live": "polite" });
  const holder = element("div", {});
  const point = (place) => {
    [row, column] = [Math.floor(place / p), place % p];
    mark();
  };
  const fields = cellFields([n, p], title, point);
  const shape = element("div", { class: "corner" });
  const terms = chooseTerm(m, (choice) => ((term = choice), draw()));

  function shown() {
    if (term === "sum") return result;
    if (term === "mean") return { shape: result.shape, data: result.data.map((x) => x / m) };
    const k = +term;
    const data = Array.from({ length: n * p }, (_, i) => left.data[Math.floor(i / p) * m + k] * right.data[k * p + (i % p)]);
    return { shape: result.shape, data };
  }

  let shows = [];
  function draw() {
    const sizes = sizesOf(n, m, p, [left, right, result, shown()]);
    const edits = factors?.map((each, k) => editOfFactor(each, k ? right : left)) ?? [];
    const pictures = [
      heatMap(left, { label: names[0], cell: sizes.left, edit: edits[0] }),
      heatMap(right, { label: names[1], cell: sizes.right, edit: edits[1] }),
      heatMap(shown(), { label: name, cell: sizes.result, choose: point, hover: point, edit: term === "sum" ? edit : undefined }),
    ];
    pictures.forEach((picture, k) => picture.figure.classList.add(["left", "right", "meeting"][k]));
    shape.replaceChildren(element("span", { class: "sign", "aria-hidden": "true" }, "@"), pictures[1].figure, pictures[0].figure, pictures[2].figure);
    shows = pictures.map((picture) => picture.show);
    mark();
  }

  function mark() {
    const [a, b] = [left.data.slice(row * m, (row + 1) * m), Array.from({ length: m }, (_, k) => right.data[k * p + column])];
    const one = term !== "sum" && term !== "mean";
    shows[0](one ? { place: row * m + +term } : { row });
    shows[1](one ? { place: +term * p + column } : { column });
    shows[2]({ place: row * p + column });
    const sum = say("row {row} of {left} · column {column} of {right}", { row, left: names[0], column, right: names[1] });
    const value = shown().data[row * p + column];
    if (one) {
      text.textContent = `[${row}, ${column}], ${say("term {k} of {n}", { k: term, n: m })}: ${told(a[+term])} · ${told(b[+term])} = ${told(value, 6)}`;
    } else {
      const mean = term === "mean" ? ` / ${m}` : "";
      text.textContent = `[${row}, ${column}]: ${sum} = ${mean ? "(" : ""}${dotProduct(a, b)}${mean ? `)${mean}` : ""} = ${told(value, 6)}`;
    }
    const products = a.map((x, k) => x * b[k]);
    holder.replaceChildren(m > 1 && !one ? barsOf(products, { names: (k) => `${told(a[k], 3)} · ${told(b[k], 3)}`, total: result.data[row * p + column], label: say("the terms of this entry") }) : "");
    fields.show(row * p + column);
  }

  box.append(
    element("h4", {}, title),
    shape,
    element("p", { class: "choices" }, fields.box, " ", m > 1 ? element("label", {}, say("along the shared axis:"), " ", terms) : ""),
    text,
    holder,
  );
  draw();
  return box;
}
