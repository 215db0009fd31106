// The panel of one tensor: its numbers, how its gradient adds up, the slope measured without any derivative, what a nudge
// of it does; and, of a leaf, a field to change an entry.

const tensorView = (() => {
  const panel = document.getElementById("tensor");
  const cells = new Map();
  let measure = () => {}; // the slope of the chosen entry, which takes too long while a number is dragged

  function show(i) {
    const node = lesson.nodes[i];
    const [value, gradient] = [lesson.value(i), lesson.gradient(i)];
    const leaf = node.needsGradient ? say("a leaf: no operation made it, and it needs a gradient") : say("a constant: no gradient flows to it");
    const parts = [
      stepView.heading(node.name),
      lesson.isOperation(node) ? stepView.formula(formulas.ofNode(i)) : element("p", {}, leaf),
      lesson.isOperation(node) && node.definition ? stepView.formula(formulas.definition(i)) : null,
      stepView.about(i),
      ...(node.marks ?? []).map((mark) => element("p", { class: "warning" }, tell(mark), ".")),
      lesson.changed() && (node.marks ?? []).length ? element("p", { class: "hint" }, say("The warnings are about the recorded numbers.")) : null,
    ];
    if (value.data.length) parts.push(entry(i, value, gradient));
    else parts.push(element("p", {}, say("It is empty.")));
    parts.push(accumulation(i));
    panel.replaceChildren(...parts.filter(Boolean));
    formulas.fit(panel);
  }

  function entry(i, value, gradient) {
    const node = lesson.nodes[i];
    const choose = (place) => (cells.set(i, place), update());
    const edit = stepView.editOf(i) ?? (value.sample ? undefined : stepView.nudgeOf(i));
    const maps = [heatMap(value, { label: say("value"), choose, edit })];
    if (gradient) maps.push(heatMap(gradient, { label: stepView.gradientOf(i), choose }));
    const fields = cellFields(formOf(value), node.name, choose);
    const [numbers, measured] = [element("p", { class: "numbers", "aria-live": "polite" }), element("p", { class: "measured" })];
    const nudge = element("div", {});
    const field = element("input", { type: "text", inputmode: "decimal", id: "new-value", "aria-describedby": "change-hint" });
    const hint = element("span", { id: "change-hint", class: "hint", role: "status" }, say("Everything is computed again in this page; what Python decided by looking at numbers stays."));
    const change = (event) => {
      event.preventDefault();
      const wanted = parsed(field.value);
      field.setAttribute("aria-invalid", String(wanted === null));
      if (wanted === null) hint.textContent = say("“{text}” is not a number, such as 0.5 or −1e−3.", { text: field.value });
      else changes.change(i, place(), wanted);
    };
    const form = lesson.isEditable(i)
      ? element(
          "form",
          { class: "change", onsubmit: change },
          element("label", { for: "new-value" }, `${say("new value:")} `),
          field,
          element("button", { type: "submit", id: "change-it" }, say("Change it")),
          element("button", { type: "button", id: "as-recorded", onclick: () => changes.reset(), disabled: !lesson.changed() }, say("As recorded")),
          hint,
        )
      : lesson.isOperation(node)
        ? null
        : (stepView.liveNote() ?? element("p", { class: "hint" }, say("Labels, masks and indices stay as they were recorded.")));
    const place = () => cells.get(i) ?? (gradient ? largestPlace(gradient) : 0);
    measure = () => {
      const at = place();
      measured.replaceChildren(...(gradient ? (lesson.live ? [measurement(i, at, gradient.data[at])] : recordedMeasurements(i, wholePlace(value, at))) : []));
    };
    function update() {
      const at = place();
      maps.forEach((map) => map.show({ place: at }));
      fields.show(at);
      const slope = gradient ? `; ${indexed(stepView.gradientOf(i), value, at)} = ${told(gradient.data[at], 8)}` : "";
      numbers.replaceChildren(`${indexed(node.name, value, at)} = `, stepView.numberOf(i, at, "tensor"), slope);
      field.value = String(value.data[at]);
      if (!dragging.underWay()) measure();
      nudge.replaceChildren(nudgeView.view(i, at, () => changes.flashing(main.redraw)) ?? "");
    }
    update();
    const drawn = value.data.length === 1 ? "" : element("div", { class: "maps" }, maps.map((map) => map.figure));
    return element("div", {}, drawn, element("p", { class: "choices" }, fields.box), numbers, measured, form, nudge);
  }

  function measurement(i, place, derived) {
    const { estimate, error, left, right, kink } = lesson.measured(i, place);
    if (kink) return say("Measured by differences: from the left the slope is {left}, from the right {right}: a kink.", { left: told(left), right: told(right) });
    if (!Number.isFinite(error)) return say("The result is not finite nearby, so no slope can be measured.");
    const numbers = { estimate: told(estimate, 8), error: told(error, 2), off: told(Math.abs(estimate - lesson.slopeAt(i, place)), 2) };
    if (lesson.slopeAt(i, place) !== derived) return say("Measured by differences: {estimate}, give or take {error}; along the imaginary axis the slope is minus the imaginary part of the gradient, and they differ by {off}.", numbers);
    return say("Measured by differences: {estimate}, give or take {error}; it and the gradient differ by {off}.", numbers);
  }

  // What Python measured of the chosen entry; where it had no time for that one, of the largest.
  function recordedMeasurements(i, at) {
    const measured = lesson.data.measured?.[i] ?? [];
    const chosen = measured.filter(([place]) => place === at);
    const { shape } = lesson.nodes[i].value;
    const left = chosen.length || !measured.length ? [] : [say("Of these {n} entries, Python measured {m}, and not this one.", { n: np.sizeOf(shape), m: measured.length }), element("br")];
    const lines = (chosen.length ? chosen : measured.slice(0, 3)).flatMap((entry) => {
      const [place, derived, estimate, error] = entry.map(lesson.number);
      const name = indexed(stepView.gradientOf(i), { shape }, place);
      const text = say("{name} = {derived}; measured by differences, in Python: {estimate}, give or take {error}; they differ by {off}.", { name, derived: told(derived, 8), estimate: told(estimate, 8), error: told(error, 2), off: told(Math.abs(estimate - derived), 2) });
      return [text, element("br")];
    });
    return [...left, ...lines];
  }

  // Where the gradient comes from: one term for each use, as bars of one entry, and as pictures on one scale of colours.
  function accumulation(i) {
    const gradient = lesson.gradient(i);
    const received = lesson.received[i];
    if (!gradient) return lesson.nodes[i].needsGradient ? element("p", {}, say("No gradient reaches it.")) : null;
    if (received.length < 2) return null;
    const shown = received.slice(0, 12);
    const values = received.map(([turn, each]) => lesson.contribution(lesson.steps[turn], each).value);
    const largest = scaleOf(...values.slice(0, 12), gradient);
    const box = element("section", { class: "sum" }, element("h4", {}, sayWith("{gradient} is a sum of {n} contributions, one for each use", { gradient: stepView.gradientOf(i), n: received.length })));
    shown.forEach(([turn, each], k) => {
      const value = values[k];
      const position = lesson.backwardPosition(lesson.steps[turn].node);
      box.append(
        element(
          "div",
          { class: `term hue${k % 5}` },
          element("p", {}, k ? "+ " : "= ", element("a", { href: `#step=${position}` }, say("from {name} (backward {k})", { name: lesson.nodes[lesson.steps[turn].node].name, k: turn + 1 })), ": ", formulas.term(lesson.steps[turn], each), value.data.length === 1 ? ` = ${told(value.data[0], 6)}` : ""),
          value.data.length > 1 ? heatMap(value, { label: say("term {k}", { k: k + 1 }), largest }).figure : null,
        ),
      );
    });
    if (received.length > 12) box.append(element("p", {}, say("… and {n} more.", { n: received.length - 12 })));
    if (gradient.data.length > 1) box.append(element("div", { class: "total" }, element("p", {}, "="), heatMap(gradient, { label: stepView.gradientOf(i), largest }).figure), legend(largest));
    const place = largestPlace(gradient);
    if (gradient.data.length && values.every((value) => value.data.length > place)) {
      box.append(barsOf(values.map((value) => value.data[place]), { names: (k) => lesson.nodes[lesson.steps[received[k][0]].node].name, hue: (k) => (k === undefined || k > 11 ? "" : `hue${k % 5}`), total: gradient.data[place], label: say("{entry} as a sum", { entry: indexed(stepView.gradientOf(i), gradient, place) }) }));
    }
    if (gradient.data.length === 1) box.append(element("p", { class: "numbers" }, `= ${told(gradient.data[0], 8)}`));
    return box;
  }

  return { show, accumulation, lookAt: (i, place) => cells.set(i, place), measure: () => measure() };
})();
