// A nudge: one number moves by h, and at every node behind it, up to the result, stands how far the derivatives say that
// it moves beside how far it really does. That is the chain rule.

const nudgeView = (() => {
  const MOST = 40; // nodes that are listed
  const sizes = new Map(); // h, by node

  const standard = (array, place) => dragging.rounded(Math.abs(array.data[place]) || largestOf(array.data) || 1, 1e-300) * 0.01;
  const sizeOf = (i, place) => sizes.get(i) ?? Number((standard(lesson.value(i), place) || 0.01).toPrecision(1));

  // The entry of a change that is largest, in what is predicted or else in what is real.
  const placeOf = ({ predicted, real }) => largestPlace(predicted ?? real);

  function row({ node, predicted, real }, largest) {
    const place = placeOf({ predicted, real });
    const value = lesson.value(node);
    const [expected, moved] = [predicted?.data[place], real.data[place]];
    const bars = element("td", { class: "track pair", "aria-hidden": "true" });
    for (const [x, kind] of [[expected, "predicted"], [moved, "real"]]) {
      if (!Number.isFinite(x) || !(largest > 0)) continue;
      const width = (48 * Math.abs(x)) / largest;
      bars.append(element("span", { class: `bar ${kind} ${x < 0 ? "below" : "above"}`, style: `left:${x < 0 ? 50 - width : 50}%;width:${width}%` }));
    }
    return element(
      "tr",
      { class: node === lesson.root ? "total" : "" },
      element("th", { scope: "row" }, stepView.link(node, indexed(lesson.nodes[node].name, value, place))),
      element("td", {}, predicted ? told(expected, 5) : "–"),
      element("td", {}, told(moved, 5)),
      bars,
    );
  }

  // A sentence on how well the chain rule predicts.
  function verdict(last, h) {
    if (!last || !last.predicted) return "";
    const [expected, moved] = [lesson.weighted(last.predicted), lesson.weighted(last.real)];
    if (h === 0) return say("Nothing moves.");
    if (!Number.isFinite(moved)) return say("The result is not finite.");
    if (expected === 0 && moved === 0) return say("The result does not move: the gradient is zero.");
    if (Math.abs(moved - expected) <= 0.01 * Math.abs(moved)) return say("Predicted and real agree: over so short a step the graph is nearly straight. At each step, the change is the one before it times the local derivative.");
    return say("Predicted and real differ, since slopes change along the way. Make h smaller, and they come together.");
  }

  // The view for an entry of a node; `again()` draws it anew.
  function view(i, place, again) {
    const node = lesson.nodes[i];
    if (!lesson.live || !lesson.gradient(i) || i === lesson.root) return null;
    const value = lesson.value(i);
    const h = sizeOf(i, place);
    const name = indexed(node.name, value, place);
    const unit = 10 ** Math.floor(Math.log10(Math.abs(h) || 1)) / 20;
    const wanted = (x) => (sizes.set(i, x), again());
    const all = lesson.nudged(i, place, h).filter((each) => lesson.value(each.node).data.length); // nothing moves in an empty array
    const shown = all.length > MOST ? [...all.slice(0, MOST / 2), ...all.slice(-MOST / 2)] : all;
    const largest = Math.max(0, ...shown.flatMap((each) => [each.predicted, each.real].map((array) => Math.abs(array?.data[placeOf(each)] ?? 0)).filter(Number.isFinite)));
    const last = all.find((each) => each.node === lesson.root);
    return element(
      "section",
      { class: "nudge" },
      element("h4", {}, sayWith("Nudge {name} by {h}", { name, h: "h" })),
      element(
        "p",
        { class: "choices" },
        "h = ",
        dragging.number({ id: "nudge", x: h, unit, label: say("How far to nudge {name}", { name }), write: wanted, digits: 5 }),
        " ",
        [0.1, 10, -1].map((factor) => element("button", { type: "button", id: `nudge-${factor}`, onclick: () => wanted(Number((h * factor).toPrecision(6))) }, { 0.1: "h / 10", 10: "h · 10", "-1": "−h" }[factor])),
      ),
      element("div", { class: "scrolling" }, element(
        "table",
        { class: "outcome" },
        element("caption", {}, say("The change at each node on the way to {root}; for an array, where it is largest", { root: lesson.nodes[lesson.root].name })),
        element("thead", {}, element("tr", {}, [say("node"), say("predicted"), say("real")].map((text) => element("th", { scope: "col" }, text)), element("th", { scope: "col" }, say("predicted above real")))),
        element("tbody", {}, shown.map((each) => row(each, largest))),
      )),
      all.length > MOST ? element("p", { class: "hint" }, say("{n} nodes between them are left out.", { n: all.length - MOST })) : null,
      element("p", { class: "hint" }, verdict(last, h)),
      last?.predicted ? element("p", { class: "numbers" }, `∂${lesson.nodes[lesson.root].name}/∂${name} · h = ${told(lesson.slopeAt(i, place), 6)} · ${told(h, 5)} = ${told(lesson.slopeAt(i, place) * h, 6)}`) : null,
    );
  }

  return { view, move: (i, h) => sizes.set(i, h) };
})();
