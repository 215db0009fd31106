// Where each box stands: in layers from top to bottom, each group by itself; and the edges between boxes, with their ways
// past what stands between their ends.

// How much a box shows, and how far apart boxes are: with its formula and captions, or without, where there is little
// room; and the least scale at which this can be read.
const DETAILS = {
  roomy: { name: "full", least: 0.95, width: 214, height: 92, strip: [440, 140], gapX: 40, gapY: 72, padding: 18, head: 28, entry: 24, letter: 9 },
  full: { name: "full", least: 0.9, width: 214, height: 92, strip: [400, 132], gapX: 26, gapY: 40, padding: 14, head: 28, entry: 16, letter: 9 },
  compact: { name: "compact", least: 0.6, width: 150, height: 48, strip: [320, 104], gapX: 16, gapY: 26, padding: 10, head: 26, entry: 12, letter: 12 },
};

function laidOut(detail) {
  const sizes = new Map();
  const places = new Map(); // relative to the group's corner
  const passages = new Map(); // of each group: where its edges pass its layers, by "from>to"; "" is outside
  const BESIDE = 22; // the width that a passing edge takes of a layer

  const keys = new Map();
  const keyOf = (item) => {
    if (item === undefined) return "";
    if (!keys.has(item)) keys.set(item, String(keys.size + 1));
    return keys.get(item);
  };
  const chain = (item) => {
    const found = [item];
    while (found.at(-1) !== groups.root) found.push(groups.frameOf(found.at(-1)));
    return found;
  };

  // The edges between what is on the screen, each with the inputs that it stands for, as [operation, position].
  const standIn = groups.standIns();
  const shownFor = (i) => standIn(groups.owner.get(i)) ?? i;
  const edges = new Map();
  for (const i of lesson.operations) {
    const to = shownFor(i);
    lesson.nodes[i].inputs.forEach((x, k) => {
      const from = typeof x === "number" ? shownFor(x) : to;
      if (from === to) return;
      const key = `${keyOf(from)}>${keyOf(to)}`;
      if (!edges.has(key)) edges.set(key, { from, to, uses: [] });
      edges.get(key).uses.push([i, k]);
    });
  }

  // The parts of these edges in each group, as [from, to], where undefined is outside.
  const within = new Map();
  const join = (group, from, to) => {
    if (!within.has(group)) within.set(group, new Map());
    within.get(group).set(`${keyOf(from)}>${keyOf(to)}`, [from, to]);
  };
  for (const edge of edges.values()) {
    const [up, down] = [chain(edge.from), chain(edge.to)];
    const common = up.find((group) => down.includes(group));
    const [i, j] = [up.indexOf(common), down.indexOf(common)];
    edge.exits = up.slice(1, i).map((group, k) => [group, up[k], undefined]);
    edge.crosses = [common, up[i - 1], down[j - 1]];
    edge.enters = down.slice(1, j).map((group, k) => [group, undefined, down[k]]).reverse();
    for (const part of [...edge.exits, edge.crosses, ...edge.enters]) join(...part);
  }

  // Leaves, alone or in a group, can stand above all that uses them, also above a module that began before it read them.
  const isComputed = (item) => groups.operationsIn(item) > 0;

  function inner(group) {
    const shown = groups.items(group);
    for (const item of shown) {
      if (typeof item === "number" || item.kind === "rest") sizes.set(item, [detail.width, detail.height]);
      else if (!item.open) sizes.set(item, item.kind === "loop" ? detail.strip : [detail.width, detail.height]);
      else inner(item);
    }
    const parts = within.get(group) ?? new Map();
    const before = new Map(shown.map((item) => [item, []]));
    const after = new Map(shown.map((item) => [item, []]));
    for (const [from, to] of parts.values()) {
      if (from === undefined || to === undefined || (isComputed(from) && groups.first(from) >= groups.first(to))) continue;
      before.get(to).push(from);
      after.get(from).push(to);
    }
    const ordered = [...shown].sort((a, b) => isComputed(a) - isComputed(b) || groups.first(a) - groups.first(b));
    const depth = new Map();
    for (const item of ordered) depth.set(item, Math.max(0, ...before.get(item).map((each) => depth.get(each) + 1)));
    for (const item of ordered) {
      const users = after.get(item).map((each) => depth.get(each));
      if (!isComputed(item) && users.length) depth.set(item, Math.min(...users) - 1); // beside what uses it
    }
    const layers = Array.from({ length: Math.max(...depth.values()) + 1 }, () => []);
    for (const item of ordered) layers[depth.get(item)].push(item);
    passages.set(group, passing(parts, depth, layers, before));
    place(group, layers, before, [...parts.values()].some(([from]) => from === undefined));
  }

  // A passage through each layer between the ends of an edge.
  function passing(parts, depth, layers, before) {
    const found = new Map();
    for (const [key, [from, to]] of parts) {
      const first = from === undefined ? 0 : depth.get(from) + 1;
      const last = to === undefined ? layers.length - 1 : depth.get(to) - 1;
      const passages = [];
      for (let layer = first; layer <= last; layer++) {
        const passage = { passage: true };
        sizes.set(passage, [BESIDE, 0]);
        before.set(passage, passages.length ? [passages.at(-1)] : from === undefined ? [] : [from]);
        layers[layer].push(passage);
        passages.push(passage);
      }
      if (passages.length && to !== undefined) before.set(to, [...before.get(to), passages.at(-1)]);
      found.set(key, passages);
    }
    return found;
  }

  // The items of each layer side by side, each as near as can be to those that it comes from.
  function place(group, layers, before, entered) {
    const at = new Map();
    for (const layer of layers) {
      const wish = (item) => {
        const above = before.get(item).filter((each) => at.has(each)).map((each) => at.get(each));
        return above.length ? above.reduce((a, b) => a + b, 0) / above.length : Infinity;
      };
      const wishes = new Map(layer.map((item) => [item, wish(item)]));
      const order = (item) => (item.passage ? 0 : groups.first(item));
      layer.sort((a, b) => (wishes.get(a) === wishes.get(b) ? order(a) - order(b) : wishes.get(a) - wishes.get(b)));
      const width = layer.reduce((sum, item) => sum + sizes.get(item)[0], (layer.length - 1) * detail.gapX);
      let x = -width / 2;
      for (const item of layer) {
        places.set(item, [x, 0]);
        at.set(item, x + sizes.get(item)[0] / 2);
        x += sizes.get(item)[0] + detail.gapX;
      }
    }
    const all = layers.flat();
    const left = Math.min(0, ...all.map((item) => places.get(item)[0]));
    const right = Math.max(0, ...all.map((item) => places.get(item)[0] + sizes.get(item)[0]));
    let y = group === groups.root ? detail.padding : headOf(group) + (entered ? detail.entry : 0);
    for (const layer of layers) {
      const height = Math.max(...layer.map((item) => sizes.get(item)[1]));
      for (const item of layer) if (item.passage) sizes.set(item, [BESIDE, height]);
      for (const item of layer) places.set(item, [places.get(item)[0] - left + detail.padding, y + (height - sizes.get(item)[1]) / 2]);
      y += height + detail.gapY;
    }
    const least = group.kind === "loop" ? detail.strip[0] : 0;
    const spare = Math.max(least - (right - left), 0) / 2;
    for (const item of all) places.set(item, [places.get(item)[0] + spare, places.get(item)[1]]);
    sizes.set(group, [right - left + 2 * (spare + detail.padding), y - detail.gapY + detail.padding]);
  }

  // The height of a group's title; an open loop has its strip there.
  const headOf = (group) => (group.kind === "loop" ? detail.strip[1] + 6 : detail.head);

  inner(groups.root);
  const boxes = new Map();
  (function put(item, x, y) {
    const [width, height] = sizes.get(item);
    boxes.set(item, { x, y, width, height });
    if (typeof item === "number" || !item.open) return;
    groups.items(item).forEach((each) => put(each, x + places.get(each)[0], y + places.get(each)[1]));
  })(groups.root, 0, 0);

  // How wide the title of an open group is, which edges go past.
  const titleOf = (group) => Math.min(boxes.get(group).width - 40, group.kind === "loop" ? Infinity : 32 + detail.letter * groups.name(group).length);

  const entries = new Map(); // how many edges enter a group beside its title already
  function wayOf({ exits, crosses, enters, to }) {
    const passed = ([group, a, b]) => {
      const corner = boxes.get(group);
      return passages.get(group).get(`${keyOf(a)}>${keyOf(b)}`).flatMap((each) => {
        const [x, y] = [corner.x + places.get(each)[0] + BESIDE / 2, corner.y + places.get(each)[1]];
        return [[x, y], [x, y + sizes.get(each)[1]]];
      });
    };
    const entered = enters.flatMap((part) => {
      const [group] = part;
      const corner = boxes.get(group);
      const inside = passed(part);
      const aim = inside.length ? inside[0][0] : boxes.get(to).x + boxes.get(to).width / 2;
      const least = corner.x + titleOf(group) + 8;
      let x = aim;
      if (aim < least) {
        const count = entries.get(group) ?? 0;
        entries.set(group, count + 1);
        x = Math.min(least + 9 * count, corner.x + corner.width - 6);
      }
      return [[x, corner.y - 2], [x, corner.y + headOf(group)], ...inside];
    });
    return [...exits.flatMap(passed), ...passed(crosses), ...entered];
  }
  for (const edge of edges.values()) edge.way = wayOf(edge);

  return { boxes, edges: [...edges.values()], titleOf };
}
