// What this lesson is about, before the first step: the result, how much there is, and what is the matter in it.

const overview = (() => {
  const root = lesson.nodes[lesson.root];
  const learnt = lesson.leaves.filter((i) => lesson.nodes[i].needsGradient);

  // The result, and what it is made of.
  function facts() {
    const value = lesson.value(lesson.root);
    const entries = learnt.reduce((sum, i) => sum + np.sizeOf(lesson.nodes[i].value.shape), 0);
    const row = (label, text) => element("div", {}, element("dt", {}, label), element("dd", {}, text));
    return element(
      "dl",
      { class: "facts" },
      row(root.name, value.data.length === 1 ? told(value.data[0], 6) : `${shapeOf(value.shape)}, ${summary(value)}`),
      row(say("operations"), grouped(lesson.operations.length)),
      row(say("parameters"), grouped(learnt.length)),
      row(say("numbers in them"), grouped(entries)),
    );
  }

  // A link to what a node does: its forward step; of a leaf, its panel.
  function cause(i) {
    const position = lesson.forwardPosition(i);
    if (position === undefined) return element("span", {}, sayWith("see {node}", { node: stepView.link(i) }));
    return element("a", { href: `#step=${position}` }, say("see {node}, forward {k}", { node: lesson.nodes[i].name, k: position }));
  }

  const sentence = ([text, node], linked) => element("p", { class: "warning" }, tell(text), ". ", linked && node !== null ? cause(node) : null);

  // All warnings, each with a link to the step that causes it; nothing if there are none.
  function warnings() {
    const { warnings: all, notLookedInto } = lesson.data;
    const box = element("section", { class: "warnings" });
    if (all.length) box.append(element("h4", {}, counted(all.length, "warning")), ...all.slice(0, 8).map((each) => sentence(each, true)));
    if (all.length > 8) box.append(element("p", {}, say("… and {n} more, marked in the graph.", { n: all.length - 8 })));
    if (notLookedInto) box.append(element("p", { class: "hint" }, say("Nobody looked for dead units or vanishing gradients: {reason}.", { reason: tell(notLookedInto) })));
    if (lesson.changed() && all.length) box.append(element("p", { class: "hint" }, say("The warnings are about the recorded numbers.")));
    return box;
  }

  // That there is nothing to warn of, which nobody has to read before anything else.
  function fine() {
    const { warnings: all, notLookedInto } = lesson.data;
    if (all.length || notLookedInto) return null;
    return element("p", { class: "fine" }, `✓ ${say("No gradient of a parameter is zero, or far smaller or larger than the others, and every number is finite.")}`);
  }

  // The warnings that concern a node, for the panel of its step.
  const warningsOf = (i) => lesson.data.warnings.filter(([, node]) => node === i).map((each) => sentence(each, false));

  return { facts, warnings, fine, warningsOf };
})();
