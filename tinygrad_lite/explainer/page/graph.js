// The graph on the screen: what is open of it, with values and gradients as they are at the step that is shown.

const graphView = (() => {
  const { shape, widthOf } = drawing;
  const region = document.getElementById("graph");
  const HUES = 5; // of contributions that add up, each with a dash pattern of its own
  const LABELS = 8; // of edges
  const EDGE = 4; // of a box, on which nothing is written
  const LETTERS = [26, 14, 8]; // of a label, the fewer the less room there is
  const SHARES = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82]; // of the length of an edge
  let detail = DETAILS.full;
  let { boxes, edges, titleOf } = laidOut(detail);
  let focused = null;
  let active = []; // the edges of the step shown: their paths, operations and positions, and where their labels are
  let untouched = true; // until somebody opens or closes a group
  let ask = null; // for the state of the page

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
      if (hue !== null || taken) active.push({ path: found, node: i, position: k, share: 0.5 });
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

  // What stands in the graph: boxes but for their edges, the titles of open groups, and the signs of warnings above them.
  function occupied(state) {
    const standing = [];
    for (const [item, box] of boxes) {
      if (item === groups.root) continue;
      const isOpen = typeof item !== "number" && item.open;
      const edge = typeof item === "number" ? EDGE : EDGE / 2; // the size of a closed group stands lower
      standing.push(isOpen ? { ...box, width: titleOf(item), height: detail.head } : { ...box, y: box.y + edge, height: box.height - 2 * edge });
      const isMarked = typeof item === "number" ? lesson.nodes[item].marks : state.marksIn(item);
      if (isMarked) standing.push(boxViews.placeOfMark(box));
    }
    return standing;
  }

  const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

  // Where a label of this size can stand on a path, or right beside it; undefined if everywhere is something else.
  function placeOn(path, width, height, taken) {
    const length = path.getTotalLength();
    for (const aside of [0, width / 2 + 4, -width / 2 - 4]) {
      for (const share of SHARES) {
        const { x, y } = path.getPointAtLength(share * length);
        const box = { x: x + aside - width / 2, y: y - height / 2, width, height, share };
        if (!taken.some((other) => meet(box, other))) return box;
      }
    }
    return undefined;
  }

  // The labels of a step, each of so many letters at most, where there is room for them.
  function placed(step, most, standing, height, part) {
    const taken = [...standing];
    return active.slice(0, LABELS).flatMap((entry) => {
      const each = step.to.find(({ input }) => input === entry.position);
      const label = flow.contribution(step, each)[part];
      const shown = label.length > most ? `${label.slice(0, most - 1)}…` : label;
      const box = placeOn(entry.path, widthOf(shown, 11, false) + 12, height, taken);
      if (!box) return [];
      taken.push(box);
      return [{ entry, each, label, shown, box }];
    });
  }

  // On the edges of a backward step what each does to the gradient, shorter where there is less room. Where something
  // else stands all along an edge there is nothing: the panel beside the graph says it, too.
  function labels(state) {
    const { step } = state;
    if (!step) return [];
    const [standing, height] = [occupied(state), 17 * Math.max(drawing.unit, 0.8)];
    const attempts = LETTERS.map((most) => placed(step, most, standing, height, state.arriving ? "factor" : "label"));
    const best = attempts.reduce((a, b) => (b.length > a.length ? b : a));
    return best.map(({ entry, each, label, shown, box }) => {
      entry.share = box.share;
      return shape(
        "g",
        { class: `edge-label hue${step.to.indexOf(each) % HUES}`, transform: `translate(${box.x} ${box.y})` },
        shape("title", {}, label),
        shape("rect", { width: box.width, height, rx: 0.3 * height }),
        shape("text", { x: box.width / 2, y: height * 0.73, "text-anchor": "middle", style: "--size:11px" }, shown),
      );
    });
  }

  const MARGIN = { left: 10, top: 24, right: 10, bottom: 10 }; // around a picture of the whole graph

  // The whole graph as it is open now, drawn at its own size, at a state of the page.
  function picture(state = ask()) {
    const { width, height } = boxes.get(groups.root);
    draw(state, 1);
    const whole = region.firstElementChild.cloneNode(true);
    draw(ask());
    const size = { width: width + MARGIN.left + MARGIN.right, height: height + MARGIN.top + MARGIN.bottom };
    whole.removeAttribute("style");
    for (const [name, value] of Object.entries({ viewBox: `${-MARGIN.left} ${-MARGIN.top} ${size.width} ${size.height}`, ...size })) whole.setAttribute(name, value);
    whole.querySelectorAll("[tabindex]").forEach((each) => each.removeAttribute("tabindex"));
    return { picture: whole, ...size };
  }

  const SHEET = [680, 860]; // the room on a sheet of paper, in pixels, below a title
  const SHEETS = 3;

  // The whole graph for paper, at the start, with as much of it open as can be read on a few sheets: a picture for each.
  function sheets() {
    const [laid, open] = [{ detail, boxes, edges, titleOf }, parts.map((group) => [group, group.open, group.frameless])];
    let drawn = [];
    for (let n = 1; n <= SHEETS; n++) {
      const room = [SHEET[0], n * SHEET[1]];
      drawn = camera.within(room, () => {
        if (untouched) arrange();
        else relay();
        return slices();
      });
      if (!untouched || parts.every((group) => group.open)) break;
    }
    for (const [group, ...before] of open) [group.open, group.frameless] = before;
    ({ detail, boxes, edges, titleOf } = laid);
    draw(ask());
    return drawn;
  }

  // A picture in slices, each as high as a sheet at most, and cut where no box stands if there is such a place.
  function slices() {
    const { picture: whole, width, height } = picture(ask(0));
    const scale = Math.min(1, SHEET[0] / width);
    const most = SHEET[1] / scale;
    const standing = [...boxes].filter(([item]) => typeof item === "number" || !item.open).map(([, box]) => box);
    const isFree = (y) => !standing.some((box) => box.y - EDGE < y && y < box.y + box.height + EDGE);
    const lines = standing.map((box) => box.y + box.height + detail.gapY / 2).filter(isFree);
    const found = [];
    for (let from = -MARGIN.top; from < height - MARGIN.top; ) {
      const rest = height - MARGIN.top - from;
      const to = rest <= most ? from + rest : Math.max(...lines.filter((y) => from + most / 2 < y && y <= from + most), -Infinity);
      const size = (Number.isFinite(to) ? to : from + most) - from;
      const slice = whole.cloneNode(true);
      slice.setAttribute("viewBox", `${-MARGIN.left} ${from} ${width} ${size}`);
      slice.setAttribute("width", width * scale);
      slice.setAttribute("height", size * scale);
      found.push(slice);
      from += size;
    }
    return found;
  }

  function draw(state, unit = null) {
    const holder = document.activeElement?.closest?.("#graph [role=button]");
    const svg = shape("svg", { role: "group", "aria-label": say("The graph behind {root}", { root: lesson.nodes[lesson.root].name }) });
    camera.hold(svg);
    drawing.unit = unit ?? drawing.unit;
    active = [];
    svg.append(heads());
    const isGroup = (item) => typeof item !== "number" && item !== groups.root;
    for (const [item, box] of boxes) if (isGroup(item) && item.open) svg.append(shape("rect", { class: `frame ${item.kind}`, ...box, rx: 9 }));
    svg.append(...edges.flatMap((each) => edge(each, state)));
    for (const [item, box] of boxes) if (isGroup(item)) svg.append(boxViews.group(item, box, state, { focused, strip: detail.strip, titleWidth: titleOf(item) }));
    const roomy = drawing.unit < 1.12 && detail.name === "full";
    for (const [item, box] of boxes) if (typeof item === "number") svg.append(boxViews.node(item, box, state, { roomy, focused }));
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

  const parts = groups.all.filter((group) => ["module", "run"].includes(group.kind) && !inTurn(group));
  const SMALL = 300; // nodes of a graph that is tried with everything open
  const TRIES = 20;
  const SMALLEST = 0.5; // the least scale at which what is around the step is opened

  function inTurn(group) {
    return group !== null && (group.kind === "turn" || inTurn(group.parent));
  }

  // Open groups as far as there is room for them: those around a node first, then the outermost and earliest.
  function arrange(around) {
    const isRoom = (least = DETAILS.compact.least) => camera.scaleFor(laidOut(DETAILS.compact).boxes.get(groups.root)) >= least;
    const nodes = lesson.nodes.length;
    parts.forEach((group) => {
      group.open = nodes <= SMALL;
      group.frameless = group.open && group.kind === "run"; // which nobody has to close where there is room for all
    });
    if (nodes > SMALL || !isRoom()) {
      const holding = new Set();
      for (let group = groups.owner.get(around); group; group = group.parent) holding.add(group);
      const depth = (group) => (group.parent ? 1 + depth(group.parent) : 0);
      const rank = (group) => [+!holding.has(group), depth(group), groups.first(group)];
      const before = ([a, b, c], [x, y, z]) => a - x || b - y || c - z;
      const order = parts.map((group) => [rank(group), group]).sort(([a], [b]) => before(a, b));
      parts.forEach((group) => (group.open = group.frameless = false));
      for (const [, group] of order.slice(0, nodes <= 1000 ? TRIES : TRIES / 5)) {
        group.open = group.parent.open;
        if (group.open && !isRoom(holding.has(group) ? SMALLEST : undefined)) group.open = false;
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
    lookAt(focused);
  }

  // What somebody opened, larger than the rest where all of it is too small to be read.
  function lookAt(item) {
    const { least } = DETAILS.compact;
    if (item.open && camera.isFitted() && camera.scale() < least) camera.focus(boxes.get(item), least);
    else camera.show(boxes.get(item));
    draw(ask());
  }

  function chooseTurn(loop, turn) {
    untouched = false;
    [loop.open, loop.chosen, focused] = [true, turn, loop];
    relay();
    lookAt(loop);
  }

  // `choose(node)` gets the chosen node, and `state()` says what to show.
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
    const moved = groups.follow(i);
    const standIn = groups.visible(i);
    if (untouched && camera.isFitted() && lesson.nodes.length <= 1000 && ["module", "run"].includes(standIn.kind)) arrange(i);
    else if (moved) relay();
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

  return { connect, draw, show, reveal, picture, sheets, active: () => active, isShown: (i) => boxes.has(i) };
})();
