// Shapes of the graph's picture: texts that stay readable at any scale, numbers, and small pictures of arrays.

const drawing = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const LEAST = 11; // the smallest size of a letter, in pixels on the screen
  const [ACROSS, DOWN] = [24, 8]; // cells of a thumbnail
  let unit = 1; // the length of a pixel on the screen, in the picture's units
  const pictures = new WeakMap();

  function shape(tag, attributes = {}, ...children) {
    const found = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) found.setAttribute(name, value);
    found.append(...children);
    return found;
  }

  const sizeOf = (size) => Math.max(size, LEAST * unit);

  const pen = document.createElement("canvas").getContext("2d");
  const widths = new Map(); // of texts in letters of 100 pixels
  function widthOf(content, size, bold) {
    const key = `${bold}${content}`;
    if (!widths.has(key)) {
      pen.font = `${bold ? 650 : 400} 100px ${getComputedStyle(document.documentElement).fontFamily}`;
      widths.set(key, pen.measureText(content).width / 100);
    }
    return widths.get(key) * sizeOf(size) + 1;
  }

  // A text within a width, cut if it does not fit, and left out if nothing of it does.
  function text(x, y, content, width, { size = 12, kind = "", anchor, fromEnd = false } = {}) {
    const bold = kind.includes("name");
    const cut = (letters) => (letters >= content.length ? content : fromEnd ? `…${content.slice(content.length - letters)}` : `${content.slice(0, letters)}…`);
    let letters = content.length;
    while (letters > 0 && widthOf(cut(letters), size, bold) > width) letters = Math.min(letters - 1, Math.floor((letters * width) / widthOf(cut(letters), size, bold)));
    if (!content || letters < Math.min(content.length, 2)) return "";
    return shape("text", { x, y, class: kind, "text-anchor": anchor, style: `--size:${size}px` }, cut(letters));
  }

  // A number within a width, with fewer digits and without its letter rather than cut: half a number is another number.
  function number(x, y, value, width, { digits, letter = "", size, kind }) {
    const counts = Array.from({ length: digits }, (_, k) => digits - k);
    const forms = [...counts.map((n) => told(value, n)), value.toExponential(0).replaceAll("-", "−").replace("e+", "e")];
    const fitting = [letter, ""].flatMap((before) => forms.map((form) => before + form)).find((each) => widthOf(each, size, false) <= width);
    return text(x, y, fitting ?? "…", Infinity, { size, kind });
  }

  // What part of an array a thumbnail draws, in words; "" if all of it.
  function leftOut(array) {
    const all = np.sizeOf(formHere(array));
    const { rows, columns } = asMatrix(array);
    const drawn = Math.min(rows, DOWN) * Math.min(columns, ACROSS);
    if (drawn >= all) return "";
    return all < 1.5 * drawn ? say("{n} of {all}", { n: grouped(drawn), all: grouped(all) }) : say("1 in {n}", { n: grouped(Math.round(all / drawn)) });
  }

  function pictureOf(array, rows, columns) {
    const known = pictures.get(array);
    if (known?.dark === shades.dark) return known.address;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.min(columns, ACROSS), Math.min(rows, DOWN)];
    const draw = canvas.getContext("2d");
    const largest = largestOf(array.data);
    for (let i = 0; i < canvas.height; i++) {
      for (let j = 0; j < canvas.width; j++) {
        const row = Math.floor((i * rows) / canvas.height);
        draw.fillStyle = colour(array.data[row * columns + Math.floor((j * columns) / canvas.width)], largest);
        draw.fillRect(j, i, 1, 1);
      }
    }
    pictures.set(array, { dark: shades.dark, address: canvas.toDataURL() });
    return pictures.get(array).address;
  }

  // A small picture of an array.
  function thumbnail(array, x, y, width, height) {
    const { rows, columns } = asMatrix(array);
    if (!rows || !columns) return shape("g");
    const href = pictureOf(array, rows, columns);
    return shape(
      "g",
      {},
      shape("image", { href, x, y, width, height, preserveAspectRatio: "none", class: "thumbnail" }),
      shape("rect", { x, y, width, height, class: `thumbnail-frame ${leftOut(array) ? "partial" : ""}` }),
    );
  }

  return { shape, text, number, sizeOf, widthOf, thumbnail, leftOut, get unit() { return unit; }, set unit(length) { unit = length; } };
})();
