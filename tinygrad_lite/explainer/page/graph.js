// The graph on the screen: what is open of it, with values and gradients as they are at the step that is shown.

const graphView = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const region = document.getElementById("graph");
  const tools = document.getElementById("graph-tools");
  const HUES = 5; // of contributions that add up, each with a dash pattern of its own
  let { boxes, way } = laidOut();
  let [scale, focused] = [1, null];

  function shape(tag, attributes = {}, ...children) {
    const found = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    found.append(...children);
    return found;
  }

  const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

  const cutBefore = (text, letters) => (text.length > letters ? `…${text.slice(1 - letters)}` : text);

  // A small picture of an array: at most 24 by 8 cells of it.
  function thumbnail(array, x, y, width, height, label) {
    const { rows, columns } = asMatrix(array);
    if (!rows || !columns) return shape("g");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.min(columns, 24), Math.min(rows, 8)];
    const draw = canvas.getContext("2d");
    const largest = largestOf(array.data);
    for (let i = 0; i < canvas.height; i++) {
      for (let j = 0; j < canvas.width; j++) {
        const row = Math.floor((i * rows) / canvas.height);
        draw.fillStyle = colour(array.data[row * columns + Math.floor((j * columns) / canvas.width)], largest);
        draw.fillRect(j, i, 1, 1);
      }
    }
    return shape(
      "g",
      {},
      shape("image", { href: canvas.toDataURL(), x, y, width, height, preserveAspectRatio: "none", class: "thumbnail" }),
      shape("rect", { x, y, width, height, class: "thumbnail-frame" }),
      shape("text", { x, y: y - 3, class: "tiny" }, label),
    );
  }

  function description(i, state) {
    const node = lesson.nodes[i];
    const parts = [lesson.isOperation(node) ? `${node.name} = ${node.formula}` : `${node.name}, ${node.needsGradient ? "a leaf with a gradient" : "a constant"}`];
    parts.push(shapeOf(node.value.shape));
    if (state.hasValue(i)) parts.push(`value ${summary(lesson.value(i))}`);
    const gradient = state.gradient(i);
    if (gradient) parts.push(`gradient ${state.isComplete(i) ? "" : "so far "}${summary(gradient)}`);
    (node.marks ?? []).forEach(([, text]) => parts.push(`warning: ${text}`));
    return parts.join("; ");
  }

  function nodeBox(i, box, state) {
    const node = lesson.nodes[i];
    const kind = lesson.isOperation(node) ? "operation" : node.needsGradient ? "parameter" : "constant";
    const classes = ["node", kind, i === lesson.root ? "root" : "", state.current === i ? "current" : "", state.selected === i ? "selected" : ""];
    if (!state.hasValue(i)) classes.push("ahead");
    const group = shape("g", {
      class: classes.join(" ").trim(),
      role: "button",
      tabindex: focused === i ? 0 : -1,
      "aria-label": description(i, state),
      "aria-pressed": String(state.selected === i),
      transform: `translate(${box.x} ${box.y})`,
      "data-node": i,
    });
    const title = shape("title", {}, lesson.isOperation(node) ? `${node.name} = ${node.formula}${node.source ? `\n${node.source}` : ""}` : node.name);
    group.append(title, shape("rect", { class: "box", width: box.width, height: box.height, rx: 7 }));
    const form = node.value.shape.length ? shapeOf(node.value.shape) : "";
    group.append(shape("text", { class: "name", x: 10, y: 18 }, cutBefore(node.name, 25 - form.length)));
    group.append(shape("text", { class: "small", x: box.width - 10, y: 18, "text-anchor": "end" }, form));
    group.append(shape("text", { class: "formula", x: 10, y: 35 }, cut(lesson.isOperation(node) ? node.formula : kind === "constant" ? "constant" : "leaf, needs a gradient", 30)));
    const half = (box.width - 28) / 2;
    if (state.hasValue(i)) group.append(...numbersOf(lesson.value(i), 10, 52, half, "value"));
    const gradient = state.gradient(i);
    if (gradient) group.append(...numbersOf(gradient, 18 + half, 52, half, state.isComplete(i) ? "gradient" : "gradient so far"));
    if (node.marks) {
      group.append(shape("path", { class: "mark", d: `M${box.width - 30} -15 h26 v15 h-26 z` }));
      group.append(shape("text", { class: "mark-text", x: box.width - 17, y: -3, "text-anchor": "middle" }, "!"));
    }
    return group;
  }

  function numbersOf(array, x, y, width, label) {
    if (array.data.length === 1) {
      return [
        shape("text", { x, y: y - 3 + 4, class: "tiny" }, label),
        shape("text", { x, y: y + 22, class: "number" }, told(array.data[0])),
      ];
    }
    return [thumbnail(array, x, y + 3, width, 30, label)];
  }

  function groupBox(group, box, state) {
    const count = counted(groups.operationsIn(group), "operation");
    const name = group.name || "the model";
    const label = `${name}, ${count}, ${group.open ? "open" : "closed"}`;
    const found = shape("g", {
      class: `group ${group.open ? "open" : "closed"}`,
      transform: `translate(${box.x} ${box.y})`,
    });
    found.append(shape("rect", { class: "box", width: box.width, height: box.height, rx: 9 }));
    const button = shape("g", {
      class: "toggle",
      role: "button",
      tabindex: focused === group ? 0 : -1,
      "aria-expanded": String(group.open),
      "aria-label": label,
      "data-group": group.path,
    });
    button.append(shape("rect", { class: "head", width: group.open ? Math.min(box.width, 240) : box.width, height: group.open ? BOX.head - 4 : box.height, rx: 9 }));
    button.append(shape("text", { class: "name", x: 10, y: 19 }, `${group.open ? "▾" : "▸"} ${cut(name, 26)}`));
    if (!group.open) {
      button.append(shape("text", { class: "small", x: 10, y: 38 }, count));
      const warned = state.marksIn(group);
      if (warned) button.append(shape("text", { class: "small", x: 10, y: 56 }, `! ${counted(warned, "warning")} inside`));
      if (state.currentIn(group)) button.append(shape("text", { class: "small", x: 10, y: 74 }, "the step shown is inside"));
    }
    found.append(button);
    return found;
  }

  // Edges between what stands on the screen, one for each use; those along which the step shown hands gradients on have
  // their colours.
  function edges(state) {
    const drawn = new Map();
    for (const i of lesson.operations) {
      const to = groups.visible(i);
      lesson.nodes[i].inputs.forEach((x, k) => {
        const from = typeof x === "number" ? groups.visible(x) : to;
        if (from === to) return;
        if (!drawn.has(from)) drawn.set(from, new Map());
        if (!drawn.get(from).has(to)) drawn.get(from).set(to, []);
        drawn.get(from).get(to).push({ hue: state.edge(i, k), flows: lesson.nodes[x].needsGradient });
      });
    }
    return [...drawn].flatMap(([from, ends]) => [...ends].flatMap(([to, uses]) => edge(from, to, uses)));
  }

  function edge(from, to, uses) {
    const active = uses.filter((use) => use.hue !== null);
    const shown = active.length ? active : uses.slice(0, 4);
    const [a, b] = [boxes.get(from), boxes.get(to)];
    return shown.map(({ hue, flows }, k) => {
      const aside = (k - (shown.length - 1) / 2) * 14;
      const points = [[a.x + a.width / 2 + aside, a.y + a.height], ...way(from, to), [b.x + b.width / 2 + aside, b.y]];
      const path = points.slice(1).map(([x, y], i) => {
        const [x0, y0] = points[i];
        const bend = Math.max(Math.abs(y - y0) / 2, 16);
        return `C${x0} ${y0 + bend} ${x} ${y - bend} ${x} ${y}`;
      });
      const kind = hue === null ? (flows ? "flows" : "") : `active hue${hue % HUES}`;
      return shape("path", { class: `edge ${kind}`, d: `M${points[0].join(" ")} ${path.join(" ")}`, "marker-end": "url(#head)" });
    });
  }

  function draw(state) {
    const active = document.activeElement?.closest?.("#graph [role=button]");
    const box = boxes.get(groups.root);
    const svg = shape("svg", {
      viewBox: `-6 -12 ${box.width + 12} ${box.height + 18}`,
      width: (box.width + 12) * scale,
      height: (box.height + 18) * scale,
      role: "group",
      "aria-label": `The graph behind ${lesson.nodes[lesson.root].name}`,
    });
    svg.append(
      shape(
        "defs",
        {},
        shape(
          "marker",
          { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
          shape("path", { d: "M0 0 L8 4 L0 8 z", class: "head-of-edge" }),
        ),
      ),
    );
    for (const [item, at] of boxes) if (typeof item !== "number" && item !== groups.root) svg.append(groupBox(item, at, state));
    svg.append(...edges(state));
    for (const [item, at] of boxes) if (typeof item === "number") svg.append(nodeBox(item, at, state));
    region.replaceChildren(svg);
    if (active) region.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  const items = () => [...boxes.keys()].filter((item) => item !== groups.root).sort((a, b) => groups.first(a) - groups.first(b));

  function relaid(state) {
    ({ boxes, way } = laidOut());
    draw(state);
  }

  function intoView(item) {
    const box = boxes.get(item);
    if (!box) return;
    const [x, y, width, height] = [box.x * scale, box.y * scale, box.width * scale, box.height * scale];
    if (x < region.scrollLeft || x + width > region.scrollLeft + region.clientWidth) region.scrollLeft = x + width / 2 - region.clientWidth / 2;
    if (y < region.scrollTop || y + height > region.scrollTop + region.clientHeight) region.scrollTop = y + height / 2 - region.clientHeight / 2;
  }

  // What somebody does in the graph: `choose(node)` is told, and `state()` is asked what to show.
  function connect({ choose, state }) {
    focused = lesson.root;
    const toggle = (path) => {
      const group = items().find((item) => typeof item !== "number" && item.path === path);
      group.open = !group.open;
      focused = group;
      relaid(state());
    };
    const act = (target) => {
      if (target.dataset.group !== undefined) toggle(target.dataset.group);
      else choose((focused = +target.dataset.node));
    };
    region.addEventListener("click", (event) => {
      const target = event.target.closest("[role=button]");
      if (target) act(target);
    });
    region.addEventListener("keydown", (event) => {
      const target = event.target.closest("[role=button]");
      if (target && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        act(target);
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const all = items();
        const at = all.indexOf(focused);
        focused = all[Math.min(Math.max(at + (event.key === "ArrowDown" ? 1 : -1), 0), all.length - 1)];
        draw(state());
        intoView(focused);
        region.querySelector('[tabindex="0"]').focus({ preventScroll: true });
      }
    });
    const zoom = (factor) => {
      scale = Math.min(Math.max(scale * factor, 0.15), 2);
      draw(state());
    };
    const fit = (least) => {
      scale = Math.min(1, Math.max((region.clientWidth - 24) / boxes.get(groups.root).width, least));
      draw(state());
    };
    tools.append(
      element("button", { type: "button", onclick: () => zoom(1 / 1.25), "aria-label": "Smaller" }, "−"),
      element("button", { type: "button", onclick: () => zoom(1.25), "aria-label": "Larger" }, "+"),
      element("button", { type: "button", onclick: () => fit(0.1) }, "Fit"),
    );
    fit(0.45);
  }

  // Have a node, or the closed group that it is in, on the screen.
  function show(i, state) {
    focused = groups.visible(i);
    draw(state);
    intoView(focused);
  }

  return { connect, draw, show };
})();
