// What travels along the edges: a value to the operation that takes it; backward the upstream gradient, which an edge
// multiplies by its local derivative.

const flow = (() => {
  const isNumber = (array) => array.data.length === 1 && !array.sample;
  const bracketed = (text) => (/[ +]/.test(text) ? `(${text})` : text);

  // What an input of an operation gets, of a backward step: the upstream gradient, what is done to it, and the result.
  function contribution(step, each) {
    const [g, slope, { value }] = [lesson.gradient(step.node), lesson.slope(step, each), lesson.contribution(step, each)];
    const sum = each.summed.length ? "Σ " : "";
    if (isNumber(g) && isNumber(value) && slope && isNumber(slope)) {
      return { from: g, factor: `× ${told(slope.data[0], 3)}`, to: value, label: `${told(g.data[0], 3)} × ${told(slope.data[0], 3)} = ${told(value.data[0], 3)}` };
    }
    const rule = each.outline ?? tell(each.rule); // the parameters of its calls are in the panel beside the graph
    const label = each.local === undefined ? rule : `${sum}${lesson.letter} × ${bracketed(each.local)}`;
    return { from: g, factor: each.local === undefined ? rule : `${sum}× ${each.local}`, to: value, label };
  }

  return { contribution, isNumber };
})();
