// A matrix product: point at a cell, and see the row, the column and the dot product; and the one term that each place
// along the shared axis adds, such as one row of the batch.

const TERMS = 6; // of a sum that are written out

// "a·b + c·d + … = sum", of two rows of numbers.
function dotProduct(a, b) {
  const terms = a.slice(0, TERMS).map((x, k) => `${told(x)} · ${told(b[k])}`);
  const more = a.length > TERMS ? ` + … (${a.length - TERMS} more)` : "";
  return `${terms.join(" + ")}${more}`;
}

// Of several products at once, one for each matrix along the further axes, one is shown.
function productView({ count, at }, settings) {
  if (count === 1) return oneProduct(at(0), settings);
  const holder = element("div", {});
  const which = element("input", { type: "number", min: 0, max: count - 1, value: 0, "aria-label": `Which of the ${count} products`, onchange: () => draw() });
  const draw = () => holder.replaceChildren(oneProduct(at(Math.min(Math.max(Math.trunc(+which.value) || 0, 0), count - 1)), settings));
  draw();
  return element("div", {}, element("p", { class: "choices" }, `${count} products; number `, which), holder);
}

function oneProduct({ left, right, result }, { names, title }) {
  const [n, m, p] = [left.shape[0], left.shape[1], right.shape[1]];
  let [row, column, term] = [0, 0, "sum"];
  const largest = largestPlace(result);
  if (p) [row, column] = [Math.floor(largest / p), largest % p];

  const box = element("section", { class: "product", "aria-label": title });
  const text = element("p", { class: "numbers", "aria-live": "polite" });
  const point = (place) => {
    [row, column] = [Math.floor(place / p), place % p];
    mark();
  };
  const fields = cellFields([n, p], title, point);
  const maps = element("div", { class: "maps" });
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
    const pictures = [
      heatMap(left, { label: names[0] }),
      heatMap(right, { label: names[1] }),
      heatMap(shown(), { label: title, choose: point, hover: point }),
    ];
    maps.replaceChildren(pictures[0].figure, "@", pictures[1].figure, "=", pictures[2].figure);
    shows = pictures.map((picture) => picture.show);
    mark();
  }

  function mark() {
    const [a, b] = [left.data.slice(row * m, (row + 1) * m), Array.from({ length: m }, (_, k) => right.data[k * p + column])];
    shows[0]({ row });
    shows[1]({ column });
    shows[2]({ place: row * p + column });
    const sum = `row ${row} of ${names[0]} · column ${column} of ${names[1]}`;
    if (term === "sum" || term === "mean") {
      const mean = term === "mean" ? ` / ${m}` : "";
      const value = shown().data[row * p + column];
      text.textContent = `[${row}, ${column}]: ${sum} = ${mean ? "(" : ""}${dotProduct(a, b)}${mean ? `)${mean}` : ""} = ${told(value, 6)}`;
    } else {
      const k = +term;
      text.textContent = `[${row}, ${column}], term ${k} of ${m}: ${told(a[k])} · ${told(b[k])} = ${told(a[k] * b[k], 6)}`;
    }
    fields.show(row * p + column);
  }

  box.append(
    element("h4", {}, title),
    maps,
    element("p", { class: "choices" }, fields.box, " ", m > 1 ? element("label", {}, "along the shared axis: ", terms) : ""),
    text,
  );
  draw();
  return box;
}
