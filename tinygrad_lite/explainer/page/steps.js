// The panel of a step: what an operation computes going forward, and what it hands back to each of its inputs.

const stepView = (() => {
  const panel = document.getElementById("step");
  const gradientOf = (i) => `∂${lesson.nodes[lesson.root].name}/∂${lesson.nodes[i].name}`;
  const cells = new Map(); // the entry that is looked at, of each contribution and node

  function chosen(key, array) {
    const place = cells.get(key);
    return place !== undefined && place < array.data.length ? place : largestPlace(array);
  }

  const heading = (text, ...more) => element("h3", {}, text, ...more);
  const formula = (...parts) => element("p", { class: "formula" }, ...parts);
  const link = (i, text = lesson.nodes[i].name) => element("button", { type: "button", class: "link", onclick: () => main.choose(i) }, text);
  const nameAt = (i) => lesson.nodes[i].name;

  function start() {
    const leaves = lesson.leaves.filter((i) => lesson.nodes[i].needsGradient && lesson.gradient(i));
    const shown = leaves.slice(0, 12).flatMap((i, k, { length }) => (k < length - 1 ? [element("span", { class: "listed" }, link(i), ","), " "] : [link(i)]));
    return [
      heading(say("Before the first step")),
      overview.facts(),
      overview.warnings(),
      element("p", {}, say("Press Play, or step on. First, {root} is computed from the values at the top of the graph, in {count}. Then the backward pass goes the same way back. At each value, it finds how much {root} changes when this value changes.", { root: nameAt(lesson.root), count: counted(lesson.operations.length, "operation") })),
      element("p", {}, sayWith("In the end you have the gradient of {root} with respect to {leaves}.", { root: nameAt(lesson.root), leaves: [...shown, leaves.length > 12 ? ` ${say("and {n} more", { n: leaves.length - 12 })}` : ""] })),
      leaves.some(isPlain) ? singles(leaves.filter(isPlain).slice(0, 12)) : null,
      lesson.live ? element("p", { class: "hint" }, say("Drag any number or any cell of a picture to the side, and watch {root} at the top follow.", { root: nameAt(lesson.root) })) : "",
      overview.fine(),
      element("p", { class: "hint" }, location.protocol === "about:" ? say("The arrow keys left and right go from step to step.") : say("The arrow keys left and right go from step to step. The address in the browser names the step, so that you can link to it.")),
      liveNote(),
      lesson.changed() ? null : exitNote("hint"),
    ];
  }

  const isPlain = (i) => lesson.nodes[i].value.shape.length === 0 && !lesson.nodes[i].value.complex;

  // What the code made of numbers in Python, by an "if" or a "float", stays as it was recorded: where it did so first,
  // or, if nobody watched the code, that it may have.
  function exitNote(kind) {
    const { exit, isWatched, unknown } = lesson.data;
    if (!lesson.live) return null;
    if (exit) return element("p", { class: kind }, sayWith("The code looked at its numbers in Python, first in {line}. What it decided or computed by them stays as it was recorded, even when you change numbers here.", { line: element("code", {}, exit) }));
    const all = { call: element("code", {}, "tg.explain(function, *arguments)"), names: unknown.flatMap((i, k) => [k ? ", " : "", link(i)]) };
    if (unknown.length) return element("p", { class: kind }, sayWith("{names}: made without a history, so the page cannot know from what. It stays as it was recorded, and so does whatever the code chose by its numbers, as with an index or an if. {call} follows them, or names the line.", all));
    return isWatched || kind === "hint" ? null : element("p", { class: "hint" }, sayWith("Only the operations behind the result were recorded. If the code chose by its numbers, as with an index or an if, the choice stays as it was. {call} follows it, or names the line.", all));
  }

  function liveNote() {
    if (lesson.live) return null;
    return element("p", { class: "note" }, whyRecorded());
  }

  function whyRecorded() {
    return say("Recorded only: {why}. So this page shows the numbers that Python computed, and cannot compute them again with other numbers.", { why: tell(lesson.data.recordedOnly) });
  }

  function about(i) {
    const node = lesson.nodes[i];
    return element(
      "p",
      { class: "about" },
      node.module ? [`${say("in")} `, element("b", {}, node.module), " "] : null,
      node.source ? element("code", {}, node.source) : null,
    );
  }

  function forward(position, i) {
    const node = lesson.nodes[i];
    const value = lesson.value(i);
    const parts = [
      heading(say("Forward {k} of {n}: {op}", { k: position, n: lesson.operations.length, op: node.op })),
      formula(formulas.ofNode(i)),
    ];
    if (node.definition) parts.push(formula(formulas.definition(i)));
    parts.push(about(i), ...overview.warningsOf(i));
    const inputs = [...new Set(node.inputs.filter((x) => typeof x === "number"))];
    parts.push(expansion(i, inputs));
    let [products, own] = [[], null];
    if (typeof node.forward === "number" && [...inputs, i].every((x) => !lesson.value(x).sample && !lesson.value(x).complex)) products = np.watched(() => (own = lesson.forward(i)));
    const isAll = isOnly(products, own);
    products.forEach((product, k) => parts.push(productView(product, { factors: node.factors?.[k], title: products.length > 1 ? say("product {k}", { k: k + 1 }) : say("the product"), name: isAll ? node.name : undefined, edit: isAll ? nudgeOf(i) : undefined })));
    const factors = new Set(products.length ? (node.factors ?? []).flat().map((each) => each.node) : []);
    const others = inputs.filter((x) => !factors.has(x));
    if (others.length || !isAll) parts.push(pictures(`forward ${i}`, others, i, value));
    return parts;
  }

  // Whether an array is the result of one product, whose picture shows all of it.
  function isOnly(products, array) {
    if (products.length !== 1 || products[0].count !== 1 || array.sample) return false;
    const { data } = products[0].at(0).result;
    return data.length > 0 && data.length === array.data.length && array.data.every((x, k) => Object.is(x, data[k]));
  }

  // The inputs and the result side by side, on one scale of colours if numbers of one kind meet in it.
  function pictures(key, inputs, i, array) {
    const name = nameAt(i);
    const values = inputs.map((x) => lesson.value(x));
    const alike = lesson.nodes[i].pushes !== undefined && isEntrywise(i);
    const largest = alike ? scaleOf(...values, array) : undefined;
    const maps = inputs.map((x, k) => heatMap(values[k], { label: nameAt(x), largest, edit: editOf(x) }));
    const result = heatMap(array, { label: name, largest, choose, edit: nudgeOf(i) });
    const text = element("p", { class: "numbers", "aria-live": "polite" });
    const fields = cellFields(formOf(array), name, (place) => choose(place));
    function choose(place) {
      cells.set(key, place);
      show();
    }
    function show() {
      if (!array.data.length) return;
      const place = chosen(key, array);
      result.show({ place });
      fields.show(place);
      text.textContent = `${indexed(name, array, place)} = ${told(array.data[place], 8)}`;
    }
    show();
    const all = [...maps, result].map((map) => map.figure);
    const single = [...values, array].every((each) => each.data.length === 1);
    const drawn = single ? singles(inputs) : largest === undefined ? element("div", { class: "maps" }, all) : compared(all, largest);
    return element("div", {}, drawn, element("p", { class: "choices" }, fields.box), text);
  }

  // Inputs that are single numbers, each to be dragged.
  const singles = (inputs) =>
    element("p", { class: "singles" }, inputs.map((x) => element("span", {}, `${nameAt(x)} = `, numberOf(x, 0), " ")));

  // An entry of a node as a number that can be dragged: of a leaf it changes, any other is nudged.
  function numberOf(i, place, panel = "step") {
    const value = lesson.value(i);
    const name = indexed(nameAt(i), value, place);
    const write = editOf(i) ?? nudgeOf(i);
    if (!write || value.sample) return element("span", { class: "number" }, told(value.data[place], 8));
    return dragging.number({ id: `${panel}-number-${i}-${place}`, x: value.data[place], unit: dragging.unitOf(value), label: name, write: (x) => write(place, x) });
  }

  // What changes an entry of a leaf; undefined if the leaf is fixed.
  const editOf = (i) => (lesson.isEditable(i) && !lesson.value(i).sample ? (place, x) => changes.change(i, place, x) : undefined);

  // What changes an entry of an operation's result: a nudge of it, shown with all that follows from it.
  const nudgeOf = (i) =>
    lesson.isOperation(lesson.nodes[i]) && lesson.live && lesson.gradient(i) && i !== lesson.root
      ? (place, x) => {
          nudgeView.move(i, Number((x - lesson.value(i).data[place]).toPrecision(6)));
          tensorView.lookAt(i, place);
          main.choose(i);
        }
      : undefined;

  // How the axes of the inputs line up with those of the result: what is broadcast.
  function expansion(i, inputs) {
    const shape = lesson.nodes[i].value.shape;
    const rows = inputs.filter((x) => isSpread(lesson.nodes[x].value.shape, shape));
    if (!rows.length || !isEntrywise(i)) return null;
    return axesTable(shape, rows.map((x) => [nameAt(x), lesson.nodes[x].value.shape]), say("Broadcasting: axes that expand"), "×");
  }

  const isSpread = (own, shape) => own.length <= shape.length && np.sizeOf(own) < np.sizeOf(shape) && own.every((size, k) => size === 1 || size === shape[shape.length - own.length + k]);
  const isEntrywise = (i) => lesson.steps.some((step) => step.node === i && step.to.some((each) => each.local !== undefined || each.summed.length));

  function axesTable(shape, rows, caption, sign) {
    const axes = shape.map((_, axis) => element("th", { scope: "col" }, `${say("axis")} ${axis}`));
    const table = element(
      "table",
      { class: "axes" },
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, say("shape of")), axes)),
      element(
        "tbody",
        {},
        element("tr", {}, element("th", { scope: "row" }, say("result")), shape.map((size) => element("td", {}, String(size)))),
        rows.map(([name, own]) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, name),
            shape.map((size, axis) => {
              const mine = own[axis - shape.length + own.length];
              if (mine === size) return element("td", {}, String(size));
              return element("td", { class: "spread" }, sign === "×" ? `${mine ?? "–"} → ×${size}` : `${say("Σ of {n}", { n: size })} → ${mine ?? "–"}`);
            }),
          ),
        ),
      ),
    );
    return element("div", { class: "scrolling" }, table);
  }

  function backward(turn) {
    const step = lesson.steps[turn];
    const node = lesson.nodes[step.node];
    const g = lesson.gradient(step.node);
    const inputs = [...new Set(node.inputs.filter((x) => typeof x === "number"))];
    const parts = [
      heading(say("Backward {k} of {n}: {op}", { k: turn + 1, n: lesson.steps.length, op: node.op })),
      formula(formulas.ofNode(step.node)),
      about(step.node),
      ...overview.warningsOf(step.node),
      element("p", { class: "formula upstream" }, `${say("The upstream gradient:")} `, formulas.upstream(step.node), origin(step.node)),
      tensorView.accumulation(step.node),
      inputs.every((x) => lesson.value(x).data.length === 1) && inputs.length ? singles(inputs) : null,
    ];
    if (!step.to.length) parts.push(element("p", {}, say("It hands nothing on: its rules let no gradient through.")));
    step.to.forEach((each, k) => parts.push(contributionView(step, each, k, g)));
    return parts;
  }

  function origin(i) {
    const terms = lesson.received[i].length;
    if (!terms && !lesson.startsFromOnes) return say(", with which backward() was started");
    if (!terms) return lesson.value(i).data.length > 1 ? say(", which is 1 for each entry: what is differentiated is their sum") : say(": the result changes as much as itself");
    return terms > 1 ? say(", the sum of {n} contributions, complete by now", { n: terms }) : "";
  }

  function contributionView(step, each, k, g) {
    const node = lesson.nodes[step.node];
    const { full, products = [], value } = lesson.contribution(step, each);
    const slope = lesson.slope(step, each);
    const box = element("section", { class: `contribution hue${k % 5}` }, element("h4", {}, sayWith("to {name}", { name: link(each.node) })));
    box.append(formula(formulas.rule(step, each)));
    formulas.where(step, each).forEach((part, k) => box.append(formula(`${k ? "" : say("where")} `, part)));
    if (each.local !== undefined) {
      const use = node.inputs.filter((x) => x === each.node).length > 1 ? say(" by this use") : "";
      box.append(formula(`${say("upstream × local, where")} `, formulas.local(step, each), use));
    }
    if (each.summed.length) box.append(axesTable(each.full, [[nameAt(each.node), lesson.nodes[each.node].value.shape]], say("The axes that were broadcast are summed"), "Σ"));
    if (each.realPart) box.append(element("p", { class: "hint" }, say("{name} is real, so it takes the real part of this.", { name: nameAt(each.node) })));
    const isAll = isOnly(products, value);
    products.forEach((product, p) => {
      const factors = each.factors?.[p];
      const title = factors ? factors.map(({ text }) => (/[ +]/.test(text) ? `(${text})` : text)).join(" @ ") : say("product {k}", { k: p + 1 });
      const label = `${title}, ${say("to {name}", { name: nameAt(each.node) })}`;
      box.append(productView(product, { factors, title, label, name: isAll ? say("contribution to {name}", { name: nameAt(each.node) }) : undefined }));
    });
    if (each.summed.length === 1 && full) box.append(sumView(each, full, value));
    if (!isAll) box.append(numbersView(step, each, { g, slope, full, value, hasProducts: products.length > 0 }));
    return box;
  }

  // The contributions before the sum over what was broadcast: one row of it, the sum, or the mean.
  function sumView(each, full, value) {
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
      const label = choice === "sum" ? say("summed") : choice === "mean" ? say("the mean") : say("only {k} along axis {axis}", { k: choice, axis });
      holder.replaceChildren(heatMap(shown, { label }).figure);
    }
    draw("sum");
    return element("div", {}, element("label", {}, say("along axis {axis}:", { axis }), " ", select), holder);
  }

  const rowPlaces = (shape, axis, k) =>
    Array.from({ length: np.sizeOf(shape) }, (_, place) => place).filter((place) => indexOf(shape, place)[axis] === k);

  // The same with the numbers of one entry. Upstream and contribution are both gradients: they have one scale.
  function numbersView(step, each, { g, slope, full, value, hasProducts }) {
    const key = `${step.node} ${each.input}`;
    const name = nameAt(each.node);
    const largest = scaleOf(slope || !hasProducts ? g : null, value);
    const pictures = slope || !hasProducts ? [heatMap(g, { label: `${lesson.letter === "g" ? "g, " : ""}${say("upstream")}`, largest })] : [];
    if (slope && slope.shape.length) pictures.push(heatMap(slope, { label: `${say("local")}, ${each.local}` }));
    const choose = (place) => (cells.set(key, place), show());
    pictures.push(heatMap(value, { label: say("contribution to {name}", { name }), choose, largest }));
    const fields = cellFields(formOf(value), name, choose);
    const text = element("p", { class: "numbers", "aria-live": "polite" });
    const holder = element("div", {});
    function show() {
      if (!value.data.length) return;
      const place = chosen(key, value);
      pictures.at(-1).show({ place });
      fields.show(place);
      text.textContent = inNumbers(place);
    }
    function inNumbers(place) {
      const receives = say("{entry} receives", { entry: indexed(name, value, place) });
      const sum = told(value.data[place], 6);
      if (value.sample && slope?.sample && ![g, slope, value].some((x) => x.complex)) return `${receives} ${told(g.data[place])} × ${told(slope.data[place])} = ${sum}`;
      if (!full) return `${receives} ${sum}`;
      const sources = full.data.map((_, i) => i).filter((i) => fits(full.shape, value.shape, i, place));
      if (sources.length > 1) holder.replaceChildren(barsOf(sources.map((i) => full.data[i]), { names: (k) => `[${indexOf(full.shape, sources[k]).join(", ")}]`, total: value.data[place], label: say("the terms of this entry") }));
      if (!slope) return `${receives} ${sum}`;
      const [upstream, local] = [g, slope].map((x) => np.broadcast_to(x, full.shape).data);
      if (!each.summed.length) {
        pictures[0].show(g.data.length === full.data.length ? { place: sources[0] } : {});
        return `${receives} ${told(upstream[sources[0]])} × ${told(local[sources[0]])} = ${sum}`;
      }
      return `${receives} ${dotProduct(sources.map((i) => upstream[i]), sources.map((i) => local[i])).replaceAll("·", "×")} = ${sum}`;
    }
    show();
    const drawn = value.data.length === 1 ? [] : pictures.map((picture) => picture.figure);
    const signs = pictures.length === 3 ? ["", "×", "="] : ["", "→"];
    const maps = drawn.map((figure, k) => element("div", { class: "after-sign" }, element("span", { class: "sign" }, signs[k]), figure));
    return element("div", {}, drawn.length ? compared(maps, largest) : "", element("p", { class: "choices" }, fields.box), text, holder);
  }

  // Whether an entry of the whole contribution is summed into a place of what it is summed to.
  function fits(shape, own, i, place) {
    const [whole, mine] = [indexOf(shape, i), indexOf(own, place)];
    return own.every((size, axis) => size === 1 || whole[axis + shape.length - own.length] === mine[axis]);
  }

  // What there is to say of a step.
  function content(position) {
    const at = lesson.at(position);
    const parts = at.phase === "start" ? start() : at.phase === "forward" ? forward(position, at.node) : backward(at.turn);
    if (lesson.changed()) parts.splice(1, 0, exitNote("note"));
    return parts.filter(Boolean);
  }

  function show(position) {
    panel.replaceChildren(...content(position));
    formulas.fit(panel);
  }

  return { show, content, gradientOf, link, liveNote, whyRecorded, heading, formula, about, numberOf, editOf, nudgeOf };
})();
