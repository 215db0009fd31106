// The panel of an optimiser's step: before, after, and the change of the result that the gradients predict beside the
// one that it makes.

const optimizerView = (() => {
  const panel = document.getElementById("optimizer");
  let [kind, rate] = [lesson.data.optimizer ? "given" : "descent", 0.1];

  const parameters = lesson.leaves.filter((i) => lesson.nodes[i].needsGradient && lesson.nodes[i].gradient);
  const name = () => lesson.nodes[lesson.root].name;

  function descended() {
    return new Map(
      parameters.map((i) => {
        const [w, g] = [lesson.value(i), lesson.gradient(i)];
        return [i, { ...w, data: w.data.map((x, k) => x - rate * g.data[k]) }];
      }),
    );
  }

  function given() {
    const { after } = lesson.data.optimizer;
    return new Map(Object.entries(after).map(([i, packed]) => [+i, lesson.recordedArray(packed)]));
  }

  function outcome() {
    if (kind === "given") {
      const { predicted, real } = lesson.data.optimizer;
      return { after: given(), predicted: lesson.number(predicted), real: lesson.number(real) };
    }
    if (!lesson.live) {
      const [, predicted, real] = lesson.data.descent.find(([each]) => each === rate) ?? [];
      return { after: new Map(), predicted: lesson.number(predicted), real: lesson.number(real) };
    }
    const after = descended();
    let predicted = 0;
    for (const i of parameters) predicted -= rate * lesson.gradient(i).data.reduce((sum, x) => sum + x * x, 0);
    return { after, predicted, real: lesson.resultWith(after) - lesson.result() };
  }

  function draw() {
    const none = !parameters.length
      ? say("There is no leaf that needs a gradient.")
      : !lesson.live && !lesson.data.descent
        ? say("No step can be tried: {why}.", { why: tell(lesson.data.recordedOnly) })
        : null;
    if (none) {
      panel.replaceChildren(stepView.heading(say("An optimiser's step")), element("p", {}, none));
      return;
    }
    const kinds = element(
      "select",
      { onchange: () => ((kind = kinds.value), draw()) },
      element("option", { value: "descent", selected: kind === "descent" }, say("gradient descent: w − rate · gradient")),
      lesson.data.optimizer ? element("option", { value: "given", selected: kind === "given" }, lesson.data.optimizer.name) : null,
    );
    const rates = lesson.live
      ? element("input", { type: "number", step: "any", min: 0, value: rate, id: "rate", onchange: () => tryRate(rates) })
      : element("select", { id: "rate", onchange: () => ((rate = +rates.value), draw()) }, lesson.data.descent.map(([each]) => element("option", { value: each, selected: each === rate }, String(each))));
    const { after, predicted, real } = outcome();
    const stale = kind === "given" && lesson.changed();
    panel.replaceChildren(
      stepView.heading(say("An optimiser's step")),
      element("p", { class: "choices" }, element("label", {}, `${say("by")} `, kinds), kind === "descent" ? [" ", element("label", { for: "rate" }, `${say("learning rate")} `), rates] : null),
      element(
        "table",
        { class: "outcome" },
        element("caption", {}, say("What the step does to {name}", { name: lesson.value(lesson.root).data.length > 1 ? say("sum of {name}", { name: name() }) : name() })),
        element(
          "tbody",
          {},
          row(say("before"), told(kind === "given" ? lesson.recordedResult : lesson.result(), 8)),
          row(say("predicted change, Σ gradient · step"), told(predicted, 6)),
          row(say("real change"), told(real, 6)),
          row(say("real / predicted"), predicted ? told(real / predicted, 4) : "–"),
        ),
      ),
      element("p", { class: "hint" }, verdict(predicted, real)),
      stale ? element("p", { class: "note" }, say("Python computed this step from the recorded numbers.")) : "",
      lesson.live && !stale
        ? element("p", {}, element("button", { type: "button", id: "take", onclick: () => take(after) }, say("Take the step")), " ", element("button", { type: "button", onclick: () => changes.reset(), disabled: !lesson.changed() }, say("As recorded")))
        : "",
      ...parameters.filter((i) => after.has(i)).slice(0, 12).map((i) => beforeAndAfter(i, after.get(i))),
      stepView.liveNote() ?? "",
    );
  }

  function tryRate(field) {
    const wanted = parsed(field.value);
    field.setAttribute("aria-invalid", String(wanted === null || wanted < 0));
    if (wanted === null || wanted < 0) return;
    rate = wanted;
    draw();
    document.getElementById("rate").focus();
  }

  const row = (label, text) => element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, text));

  function verdict(predicted, real) {
    if (kind === "descent" && rate === 0) return say("At a rate of 0 nothing moves.");
    if (predicted === 0) return say("The gradient is zero: the step changes nothing.");
    const share = real / predicted;
    if (!Number.isFinite(share)) return say("The result is not finite.");
    if (share < 0) return say("The result moved the other way than predicted: the step is too long for the slope to hold.");
    if (Math.abs(share - 1) < 0.1) return say("The prediction is good: over so short a step the function is nearly a straight line.");
    return say("The slope changes along the step, so the prediction is rough.");
  }

  function beforeAndAfter(i, after) {
    const before = kind === "given" ? lesson.recordedArray(lesson.nodes[i].value) : lesson.value(i);
    const change = before.sample || after.sample ? null : { ...before, data: after.data.map((x, k) => x - before.data[k]) };
    const largest = scaleOf(before, after);
    const edit = kind === "descent" ? stepView.editOf(i) : undefined;
    const maps = [heatMap(before, { label: say("before"), largest, edit }), heatMap(after, { label: say("after"), largest })];
    return element(
      "section",
      { class: "update" },
      element("h4", {}, stepView.link(i)),
      compared(maps.map((map) => map.figure), largest),
      change ? element("div", { class: "maps" }, heatMap(change, { label: say("change") }).figure) : "",
    );
  }

  function take(after) {
    changes.flashing(() => (lesson.change(after), main.redraw()));
  }

  return { draw };
})();
