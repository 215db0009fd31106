// A sum as the bars of its terms: each begins where the one before it ends, and the total reaches from zero to the end.

const MOST_BARS = 8;

// The terms that are drawn: all of them, or the largest ones and the sum of the others.
function chosenTerms(terms, names) {
  const all = terms.map((x, k) => ({ x, name: names(k), place: k }));
  if (all.length <= MOST_BARS) return all;
  const largest = [...all].sort((a, b) => Math.abs(b.x) - Math.abs(a.x) || a.place - b.place).slice(0, MOST_BARS - 1);
  const others = all.filter((each) => !largest.includes(each));
  const rest = { x: others.reduce((sum, each) => sum + each.x, 0), name: say("{n} others", { n: others.length }) };
  return [...largest.sort((a, b) => a.place - b.place), rest];
}

// `names(k)` is what a term is called; `hue(k)` its colour class, if it has one.
function barsOf(terms, { names, total, label, hue = () => "" }) {
  const shown = chosenTerms(terms, names);
  let sum = 0;
  const spans = shown.map(({ x }) => [sum, (sum += x)]);
  const ends = [0, total, ...spans.flat()].filter(Number.isFinite);
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const at = (x) => (most > least ? (100 * (x - least)) / (most - least) : 0);
  const bar = ([a, b], kind) =>
    Number.isFinite(a) && Number.isFinite(b)
      ? element("span", { class: `bar ${kind}`, style: `left:${at(Math.min(a, b))}%;width:${Math.abs(at(b) - at(a))}%` })
      : "";
  const row = (name, span, x, kind) =>
    element("tr", { class: kind === "total" ? "total" : "" }, element("th", { scope: "row" }, name), element("td", { class: "track", "aria-hidden": "true" }, element("span", { class: "zero", style: `left:${at(0)}%` }), bar(span, kind)), element("td", { class: "of" }, told(x)));
  return element(
    "table",
    { class: "bars" },
    element("caption", {}, label),
    element("tbody", {}, shown.map(({ x, name, place }, k) => row(name, spans[k], x, hue(place) || (x < 0 ? "below" : "above"))), row("=", [0, total], total, "total")),
  );
}
