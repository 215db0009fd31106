// A loop as a strip over time: for each turn the norm of what it hands to the next, and the norm of the gradient that
// comes back.

const strips = (() => {
  const { shape, text } = drawing;
  const MOST = 120; // turns that are drawn; of more, some evenly spread

  // What a turn hands on: of its results that the next turn uses the one with the most entries, or else its last result.
  function carried(loop) {
    loop.carried ??= (() => {
      const node = (k) => lesson.operations[loop.start + k];
      const offsets = Array.from({ length: loop.length }, (_, k) => k);
      const handed = offsets.filter((k) =>
        lesson.uses[node(k)].some((i) => {
          const user = lesson.forwardPosition(i) - 1 - loop.start;
          return user >= loop.length && user < 2 * loop.length;
        }),
      );
      const size = (k) => np.sizeOf(lesson.nodes[node(k)].value.shape);
      return handed.reduce((best, k) => (size(k) >= size(best) ? k : best), handed[0] ?? loop.length - 1);
    })();
    return loop.carried;
  }
  const nodeOf = (loop, turn) => lesson.operations[loop.start + turn * loop.length + carried(loop)];

  // The norm of an array whose squares may be too large or too small for a number.
  function norm(array) {
    if (!array) return NaN;
    const largest = array.data.reduce((most, x) => (x !== x || most !== most ? NaN : Math.max(most, Math.abs(x))), 0);
    if (!(largest > 0 && largest < Infinity)) return largest;
    return largest * Math.sqrt(array.data.reduce((sum, x) => sum + (x / largest) ** 2, 0));
  }

  // The turns that are drawn, with the norms of values and gradients; computed again after a change of numbers.
  function series(loop) {
    const version = lesson.value(lesson.root);
    if (loop.series?.version === version) return loop.series;
    const count = Math.min(loop.turns, MOST);
    const turns = Array.from({ length: count }, (_, k) => Math.round((k * (loop.turns - 1)) / Math.max(count - 1, 1)));
    const nodes = turns.map((turn) => nodeOf(loop, turn));
    loop.series = { version, turns, nodes, values: nodes.map((i) => norm(lesson.value(i))), gradients: nodes.map((i) => norm(lesson.gradient(i))) };
    return loop.series;
  }

  // Bars from left to right, those only that the pass has reached.
  function bars(numbers, reached, x, y, width, height, kind) {
    const seen = numbers.filter((value) => Number.isFinite(value) && value > 0);
    const [low, high] = [Math.min(...seen), Math.max(...seen)];
    const span = Math.log(high) - Math.log(low); // high / low may be too large for a number
    const logarithmic = span > Math.log(30);
    const bottom = logarithmic ? Math.log(low) - 0.1 * span : 0;
    const share = (value) => (value > 0 ? (logarithmic ? (Math.log(value) - bottom) / (1.1 * span) : value / high) : 0);
    const step = width / numbers.length;
    const path = numbers.map((value, k) => {
      if (!reached(k)) return "";
      const tall = Number.isFinite(value) ? Math.max(height * share(value), 1) : height;
      return `M${x + k * step} ${y + height}v${-tall}h${Math.max(step * 0.82, 0.6)}v${tall}z`;
    });
    return { logarithmic, low, high, drawn: shape("path", { class: `bars ${kind}`, d: path.join("") }) };
  }

  const range = ({ low, high, logarithmic }) => (low <= high ? say(logarithmic ? "{low} to {high}, log scale" : "{low} to {high}", { low: told(low, 2), high: told(high, 2) }) : "0");

  function words(loop) {
    const { nodes, values, gradients, turns } = series(loop);
    const name = lesson.nodes[nodes[0]].op;
    const ends = (numbers) => ({ first: told(numbers[0], 3), last: told(numbers.at(-1), 3) });
    return [
      say("norm of the value of {name} from {first} in the first turn to {last} in the last", { name, ...ends(values) }),
      say("norm of its gradient from {first} to {last}", ends(gradients)),
      turns.length < loop.turns ? say("{n} of {all} turns are drawn, evenly spread", { n: turns.length, all: grouped(loop.turns) }) : "",
    ].filter(Boolean).join("; ");
  }

  // The strip below a title, in a box of this size.
  function draw(loop, box, height, state) {
    const { turns, nodes, values, gradients } = series(loop);
    const [left, top] = [10, 26];
    const unit = Math.max(drawing.unit, 1);
    const [width, caption] = [box.width - 20, 14 * unit];
    const each = (height - top - 6) / 2;
    const found = shape("g", { class: "strip" });
    if (loop.open) found.append(shape("rect", { class: "ground", x: left - 6, y: top - 2, width: width + 12, height: height - top + 2 })); // edges go behind it
    const rows = [
      ["value", values, (k) => state.hasValue(nodes[k])],
      ["gradient", gradients, (k) => state.isComplete(nodes[k]) && state.gradient(nodes[k]) !== null],
    ];
    rows.forEach(([kind, numbers, reached], r) => {
      const y = top + r * each;
      const part = bars(numbers, reached, left, y + caption, width, Math.max(each - caption - 4, 4), kind);
      const any = numbers.some((_, k) => reached(k));
      const few = turns.length < loop.turns && r === 0 ? `, ${say("{n} of {all} turns", { n: turns.length, all: grouped(loop.turns) })}` : "";
      found.append(part.drawn, text(left, y + caption - 4 * unit, `‖${say(kind)}‖ ${any ? range(part) : "–"}${few}`, width, { size: 11, kind: "small" }));
    });
    const now = state.turnIn(loop);
    if (now !== null) found.append(shape("rect", { class: "now", x: left + (now * width) / loop.turns - 1, y: top, width: Math.max(width / loop.turns, 2) + 1, height: height - top - 4 }));
    found.append(shape("rect", { class: "strip-area", x: left, y: top, width, height: height - top - 4, "data-strip": loop.path }));
    return found;
  }

  // The turn at a point of the screen.
  function turnAt(loop, area, event) {
    const box = area.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * loop.turns), 0), loop.turns - 1);
  }

  return { draw, words, turnAt, series };
})();
