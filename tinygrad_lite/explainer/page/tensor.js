// The panel of one tensor: its numbers, how its gradient adds up, the slope measured without any derivative, and, of a
// leaf, a field to change an entry.

const tensorView = (() => {
  const panel = document.getElementById("tensor");
  const cells = new Map();

  function show(i) {
    const node = lesson.nodes[i];
    const [value, gradient] = [lesson.value(i), lesson.gradient(i)];
    const parts = [
      stepView.heading(node.name),
      stepView.formula(lesson.isOperation(node) ? `${node.name} = ${node.formula}` : node.needsGradient ? "a leaf: no operation made it, and it needs a gradient" : "a constant: no gradient flows to it"),
      lesson.isOperation(node) && node.definition ? stepView.formula(`${node.op}: ${node.definition}`) : null,
      stepView.about(i),
      ...(node.marks ?? []).map(([kind, text]) => element("p", { class: "warning" }, element("b", {}, `${kind}: `), text)),
      lesson.changed() && (node.marks ?? []).length ? element("p", { class: "hint" }, "The warnings are of the numbers as they were recorded.") : null,
    ];
    if (value.data.length) parts.push(entry(i, value, gradient));
    else parts.push(element("p", {}, "It is empty."));
    parts.push(accumulation(i));
    panel.replaceChildren(...parts.filter(Boolean));
  }

  function entry(i, value, gradient) {
    const node = lesson.nodes[i];
    const choose = (place) => (cells.set(i, place), update());
    const maps = [heatMap(value, { label: "value", choose })];
    if (gradient) maps.push(heatMap(gradient, { label: stepView.gradientOf(i), choose }));
    const fields = cellFields(formOf(value), node.name, choose);
    const [numbers, measured] = [element("p", { class: "numbers", "aria-live": "polite" }), element("p", { class: "measured" })];
    const field = element("input", { type: "text", inputmode: "decimal", id: "new-value", "aria-describedby": "change-hint" });
    const change = (event) => {
      event.preventDefault();
      const wanted = Number(field.value.replace("−", "-").replace(",", "."));
      if (field.value.trim() === "" || Number.isNaN(wanted)) {
        field.setAttribute("aria-invalid", "true");
        return;
      }
      const data = lesson.value(i).data.slice();
      data[place()] = wanted;
      lesson.change([[i, { ...lesson.value(i), data }]]);
      main.redraw();
    };
    const form =
      !lesson.isOperation(node) && lesson.live
        ? element(
            "form",
            { class: "change", onsubmit: change },
            element("label", { for: "new-value" }, "new value: "),
            field,
            element("button", { type: "submit" }, "Change it"),
            element("button", { type: "button", onclick: () => (lesson.reset(), main.redraw()), disabled: !lesson.changed() }, "As recorded"),
            element("span", { id: "change-hint", class: "hint" }, "Everything is computed again in this page."),
          )
        : !lesson.isOperation(node)
          ? stepView.liveNote()
          : null;
    const place = () => cells.get(i) ?? (gradient ? stepView.largestPlace(gradient) : 0);
    function update() {
      const at = place();
      maps.forEach((map) => map.show({ place: at }));
      fields.show(at);
      const slope = gradient ? `; ${indexed(stepView.gradientOf(i), value, at)} = ${told(gradient.data[at], 8)}` : "";
      numbers.textContent = `${indexed(node.name, value, at)} = ${told(value.data[at], 8)}${slope}`;
      field.value = String(value.data[at]);
      measured.replaceChildren(...(gradient ? (lesson.live ? [measurement(i, at, gradient.data[at])] : recordedMeasurements(i)) : []));
    }
    update();
    return element("div", {}, element("div", { class: "maps" }, maps.map((map) => map.figure)), element("p", { class: "choices" }, fields.box), numbers, measured, form);
  }

  function measurement(i, place, derived) {
    const { estimate, error, left, right } = lesson.measured(i, place);
    const off = Math.abs(estimate - derived);
    const kink = Math.abs(left - right) > 1e-4 * Math.max(1, Math.abs(left), Math.abs(right)) ? ` From the left the slope is ${told(left)}, from the right ${told(right)}: a kink.` : "";
    return `Measured by differences: ${told(estimate, 8)}, give or take ${told(error, 2)}; the gradient is off by ${told(off, 2)}.${kink}`;
  }

  const recordedMeasurements = (i) =>
    (lesson.data.measured?.[i] ?? []).flatMap((entry) => {
      const [place, derived, estimate, error] = entry.map(lesson.number);
      const name = indexed(stepView.gradientOf(i), { shape: lesson.nodes[i].value.shape }, place);
      const text = `${name} = ${told(derived, 8)}; measured by differences, in Python: ${told(estimate, 8)}, give or take ${told(error, 2)}; off by ${told(Math.abs(estimate - derived), 2)}.`;
      return [text, element("br")];
    });

  // Where the gradient comes from: one term for each use.
  function accumulation(i) {
    const gradient = lesson.gradient(i);
    const received = lesson.received[i];
    if (!gradient) return lesson.nodes[i].needsGradient ? element("p", {}, "No gradient reaches it.") : null;
    if (received.length < 2) return null;
    const box = element("section", { class: "sum" }, element("h4", {}, `${stepView.gradientOf(i)} is a sum of ${received.length} contributions, one for each use`));
    received.slice(0, 12).forEach(([turn, each], k) => {
      const { value } = lesson.contribution(lesson.steps[turn], each);
      const position = lesson.backwardPosition(lesson.steps[turn].node);
      box.append(
        element(
          "div",
          { class: `term hue${k % 5}` },
          element("p", {}, k ? "+ " : "= ", element("a", { href: `#step=${position}` }, `from ${lesson.nodes[lesson.steps[turn].node].name} (backward ${turn + 1})`), `: ${each.rule}`, value && value.data.length === 1 ? ` = ${told(value.data[0], 6)}` : ""),
          value && value.data.length > 1 ? heatMap(value, { label: `term ${k + 1}` }).figure : null,
        ),
      );
    });
    if (received.length > 12) box.append(element("p", {}, `… and ${received.length - 12} more.`));
    if (gradient.data.length === 1) box.append(element("p", { class: "numbers" }, `= ${told(gradient.data[0], 8)}`));
    return box;
  }

  return { show, accumulation };
})();
