// Where each node stands: modules and long runs of operations are groups, laid out in layers from top to bottom, each
// group by itself. A group that is closed is one box.

const BOX = { width: 214, height: 92, gapX: 26, gapY: 38, padding: 14, head: 30 };
const RUN = 50; // operations side by side that are not gathered in a group

const groups = (() => {
  const root = { name: "", path: "", items: [], parent: null, open: true };
  const byPath = new Map([["", root]]);
  const owner = new Map(); // the group of each node

  function groupOf(path) {
    if (!byPath.has(path)) {
      const at = path.lastIndexOf(".");
      const parent = groupOf(at < 0 ? "" : path.slice(0, at));
      const group = { name: path.slice(at + 1), path, items: [], parent, open: lesson.nodes.length <= 60 };
      byPath.set(path, group);
      parent.items.push(group);
    }
    return byPath.get(path);
  }

  const known = new Map();
  function first(item) {
    if (!known.has(item)) {
      const leaf = typeof item === "number" ? (lesson.forwardPosition(item) ?? firstUse(item)) : null;
      known.set(item, leaf ?? item.items.reduce((least, each) => Math.min(least, Math.ceil(first(each))), Infinity));
    }
    return known.get(item);
  }
  const firstUse = (leaf) => lesson.forwardPosition(lesson.uses[leaf][0]) - 0.5;

  // Runs of many items as groups of groups.
  function gather(group) {
    if (group.items.length <= RUN) return;
    group.items.sort((a, b) => first(a) - first(b));
    const size = RUN ** Math.max(Math.ceil(Math.log(group.items.length) / Math.log(RUN)) - 1, 1);
    const parts = [];
    for (let k = 0; k < group.items.length; k += size) parts.push(group.items.slice(k, k + size));
    group.items = parts.map((items, k) => {
      const part = { name: "", path: `${group.path}#${k}`, items, parent: group, open: false };
      items.forEach((item) => (typeof item === "number" ? owner.set(item, part) : (item.parent = part)));
      const counts = items.filter((item) => typeof item !== "number" || lesson.isOperation(lesson.nodes[item])).map(first).map(Math.ceil);
      part.name = `operations ${Math.min(...counts)} to ${Math.min(...counts) + operationsIn(part) - 1}`;
      gather(part);
      return part;
    });
  }

  const operationsIn = (item) =>
    typeof item === "number"
      ? +lesson.isOperation(lesson.nodes[item])
      : item.items.reduce((sum, each) => sum + operationsIn(each), 0);

  lesson.nodes.forEach((node, i) => {
    const group = groupOf(node.module);
    group.items.push(i);
    owner.set(i, group);
  });
  [...byPath.values()].forEach(gather);

  // What stands for a node on the screen: itself, or the outermost closed group that it is in.
  function visible(i) {
    let shown = i;
    for (let group = owner.get(i); group; group = group.parent) if (!group.open) shown = group;
    return shown;
  }

  return { root, owner, visible, operationsIn, first };
})();

// The boxes on the screen, for each node or closed group and each open group its corner and size; and the ways of edges
// past boxes that stand between their ends: `way(from, to)` has the points on it.
function laidOut() {
  const sizes = new Map();
  const places = new Map(); // relative to the group's corner
  const passages = new Map(); // of each group: where its edges pass its layers, by "from>to"; "" is outside
  const BESIDE = 26; // the width that a passing edge takes of a layer

  const keys = new Map();
  const keyOf = (item) => {
    if (item === undefined) return "";
    if (!keys.has(item)) keys.set(item, String(keys.size + 1));
    return keys.get(item);
  };

  function inner(group) {
    const within = new Map(); // the item of this group that a node is in
    const note = (item, top) => (typeof item === "number" ? within.set(item, top) : item.items.forEach((each) => note(each, top)));
    group.items.forEach((item) => note(item, item));
    for (const item of group.items) {
      if (typeof item === "number" || !item.open) sizes.set(item, [BOX.width, BOX.height]);
      else inner(item);
    }
    const edges = new Map(); // [from, to], where undefined is outside
    const join = (from, to) => from !== to && edges.set(`${keyOf(from)}>${keyOf(to)}`, [from, to]);
    for (const [node, item] of within) {
      for (const x of lesson.nodes[node].inputs ?? []) if (typeof x === "number") join(within.get(x), item);
      for (const user of lesson.uses[node]) if (!within.has(user)) join(item, undefined);
    }
    const before = new Map(group.items.map((item) => [item, []]));
    const after = new Map(group.items.map((item) => [item, []]));
    const goesOn = ([from, to]) => from !== undefined && to !== undefined && groups.first(from) < groups.first(to);
    for (const [from, to] of [...edges.values()].filter(goesOn)) {
      before.get(to).push(from);
      after.get(from).push(to);
    }
    const ordered = [...group.items].sort((a, b) => groups.first(a) - groups.first(b));
    const depth = new Map();
    for (const item of ordered) depth.set(item, Math.max(0, ...before.get(item).map((each) => depth.get(each) + 1)));
    for (const item of ordered) {
      const users = after.get(item).map((each) => depth.get(each));
      if (!before.get(item).length && users.length) depth.set(item, Math.min(...users) - 1); // beside what uses it
    }
    const layers = Array.from({ length: Math.max(...depth.values()) + 1 }, () => []);
    for (const item of ordered) layers[depth.get(item)].push(item);
    passages.set(group, passing(edges, depth, layers, before));
    place(group, layers, before);
  }

  // A passage through each layer between the ends of an edge.
  function passing(edges, depth, layers, before) {
    const found = new Map();
    for (const [key, [from, to]] of edges) {
      const first = from === undefined ? 0 : depth.get(from) + 1;
      const last = to === undefined ? layers.length - 1 : depth.get(to) - 1;
      const passages = [];
      for (let layer = first; layer <= last; layer++) {
        const passage = { passage: true, enters: from === undefined };
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
  function place(group, layers, before) {
    const at = new Map();
    for (const layer of layers) {
      const wish = (item) => {
        const above = before.get(item).filter((each) => at.has(each)).map((each) => at.get(each));
        if (!above.length) return item.enters ? -Infinity : Infinity;
        return above.reduce((a, b) => a + b, 0) / above.length;
      };
      const wishes = new Map(layer.map((item) => [item, wish(item)]));
      const order = (item) => (item.passage ? 0 : groups.first(item));
      layer.sort((a, b) => (wishes.get(a) === wishes.get(b) ? order(a) - order(b) : wishes.get(a) - wishes.get(b)));
      const width = layer.reduce((sum, item) => sum + sizes.get(item)[0], (layer.length - 1) * BOX.gapX);
      let x = -width / 2;
      for (const item of layer) {
        places.set(item, [x, 0]);
        at.set(item, x + sizes.get(item)[0] / 2);
        x += sizes.get(item)[0] + BOX.gapX;
      }
    }
    const all = layers.flat();
    const left = Math.min(0, ...all.map((item) => places.get(item)[0]));
    const right = Math.max(0, ...all.map((item) => places.get(item)[0] + sizes.get(item)[0]));
    let y = group === groups.root ? BOX.padding : BOX.head;
    for (const layer of layers) {
      const height = Math.max(...layer.map((item) => sizes.get(item)[1]));
      for (const item of layer) if (item.passage) sizes.set(item, [BESIDE, height]);
      for (const item of layer) places.set(item, [places.get(item)[0] - left + BOX.padding, y + (height - sizes.get(item)[1]) / 2]);
      y += height + BOX.gapY;
    }
    sizes.set(group, [right - left + 2 * BOX.padding, y - BOX.gapY + BOX.padding]);
  }

  inner(groups.root);
  const boxes = new Map();
  (function put(item, x, y) {
    const [width, height] = sizes.get(item);
    boxes.set(item, { x, y, width, height });
    if (typeof item === "number" || !item.open) return;
    item.items.forEach((each) => put(each, x + places.get(each)[0], y + places.get(each)[1]));
  })(groups.root, 0, 0);

  const parentOf = (item) => (typeof item === "number" ? groups.owner.get(item) : item.parent);
  const chain = (item) => {
    const found = [item];
    while (found.at(-1) !== groups.root) found.push(parentOf(found.at(-1)));
    return found;
  };

  function way(from, to) {
    const [up, down] = [chain(from), chain(to)];
    const common = up.find((group) => down.includes(group));
    const points = (group, a, b) => {
      const corner = boxes.get(group);
      return (passages.get(group).get(`${keyOf(a)}>${keyOf(b)}`) ?? []).flatMap((each) => {
        const [x, y] = [corner.x + places.get(each)[0] + BESIDE / 2, corner.y + places.get(each)[1]];
        return [[x, y], [x, y + sizes.get(each)[1]]];
      });
    };
    const [i, j] = [up.indexOf(common), down.indexOf(common)];
    return [
      ...up.slice(1, i).flatMap((group, k) => points(group, up[k], undefined)),
      ...points(common, up[i - 1], down[j - 1]),
      ...down.slice(1, j).map((group, k) => points(group, undefined, down[k])).reverse().flat(),
    ];
  }

  return { boxes, way };
}
