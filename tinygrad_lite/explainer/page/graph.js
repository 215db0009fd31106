// The graph on the screen: what is open of it, with values and gradients as they are at the step that is shown.

const graphView = (() => {
  const { shape, text, widthOf, thumbnail, leftOut } = drawing;
  const region = document.getElementById("graph");
  const HUES = 5; // of contributions that add up, each with a dash pattern of its own
  const LABELS = 8; // of edges
  let detail = DETAILS.full;
  let { boxes, edges, titleOf } = laidOut(detail);
  let focused = null;
  let active = []; // the edges of the step shown: [path, operation, position]
  let untouched = true; // until somebody opens or closes a group
  let ask = null; // for the state of the page

  function description(i, state) {
    const node = lesson.nodes[i];
    const parts = [lesson.isOperation(node) ? `${node.name} = ${node.formula}` : `${node.name}, ${say(node.needsGradient ? "a leaf with a gradient" : "a constant")}`];
    parts.push(shapeOf(node.value.shape));
    if (state.hasValue(i)) parts.push(`${say("value")} ${summary(lesson.value(i))}`);
    const gradient = state.gradient(i);
    if (gradient) parts.push(`${say(state.isComplete(i) ? "gradient" : "gradient so far")} ${summary(gradient)}`);
    (node.marks ?? []).forEach(([, text]) => parts.push(`${say("warning")}: ${text}`));
    return parts.join("; ");
  }

  function nodeBox(i, box, state) {
    const node = lesson.nodes[i];
    const kind = lesson.isOperation(node) ? "operation" : node.needsGradient ? "parameter" : "constant";
    const classes = ["node", kind, i === lesson.root ? "root" : "", state.current === i ? "current" : "", state.selected === i ? "selected" : ""];
    const [value, gradient] = [state.hasValue(i) ? lesson.value(i) : null, state.gradient(i)];
    if (!value) classes.push("ahead");
    const group = shape("g", {
      class: classes.filter(Boolean).join(" "),
      role: "button",
      tabindex: focused === i ? 0 : -1,
      "aria-label": description(i, state),
      "aria-pressed": String(state.selected === i),
      transform: `translate(${box.x} ${box.y})`,
      "data-node": i,
    });
    const title = [lesson.isOperation(node) ? `${node.name} = ${node.formula}` : node.name, node.source];
    if (leftOut(lesson.value(i))) title.push(say("of {shape}, the picture shows entries that are evenly spread", { shape: shapeOf(node.value.shape) }));
    group.append(shape("title", {}, title.filter(Boolean).join("\n")), shape("rect", { class: "box", width: box.width, height: box.height, rx: 7 }));
    if (gradient) {
      const share = lesson.received[i].length ? state.share(i) : 1;
      group.append(shape("rect", { class: "gauge", x: 0, y: box.height * (1 - share), width: 5, height: box.height * share, rx: 2 }));
    }
    const room = drawing.unit < 1.12 && detail.name === "full";
    const form = node.value.shape.length ? shapeOf(node.value.shape) : "";
    const width = box.width - 20;
    const forForm = form ? widthOf(form, 12, false) + 8 : 0;
    const both = widthOf(groups.shortName(i), 13, true) + forForm <= width;
    const line = room ? 18 : Math.min(16 * Math.max(drawing.unit * 0.85, 1), 22);
    group.append(text(10, line, groups.shortName(i), both ? width - forForm : width, { size: 13, kind: "name", fromEnd: true }));
    if (both) group.append(text(box.width - 10, line, form, width * 0.55, { size: 12, kind: "small", anchor: "end" }));
    const about = lesson.isOperation(node) ? node.formula : say(kind === "constant" ? "constant" : "leaf, needs a gradient");
    if (room) group.append(text(10, 35, about, width, { kind: "formula" }));
    const half = (width - 8) / 2;
    const [top, tall] = room ? [52, 33] : [line + 7, Math.max(box.height - line - 12, 4)];
    const whole = (array) => (gradient ? half : array.data.length === 1 ? width : half);
    if (value) group.append(...numbersOf(value, 10, top, whole(value), tall, say("value"), room));
    else if (!room && lesson.isOperation(node)) group.append(text(10, top + 0.62 * tall, about, width, { kind: "formula" }));
    if (gradient) group.append(...numbersOf(gradient, 18 + half, top, half, tall, say(state.isComplete(i) ? "gradient" : "so far"), room, "of-gradient"));
    if (node.marks) group.append(...mark(box));
    return group;
  }

  // The sign of a warning, above the corner of a box.
  function mark({ width }) {
    const size = 15 * Math.max(drawing.unit * 0.8, 1);
    return [
      shape("path", { class: "mark", d: `M${width - 4 - 1.7 * size} ${-size} h${1.7 * size} v${size} h${-1.7 * size} z` }),
      shape("text", { class: "mark-text", x: width - 4 - 0.85 * size, y: -0.2 * size, "text-anchor": "middle" }, "!"),
    ];
  }

  function numbersOf(array, x, y, width, height, label, room, kind = "") {
    const caption = room ? 9 : 0;
    const few = leftOut(array);
    const head = room ? text(x, y + 2, few ? `${label}: ${few}` : label, width + 6, { size: 11, kind: "soft" }) : "";
    if (array.data.length === 1 && !array.sample) {
      const number = told(array.data[0], room ? 4 : 3);
      return [head, text(x, y + caption + (room ? 15 : 0.68 * height), room || !kind ? number : `${lesson.letter === "g" ? "g" : "∂"} ${number}`, width + 6, { size: 14, kind: `number ${kind}` })];
    }
    return [head, thumbnail(array, x, y + caption - 3, width, height - caption + 2)];
  }

  function groupBox(group, box, state) {
    const count = counted(groups.operationsIn(group), "operation");
    const leaves = group.items?.length && !groups.operationsIn(group) ? counted(group.items.length, "leaf", "leaves") : null;
    const name = groups.name(group);
    const open = group.open && group.kind !== "rest";
    const isLoop = group.kind === "loop";
    const warned = state.marksIn(group);
    const found = shape("g", { class: `group ${group.kind} ${open ? "open" : "closed"}`, transform: `translate(${box.x} ${box.y})` });
    found.append(shape("rect", { class: "box", width: box.width, height: box.height, rx: 9 }));
    const label = [name, leaves ?? count, say(group.kind === "rest" ? "Enter shows the turn beside this" : open ? "open" : "closed")];
    if (isLoop) label.push(strips.words(group));
    if (warned) label.push(counted(warned, "warning"));
    const button = shape("g", {
      class: "toggle",
      role: "button",
      tabindex: focused === group ? 0 : -1,
      "aria-expanded": group.kind === "rest" ? null : String(open),
      "aria-label": label.join("; "),
      "data-group": group.path,
    });
    const sign = group.kind === "rest" ? "⋮ " : open ? "▾ " : "▸ ";
    const width = open && !isLoop ? titleOf(group) : box.width - 16;
    const height = open || isLoop ? 24 : box.height;
    button.append(shape("rect", { class: "head", x: open ? 4 : 0, y: open ? 2 : 0, width: open ? width : box.width, height: open ? height - 2 : height, rx: 6 }));
    button.append(text(10, 17 * Math.min(Math.max(drawing.unit * 0.9, 1), 1.2), `${sign}${name}`, width - 6, { size: 13, kind: "name" }));
    if (isLoop) found.append(strips.draw(group, box, detail.strip[1], state));
    else if (!open) {
      const lines = [leaves ?? count, warned ? `! ${counted(warned, "warning")}` : null, state.currentIn(group) ? say("the step shown is inside") : null].filter(Boolean);
      const step = 18 * Math.max(drawing.unit * 0.8, 1);
      lines.forEach((line, k) => 20 + step * (k + 1) <= box.height + 4 && button.append(text(10, 18 + step * (k + 1) - 2, line, box.width - 18, { kind: "small" })));
    }
    found.append(button, ...(warned ? mark(box) : []));
    return found;
  }

  // An edge for each use; those along which the step shown hands gradients on have their colours, and point backward.
  function edge({ from, to, way, uses }, state) {
    const all = uses.map(([i, k]) => ({ i, k, hue: state.edge(i, k), taken: state.takes(i) }));
    const chosen = all.filter(({ hue, taken }) => hue !== null || taken);
    const shown = (chosen.length ? chosen : all).slice(0, chosen.length ? 8 : typeof from === "number" && typeof to === "number" ? 4 : 1);
    const [a, b] = [boxes.get(from), boxes.get(to)];
    const apart = Math.min(chosen.length ? 110 : 14, (Math.min(a.width, b.width) * 0.8) / shown.length);
    return shown.map(({ i, k, hue, taken }, n) => {
      const aside = (n - (shown.length - 1) / 2) * apart;
      const points = [[a.x + a.width / 2 + aside, a.y + a.height], ...way, [b.x + b.width / 2 + aside, b.y]];
      const path = points.slice(1).map(([x, y], j) => {
        const [x0, y0] = points[j];
        if (x === x0) return `L${x} ${y}`;
        const bend = Math.max(Math.abs(y - y0) / 2, 10);
        return `C${x0} ${y0 + bend} ${x} ${y - bend} ${x} ${y}`;
      });
      const flows = lesson.nodes[lesson.nodes[i].inputs[k]].needsGradient;
      const hues = hue === null ? "" : hue % HUES;
      const kind = hue !== null ? `active hue${hues}` : taken ? "taken" : flows ? "flows" : "";
      const head = `url(#head${taken ? "-taken" : hues})`;
      const found = shape("path", {
        class: `edge ${kind}`,
        d: `M${points[0].join(" ")} ${path.join(" ")}`,
        "marker-end": state.phase === "backward" ? null : head,
        "marker-start": state.phase === "backward" && flows ? head : null,
      });
      if (hue !== null || taken) active.push({ path: found, node: i, position: k });
      return found;
    });
  }

  const heads = () =>
    shape(
      "defs",
      {},
      ...["", "-taken", ...Array.from({ length: HUES }, (_, k) => k)].map((kind) =>
        shape(
          "marker",
          { id: `head${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: kind === "" ? 9 : 13, markerHeight: kind === "" ? 9 : 13, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
          shape("path", { d: "M0 0 L8 4 L0 8 z", class: `head-of-edge${kind === "" ? "" : ` head${kind}`}` }),
        ),
      ),
    );

  // On each edge of a backward step what it does to the gradient, where nothing else stands.
  function labels(state) {
    const step = state.step;
    if (!step) return [];
    const taken = [...boxes].filter(([item]) => item !== groups.root).map(([item, box]) => (typeof item !== "number" && item.open ? { ...box, width: titleOf(item), height: detail.head } : box));
    const unit = Math.max(drawing.unit, 0.8);
    return active.slice(0, LABELS).map(({ path, position }) => {
      const each = step.to.find(({ input }) => input === position);
      const label = flow.contribution(step, each)[state.arriving ? "factor" : "label"];
      const shown = label.length > 26 ? `${label.slice(0, 25)}…` : label;
      const [width, height] = [widthOf(shown, 11, false) + 12, 17 * unit];
      const length = path.getTotalLength();
      const around = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74].map((share) => {
        const { x, y } = path.getPointAtLength(share * length);
        return { x: x - width / 2, y: y - height / 2, width, height };
      });
      const free = (box) => !taken.some((other) => box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height);
      const box = around.find(free) ?? around[0];
      taken.push(box);
      return shape(
        "g",
        { class: `edge-label hue${step.to.indexOf(each) % HUES}`, transform: `translate(${box.x} ${box.y})` },
        shape("title", {}, label),
        shape("rect", { width, height, rx: 5 * unit }),
        shape("text", { x: width / 2, y: height * 0.73, "text-anchor": "middle", style: "--size:11px" }, shown),
      );
    });
  }

  // The whole graph as it is open now, at its own size.
  function picture() {
    const { width, height } = boxes.get(groups.root);
    const whole = region.firstElementChild.cloneNode(true);
    whole.removeAttribute("style");
    for (const [name, value] of Object.entries({ viewBox: `-10 -24 ${width + 20} ${height + 34}`, width: width + 20, height: height + 34 })) whole.setAttribute(name, value);
    whole.querySelectorAll("[tabindex]").forEach((each) => each.removeAttribute("tabindex"));
    return { picture: whole, width: width + 20, height: height + 34 };
  }

  function draw(state) {
    const holder = document.activeElement?.closest?.("#graph [role=button]");
    const svg = shape("svg", { role: "group", "aria-label": say("The graph behind {root}", { root: lesson.nodes[lesson.root].name }) });
    camera.hold(svg);
    active = [];
    svg.append(heads());
    const closed = (item) => typeof item !== "number" && item !== groups.root;
    for (const [item, box] of boxes) if (closed(item) && item.open) svg.append(shape("rect", { class: `frame ${item.kind}`, ...box, rx: 9 }));
    svg.append(...edges.flatMap((each) => edge(each, state)));
    for (const [item, box] of boxes) if (closed(item)) svg.append(groupBox(item, box, state));
    for (const [item, box] of boxes) if (typeof item === "number") svg.append(nodeBox(item, box, state));
    region.replaceChildren(svg);
    svg.append(...labels(state));
    if (holder) region.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  const items = () => [...boxes.keys()].filter((item) => item !== groups.root).sort((a, b) => groups.first(a) - groups.first(b));

  // ---- what is open, and how much of it is shown

  const fits = (detail, boxes) => camera.scaleFor(boxes.get(groups.root)) >= detail.least;

  // Lay out anew; with the camera fitted, in as much detail as there is room for.
  function relay() {
    if (camera.isFitted()) {
      for (detail of Object.values(DETAILS)) {
        ({ boxes, edges, titleOf } = laidOut(detail));
        if (fits(detail, boxes)) break;
      }
      camera.fit(boxes.get(groups.root));
    } else {
      ({ boxes, edges, titleOf } = laidOut(detail));
    }
  }

  // Open groups as far as there is room for them, the outermost and earliest first.
  function arrange() {
    const depth = (group) => (group.parent ? 1 + depth(group.parent) : 0);
    const inTurn = (group) => group && (group.kind === "turn" || inTurn(group.parent));
    const candidates = groups.all.filter((group) => ["module", "run"].includes(group.kind) && !inTurn(group));
    const { compact } = DETAILS;
    const isRoom = () => fits(compact, laidOut(compact).boxes);
    const nodes = lesson.nodes.length;
    candidates.forEach((group) => (group.open = nodes <= 300));
    if (nodes > 300 || !isRoom()) {
      candidates.forEach((group) => (group.open = false));
      const order = candidates.map((group) => [depth(group), groups.first(group), group]).sort(([a, m], [b, n]) => a - b || m - n);
      for (const [, , group] of order.slice(0, nodes <= 1000 ? 20 : 4)) {
        group.open = group.parent.open;
        if (group.open && !isRoom()) group.open = false;
      }
    }
    relay();
  }

  function refit() {
    camera.fit();
    if (untouched) arrange();
    else relay();
    draw(ask());
  }

  // ---- what somebody does in the graph

  const byPath = (path) => items().find((item) => typeof item !== "number" && item.path === path);

  function toggle(group) {
    untouched = false;
    if (group.kind === "rest") {
      group.parent.chosen += group.side === "before" ? -1 : 1;
      focused = boxes.has(group) ? group : group.parent;
    } else {
      group.open = !group.open;
      focused = group;
    }
    relay();
    if (!boxes.has(focused)) focused = group.parent;
    draw(ask());
    camera.show(boxes.get(focused));
  }

  function chooseTurn(loop, turn) {
    untouched = false;
    [loop.open, loop.chosen, focused] = [true, turn, loop];
    relay();
    draw(ask());
  }

  // `choose(node)` is told, and `state()` is asked what to show.
  function connect({ choose, state }) {
    [focused, ask] = [lesson.root, state];
    const act = (target) => {
      if (target.dataset.group !== undefined) toggle(byPath(target.dataset.group));
      else choose((focused = +target.dataset.node));
    };
    region.addEventListener("click", (event) => {
      const area = event.target.closest("[data-strip]");
      const target = event.target.closest("[role=button]");
      if (area) {
        const loop = byPath(area.dataset.strip);
        chooseTurn(loop, strips.turnAt(loop, area, event));
      } else if (target) act(target);
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
        camera.show(boxes.get(focused));
        region.querySelector('[tabindex="0"]').focus({ preventScroll: true });
      } else if (event.key === "+" || event.key === "-") camera.zoom(event.key === "+" ? 1.25 : 0.8);
    });
    camera.connect({ redraw: () => draw(state()), refit });
    const on = (id, act) => document.getElementById(id).addEventListener("click", act);
    on("smaller", () => camera.zoom(0.8));
    on("larger", () => camera.zoom(1.25));
    on("fit", refit);
    arrange();
  }

  // Have a node, or the closed group that it is in, on the screen.
  function show(i, state) {
    if (groups.follow(i)) relay();
    focused = groups.visible(i);
    draw(state);
    camera.show(boxes.get(focused));
  }

  // Open everything around a node.
  function reveal(i) {
    untouched = false;
    groups.follow(i);
    for (let group = groups.owner.get(i); group; group = group.parent) group.open = true;
    relay();
  }

  return { connect, draw, show, reveal, picture, active: () => active, isShown: (i) => boxes.has(i) };
})();
