// Pictures that move: cells of numbers, and curves with a mark.

const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const figure = (title, canvas, ...more) => element("figure", {}, element("figcaption", {}, element("b", {}, title), " ", ...more), canvas);

// Where a point of a plane with these bounds lies in a square picture.
const onto = ([[left, right], [bottom, top]], size) => ([a, b]) => [((a - left) / (right - left)) * size, (1 - (b - bottom) / (top - bottom)) * size];

// A picture of rows and columns of cells, one pixel each, enlarged by the style. `cell(k)` is the place of the number of
// a pixel, or -1 for a gap.
function cells(numbers, rows, columns, { cell = (k) => k, each, size, label, hue, largest = 32767 } = {}) {
  const count = each ?? rows * columns;
  const canvas = element("canvas", { class: "cells", role: "img", "aria-label": label });
  [canvas.width, canvas.height] = [columns, rows];
  canvas.style.width = `${Math.round(columns * size)}px`;
  canvas.style.height = `${Math.round(rows * size)}px`;
  const draw = canvas.getContext("2d");
  const picture = draw.createImageData(columns, rows);
  const ink = hue ?? ((x) => mixture(x, largest));
  return {
    canvas,
    // The picture of the numbers from frame × count on, of those given or of others.
    show(frame, all = numbers, most = largest) {
      largest = most;
      for (let k = 0; k < rows * columns; k++) {
        const place = cell(k);
        if (place >= 0) picture.data.set([...ink(all[frame * count + place]), 255], 4 * k);
      }
      draw.putImageData(picture, 0, 0);
    },
  };
}

// The last frame that is not after an epoch.
function frameAt(epochs, epoch) {
  let found = 0;
  while (found + 1 < epochs.length && epochs[found + 1] <= epoch) found++;
  return found;
}

// A line over the epochs, with a mark at the one that is shown; larger values are further up, as logarithms if they
// differ much.
function curves(lines, { width, height, label }) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  const isLogarithmic = () => {
    const finite = lines.flatMap((line) => line.values.filter((y) => Number.isFinite(y)));
    return Math.min(...finite) > 0 && Math.max(...finite) > 20 * Math.min(...finite);
  };
  const [least, right, top, bottom] = width > 200 ? [60, 8, 8, 20] : [2, 2, 2, 2];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  return {
    canvas,
    show(epoch, unit = (n) => say("epoch {n}", { n })) {
      const finite = lines.flatMap((line) => line.values.filter((y) => Number.isFinite(y)));
      let [low, high] = [Math.min(...finite), Math.max(...finite)];
      const f = isLogarithmic() ? Math.log : (y) => y;
      if (low === high) [low, high] = [low - Math.abs(low) / 2 - 1e-9, high + Math.abs(high) / 2 + 1e-9];
      const draw = cleared(canvas, width, height);
      draw.font = "12px ui-sans-serif, system-ui, sans-serif";
      const ends = [high, low].map((y) => told(y, 3));
      const left = width > 200 ? Math.max(least, ...ends.map((text) => draw.measureText(text).width + 10)) : least;
      const last = Math.max(...lines.map((line) => line.epochs.at(-1)));
      const x = (epoch) => left + (epoch / Math.max(last, 1)) * (width - left - right);
      const y = (value) => height - bottom - ((f(value) - f(low)) / (f(high) - f(low))) * (height - top - bottom);
      draw.fillStyle = styled("--ink");
      if (width > 200) {
        draw.textAlign = "right";
        draw.fillText(ends[0], left - 6, top + 10);
        draw.fillText(ends[1], left - 6, height - bottom);
        draw.textAlign = "center";
        draw.fillText("0", left, height - 5);
        draw.textAlign = "right";
        draw.fillText(unit(last), width - right, height - 5);
      }
      draw.strokeStyle = styled("--line");
      draw.beginPath();
      draw.moveTo(x(Math.min(epoch, last)), top);
      draw.lineTo(x(Math.min(epoch, last)), height - bottom);
      draw.stroke();
      for (const { epochs, values, ink, dashed } of lines) {
        draw.strokeStyle = draw.fillStyle = styled(ink);
        draw.lineWidth = 1.8;
        draw.setLineDash(dashed ? [5, 4] : []);
        draw.beginPath();
        let pen = false;
        values.forEach((value, k) => {
          if (Number.isFinite(value)) draw[pen ? "lineTo" : "moveTo"](x(epochs[k]), y(value));
          pen = Number.isFinite(value);
        });
        draw.stroke();
        draw.setLineDash([]);
        const at = frameAt(epochs, epoch);
        if (Number.isFinite(values[at])) {
          draw.beginPath();
          draw.arc(x(epochs[at]), y(values[at]), 3.5, 0, 7);
          draw.fill();
        }
      }
    },
    isLogarithmic,
  };
}
