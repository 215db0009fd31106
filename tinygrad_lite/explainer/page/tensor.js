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
    const hint = element("span", { id: "change-hint", class: "hint", role: "status" }, "Everything is computed again in this page; what Python decided by looking at numbers stays.");
    const change = (event) => {
      event.preventDefault();
      const wanted = parsed(field.value);
      field.setAttribute("aria-invalid", String(wanted === null));
      if (wanted === null) {
        hint.textContent = `“${field.value}” is not a number, such as 0.5 or −1e−3.`;
        return;
      }
      const data = lesson.value(i).data.slice();
      data[place()] = wanted;
      lesson.change([[i, { ...lesson.value(i), data }]]);
      main.redraw();
    };
    const form = lesson.isEditable(i)
      ? element(
          "form",
          { class: "change", onsubmit: change },
          element("label", { for: "new-value" }, "new value: "),
          field,
          element("button", { type: "submit", id: "change-it" }, "Change it"),
          element("button", { type: "button", id: "as-recorded", onclick: () => (lesson.reset(), main.redraw()), disabled: !lesson.changed() }, "As recorded"),
          hint,
        )
      : lesson.isOperation(node)
        ? null
        : (stepView.liveNote() ?? element("p", { class: "hint" }, "Labels, masks and indices stay as they were recorded."));
    const place = () => cells.get(i) ?? (gradient ? largestPlace(gradient) : 0);
    function update() {
      const at = place();
      maps.forEach((map) => map.show({ place: at }));
      fields.show(at);
      const slope = gradient ? `; ${indexed(stepView.gradientOf(i), value, at)} = ${told(gradient.data[at], 8)}` : "";
      numbers.textContent = `${indexed(node.name, value, at)} = ${told(value.data[at], 8)}${slope}`;
      field.value = String(value.data[at]);
      measured.replaceChildren(...(gradient ? (lesson.live ? [measurement(i, at, gradient.data[at])] : recordedMeasurements(i, wholePlace(value, at))) : []));
    }
    update();
    return element("div", {}, element("div", { class: "maps" }, maps.map((map) => map.figure)), element("p", { class: "choices" }, fields.box), numbers, measured, form);
  }

  function measurement(i, place, derived) {
    const { estimate, error, left, right, kink } = lesson.measured(i, place);
    if (kink) return `Measured by differences: from the left the slope is ${told(left)}, from the right ${told(right)}: a kink.`;
    if (!Number.isFinite(error)) return "The result is not finite close by, so that no slope can be measured.";
    return `Measured by differences: ${told(estimate, 8)}, give or take ${told(error, 2)}; it and the gradient differ by ${told(Math.abs(estimate - derived), 2)}.`;
  }

  // What Python measured of the chosen entry; where it had no time for that one, of the largest.
  function recordedMeasurements(i, at) {
    const measured = lesson.data.measured?.[i] ?? [];
    const chosen = measured.filter(([place]) => place === at);
    const { shape } = lesson.nodes[i].value;
    const left = chosen.length || !measured.length ? [] : [`Of these ${np.sizeOf(shape)} entries, Python measured ${measured.length}, and not this one.`, element("br")];
    const lines = (chosen.length ? chosen : measured.slice(0, 3)).flatMap((entry) => {
      const [place, derived, estimate, error] = entry.map(lesson.number);
      const name = indexed(stepView.gradientOf(i), { shape }, place);
      const text = `${name} = ${told(derived, 8)}; measured by differences, in Python: ${told(estimate, 8)}, give or take ${told(error, 2)}; they differ by ${told(Math.abs(estimate - derived), 2)}.`;
      return [text, element("br")];
    });
    return [...left, ...lines];
  }

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
