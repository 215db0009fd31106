// The panel of a step: what an operation computes going forward, and what it hands back to each of its inputs.

const stepView = (() => {
  const panel = document.getElementById("step");
  const gradientOf = (i) => `∂${lesson.nodes[lesson.root].name}/∂${lesson.nodes[i].name}`;
  const cells = new Map(); // the entry that is looked at, of each contribution and node

  function chosen(key, array) {
    const place = cells.get(key);
    return place !== undefined && place < array.data.length ? place : largestPlace(array);
  }

  const bracketed = (text) => (/[ +]/.test(text) ? `(${text})` : text);
  const heading = (text, ...more) => element("h3", {}, text, ...more);
  const formula = (text) => element("p", { class: "formula" }, text);
  const link = (i) => element("button", { type: "button", class: "link", onclick: () => main.choose(i) }, lesson.nodes[i].name);

  function start() {
    const leaves = lesson.leaves.filter((i) => lesson.nodes[i].needsGradient);
    panel.replaceChildren(
      heading("Before the first step"),
      overview.facts(),
      overview.warnings(),
      element("p", {}, `${lesson.nodes[lesson.root].name} is computed by ${counted(lesson.operations.length, "operation")} from the values at the top of the graph. Step on to see each of them compute; then the backward pass goes the same way back and finds how much the result changes with each value.`),
      element("p", {}, "The gradient is found for: ", leaves.flatMap((i, k) => (k ? [", ", link(i)] : [link(i)])), "."),
      element("p", { class: "hint" }, "Arrow keys left and right step; the address in the browser names the step, so that you can link to it."),
      liveNote() ?? "",
    );
  }

  function liveNote() {
    if (lesson.live) return null;
    return element("p", { class: "note" }, `Recorded only: ${lesson.data.recordedOnly}. So this page shows the numbers that Python computed, and cannot compute them again with others.`);
  }

  function about(i) {
    const node = lesson.nodes[i];
    return element(
      "p",
      { class: "about" },
      node.module ? ["in ", element("b", {}, node.module), " "] : null,
      node.source ? element("code", {}, node.source) : null,
    );
  }

  function forward(position, i) {
    const node = lesson.nodes[i];
    const value = lesson.value(i);
    const parts = [
      heading(`Forward ${position} of ${lesson.operations.length}: ${node.op}`),
      formula(`${node.name} = ${node.formula}`),
    ];
    if (node.definition) parts.push(formula(`${node.op}: ${node.definition}`));
    parts.push(about(i), ...overview.warningsOf(i));
    const given = [...new Set(node.inputs.filter((x) => typeof x === "number"))];
    parts.push(expansion(i, given));
    let products = [];
    if (typeof node.forward === "number" && [...given, i].every((x) => !lesson.value(x).sample)) products = np.watched(() => lesson.forward(i));
    if (products.length) {
      products.forEach((product, k) => parts.push(productView(product, { names: node.factors?.[k] ?? ["the left factor", "the right factor"], title: products.length > 1 ? `product ${k + 1}` : "the product" })));
    }
    parts.push(pictures(`forward ${i}`, [...given.map((x) => [lesson.value(x), lesson.nodes[x].name]), [value, node.name]], i));
    panel.replaceChildren(...parts.filter(Boolean));
  }

  // Several arrays side by side with one entry of the last one chosen.
  function pictures(key, arrays, i) {
    const [array, name] = arrays.at(-1);
    const maps = arrays.map(([each, label], k) => heatMap(each, { label, choose: k === arrays.length - 1 ? (place) => choose(place) : undefined }));
    const text = element("p", { class: "numbers", "aria-live": "polite" });
    const fields = cellFields(formOf(array), name, (place) => choose(place));
    function choose(place) {
      cells.set(key, place);
      show();
    }
    function show() {
      if (!array.data.length) return;
      const place = chosen(key, array);
      maps.at(-1).show({ place });
      fields.show(place);
      text.textContent = `${indexed(name, array, place)} = ${told(array.data[place], 8)}`;
    }
    show();
    const drawn = arrays.every(([each]) => each.data.length === 1) ? [] : maps;
    return element("div", {}, element("div", { class: "maps" }, drawn.map((map) => map.figure)), element("p", { class: "choices" }, fields.box), text);
  }

  // How the axes of the inputs line up with those of the result: what is broadcast.
  function expansion(i, given) {
    const shape = lesson.nodes[i].value.shape;
    const rows = given.filter((x) => {
      const own = lesson.nodes[x].value.shape;
      return isSpread(own, shape);
    });
    if (!rows.length || !isEntrywise(i)) return null;
    return axesTable(shape, rows.map((x) => [lesson.nodes[x].name, lesson.nodes[x].value.shape]), "Broadcasting: axes that expand", "×");
  }

  const isSpread = (own, shape) => own.length <= shape.length && np.sizeOf(own) < np.sizeOf(shape) && own.every((size, k) => size === 1 || size === shape[shape.length - own.length + k]);
  const isEntrywise = (i) => lesson.steps.some((step) => step.node === i && step.to.some((each) => each.local !== undefined || each.summed.length));

  function axesTable(shape, rows, caption, sign) {
    const axes = shape.map((size, axis) => element("th", { scope: "col" }, `axis ${axis}`));
    return element(
      "table",
      { class: "axes" },
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, ""), axes)),
      element(
        "tbody",
        {},
        element("tr", {}, element("th", { scope: "row" }, "result"), shape.map((size) => element("td", {}, String(size)))),
        rows.map(([name, own]) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, name),
            shape.map((size, axis) => {
              const mine = own[axis - shape.length + own.length];
              if (mine === size) return element("td", {}, String(size));
              return element("td", { class: "spread" }, sign === "×" ? `${mine ?? "–"} → ×${size}` : `Σ of ${size} → ${mine ?? "–"}`);
            }),
          ),
        ),
      ),
    );
  }

  function backward(turn) {
    const step = lesson.steps[turn];
    const node = lesson.nodes[step.node];
    const g = lesson.gradient(step.node);
    const parts = [
      heading(`Backward ${turn + 1} of ${lesson.steps.length}: ${node.op}`),
      formula(`${node.name} = ${node.formula}`),
      about(step.node),
      ...overview.warningsOf(step.node),
      element("p", {}, `What arrives (upstream): ${lesson.letter} = ${gradientOf(step.node)}${origin(step.node)}`),
      tensorView.accumulation(step.node),
    ];
    if (!step.to.length) parts.push(element("p", {}, "It hands nothing on: its rules let no gradient through."));
    step.to.forEach((each, k) => parts.push(contributionView(step, each, k, g)));
    panel.replaceChildren(...parts.filter(Boolean));
  }

  function origin(i) {
    const terms = lesson.received[i].length;
    if (!terms && !lesson.startsFromOnes) return ", which backward() was started with";
    if (!terms) return lesson.value(i).data.length > 1 ? ", which is 1 for each entry: what is differentiated is their sum" : ", which is 1: the result changes as much as itself";
    return terms > 1 ? `, the sum of ${terms} contributions, complete by now` : "";
  }

  function contributionView(step, each, k, g) {
    const [node, target] = [lesson.nodes[step.node], lesson.nodes[each.node]];
    const { full, products = [], value } = lesson.contribution(step, each);
    const slope = lesson.slope(step, each);
    const box = element("section", { class: `contribution hue${k % 5}` }, element("h4", {}, "to ", link(each.node)));
    box.append(formula(`contribution = ${each.rule}${each.summed.length ? `, summed over axis ${each.summed.join(", ")}` : ""}`));
    if (each.local !== undefined) {
      box.append(element("p", { class: "formula" }, `upstream × local: ${lesson.letter} × ${bracketed(each.local)}, since ∂${node.name}/∂${target.name} = ${each.local}${node.inputs.filter((x) => x === each.node).length > 1 ? " by this use" : ""}`));
    }
    if (each.summed.length) {
      box.append(axesTable(each.full, [[target.name, target.value.shape]], "The axes that were broadcast are summed", "Σ"));
    }
    products.forEach((product, p) =>
      box.append(
        productView(product, {
          names: each.factors?.[p] ?? ["the left factor", "the right factor"],
          title: each.factors?.[p] ? each.factors[p].map(bracketed).join(" @ ") : `product ${p + 1}`,
        }),
      ),
    );
    if (each.summed.length === 1 && full) box.append(sumView(step, each, full, value));
    box.append(numbersView(step, each, g, slope, full, value));
    return box;
  }

  // The contributions before the sum over what was broadcast: one row of it, the sum, or the mean.
  function sumView(step, each, full, value) {
    const [axis] = each.summed;
    const size = full.shape[axis];
    const holder = element("div", {});
    const select = chooseTerm(size, draw);
    function draw(choice) {
      const settings = { axis, keepdims: true };
      const shown =
        choice === "sum"
          ? value
          : choice === "mean"
            ? np.mean(full, settings)
            : np.take(full, full.shape.map((n, i) => (i === axis ? 1 : n)), rowPlaces(full.shape, axis, +choice));
      holder.replaceChildren(heatMap(shown, { label: choice === "sum" ? "summed" : choice === "mean" ? "the mean" : `only ${choice} along axis ${axis}` }).figure);
    }
    draw("sum");
    return element("div", {}, element("label", {}, `along axis ${axis}: `, select), holder);
  }

  const rowPlaces = (shape, axis, k) =>
    Array.from({ length: np.sizeOf(shape) }, (_, place) => place).filter((place) => indexOf(shape, place)[axis] === k);

  // The same with the numbers of one entry.
  function numbersView(step, each, g, slope, full, value) {
    const key = `${step.node} ${each.input}`;
    const target = lesson.nodes[each.node];
    const pictures = slope ? [heatMap(g, { label: `${lesson.letter === "g" ? "g, " : ""}upstream` })] : [];
    if (slope && slope.shape.length) pictures.push(heatMap(slope, { label: `local, ${each.local}` }));
    const choose = (place) => (cells.set(key, place), show());
    pictures.push(heatMap(value, { label: `contribution to ${target.name}`, choose }));
    const fields = cellFields(formOf(value), target.name, choose);
    const text = element("p", { class: "numbers", "aria-live": "polite" });
    function show() {
      if (!value.data.length) return;
      const place = chosen(key, value);
      pictures.at(-1).show({ place });
      fields.show(place);
      text.textContent = inNumbers(place);
    }
    function inNumbers(place) {
      const name = `${indexed(target.name, value, place)} receives `;
      const sum = told(value.data[place], 6);
      if (value.sample && slope?.sample) return `${name}${told(g.data[place])} × ${told(slope.data[place])} = ${sum}`;
      if (!slope || !full) return name + sum;
      const [upstream, local] = [g, slope].map((x) => np.broadcast_to(x, full.shape).data);
      const sources = full.data.map((_, i) => i).filter((i) => fits(full.shape, value.shape, i, place));
      if (!each.summed.length) {
        pictures[0].show(g.data.length === full.data.length ? { place: sources[0] } : {});
        return `${name}${told(upstream[sources[0]])} × ${told(local[sources[0]])} = ${sum}`;
      }
      return `${name}${dotProduct(sources.map((i) => upstream[i]), sources.map((i) => local[i])).replaceAll("·", "×")} = ${sum}`;
    }
    show();
    const drawn = value.data.length === 1 ? [] : pictures.map((picture) => picture.figure);
    const signs = pictures.length === 3 ? ["", "×", "="] : ["", "→"];
    const maps = drawn.flatMap((figure, k) => [signs[k], figure]);
    return element("div", {}, element("div", { class: "maps" }, maps), element("p", { class: "choices" }, fields.box), text);
  }

  // Whether an entry of the whole contribution is summed into a place of what it is summed to.
  function fits(shape, own, i, place) {
    const [whole, mine] = [indexOf(shape, i), indexOf(own, place)];
    return own.every((size, axis) => size === 1 || whole[axis + shape.length - own.length] === mine[axis]);
  }

  function show(position) {
    const at = lesson.at(position);
    if (at.phase === "start") start();
    else if (at.phase === "forward") forward(position, at.node);
    else backward(at.turn);
  }

  return { show, gradientOf, link, liveNote, heading, formula, about };
})();
