// What the boxes of the graph stand for. Calls of modules, loops, and long runs of operations are groups: a group that is
// closed is one box. Each call of a module is a box of its own, since what comes back to it would go up the page. A loop
// that is open shows one turn, between all turns before it and all turns after it.

const RUN = 12; // items side by side that are not gathered in groups
const PARTS = 10; // of these groups, so that they fit on a screen
const NAMES = 8; // that say what a group does

const groups = (() => {
  const { nodes, operations, uses } = lesson;
  let all = [];
  const make = (kind, name, path, parent, more) => {
    const group = { kind, name, path, parent, items: [], open: false, ...more };
    all.push(group);
    return group;
  };
  const root = make("root", "the model", "", null, { open: true, base: "" });
  const owner = new Map(); // the group of each node
  const moduleGroups = new Map([[root, new Map()]]); // of the root and of each turn: the calls of its modules, by their paths

  // The group of a module's call inside the root or a turn, of which `base` is the module that the whole turn belongs to:
  // the one that goes on at an operation's place k in forward order; or, for a leaf that is first used there, the first
  // one, or none of them if they all come later.
  function inside(place, path, k, isLeaf = false) {
    if (path === place.base || (place.base && !path.startsWith(`${place.base}.`))) return place;
    const known = moduleGroups.get(place);
    if (!known.has(path)) known.set(path, []);
    const calls = known.get(path);
    if (!calls.length || (isLeaf ? calls[0].from > k : calls.at(-1).until < k - 1)) {
      const at = path.lastIndexOf(".");
      const parent = at < 0 || at < place.base.length ? place : inside(place, path.slice(0, at), k, isLeaf);
      const [own, call] = [place === root ? path : `${place.path}/${path}`, isLeaf && calls.length ? 0 : calls.length + 1];
      const made = make("module", path.slice(at + 1), call === 1 ? own : `${own}(${call})`, parent, { call, from: k, until: k });
      calls[isLeaf ? "unshift" : "push"](made);
      parent.items.push(made);
    }
    return calls.at(isLeaf ? 0 : -1);
  }

  function commonModule(first, last) {
    let common = nodes[operations[first]].module.split(".");
    for (let k = first + 1; k < last; k++) {
      const other = nodes[operations[k]].module.split(".");
      common = common.slice(0, common.findIndex((part, j) => part !== other[j]) >>> 0);
    }
    return common.join(".");
  }

  // What a turn does, in the names of its modules and operations.
  function body(start, length, base) {
    const names = [];
    for (let k = start; k < start + length; k++) {
      const node = nodes[operations[k]];
      const own = (base ? node.module.slice(base.length + 1) : node.module).replace(/^(\d+(\.|$))+/, "");
      const name = own ? own.split(".")[0] : node.op;
      if (names.at(-1) !== name) names.push(name);
    }
    return names.join(", ");
  }

  function open(loop, t) {
    if (!loop.items[t]) {
      loop.items[t] = make("turn", "", `${loop.path}@${t + 1}`, loop, { base: loop.base, turn: t, open: true });
      moduleGroups.set(loop.items[t], new Map());
    }
    return loop.items[t];
  }

  const around = []; // the loops that an operation is in, the outermost first
  const turnAt = (k) => (around.length ? open(around.at(-1), Math.floor((k - around.at(-1).start) / around.at(-1).length)) : root);
  let next = 0;
  operations.forEach((i, k) => {
    while (around.length && k >= around.at(-1).stop) around.pop();
    for (; lesson.data.loops[next]?.[0] === k; next++) {
      const [start, length, turns] = lesson.data.loops[next];
      const stop = start + length * turns;
      const [base, place] = [commonModule(start, stop), turnAt(k)];
      const parent = inside(place, base, k);
      const loop = make("loop", `${grouped(turns)} × ${body(start, length, base)}`, `${parent.path}×${start}`, parent, { base, start, length, turns, stop, chosen: 0 });
      for (const side of ["before", "after"]) loop[side] = { kind: "rest", side, path: `${loop.path}${side}`, parent: loop, items: [], open: false };
      parent.items.push(loop);
      around.push(loop);
    }
    put(i, inside(turnAt(k), nodes[i].module, k));
    for (let group = owner.get(i); group; group = group.parent) group.until = k;
  });

  function put(i, group) {
    group.items.push(i);
    owner.set(i, group);
  }

  // A leaf is in the innermost turn that has all of its uses, and there in its module.
  function placeOf(group) {
    let place = group;
    while (place !== root && place.kind !== "turn") place = place.parent;
    return place;
  }
  const depthOf = (place) => (place === root ? 0 : 1 + depthOf(placeOf(place.parent)));
  for (const i of lesson.leaves) {
    let place = placeOf(owner.get(uses[i][0]));
    for (const user of uses[i]) {
      let other = placeOf(owner.get(user));
      while (other !== place) {
        if (depthOf(other) > depthOf(place)) other = placeOf(other.parent);
        else place = placeOf(place.parent);
      }
      if (place === root) break;
    }
    put(i, inside(place, nodes[i].module, lesson.forwardPosition(uses[i][0]) - 1, true));
  }

  // A module that is one operation and nothing else is that operation.
  const trivial = new Set();
  for (const group of all) {
    if (group.kind !== "module" || group.items.length !== 1 || typeof group.items[0] !== "number") continue;
    const { items: [node], parent } = group;
    parent.items[parent.items.indexOf(group)] = node;
    owner.set(node, parent);
    trivial.add(group);
  }
  all = all.filter((group) => !trivial.has(group));

  const known = new Map();
  // When a node or a group has its first turn in the forward pass; a leaf just before its first use.
  function first(item) {
    if (typeof item === "number") return lesson.forwardPosition(item) ?? lesson.forwardPosition(uses[item][0]) - 0.5;
    if (item.kind === "loop") return item.start + 1;
    if (item.kind === "rest") return item.side === "before" ? item.parent.start + 1 : item.parent.start + 1 + (item.parent.chosen + 1) * item.parent.length;
    if (!known.has(item)) {
      const least = item.items.reduce((all, each) => Math.min(all, first(each)), Infinity);
      known.set(item, operationsIn(item) ? Math.ceil(least) : least);
    }
    return known.get(item);
  }
  function last(item) {
    if (typeof item === "number") return lesson.forwardPosition(item) ?? 0;
    return item.kind === "loop" ? item.stop : item.items.reduce((most, each) => Math.max(most, last(each)), 0);
  }

  function operationsIn(item) {
    if (typeof item === "number") return +lesson.isOperation(nodes[item]);
    if (item.kind === "loop") return item.stop - item.start;
    if (item.kind === "rest") return item.parent.length * (item.side === "before" ? item.parent.chosen : item.parent.turns - item.parent.chosen - 1);
    return item.items.reduce((sum, each) => sum + operationsIn(each), 0);
  }

  const leavesIn = (item) => (typeof item === "number" ? +!lesson.isOperation(nodes[item]) : item.items.reduce((sum, each) => sum + leavesIn(each), 0));

  // Where an item stands among those of a group; a leaf before the item that uses it first, which may have begun before,
  // and a module of leaves alone where the first of them stands.
  function placeIn(group, item) {
    if (operationsIn(item)) return first(item);
    if (typeof item !== "number") return Math.min(...item.items.map((each) => placeIn(group, each)));
    let [user, around] = [uses[item][0], owner.get(uses[item][0])];
    while (around && around !== group) [user, around] = [around, around.parent];
    return around ? first(user) - 0.5 : first(item);
  }

  // Items in parts, of which none is much longer than another.
  function evenly(items) {
    const count = Math.min(Math.ceil(items.length / RUN), PARTS);
    return Array.from({ length: count }, (_, k) => items.slice(Math.floor((k * items.length) / count), Math.floor(((k + 1) * items.length) / count)));
  }

  // Items in parts, with each loop by itself, since it says more than how many operations it has: of what is between
  // loops, the longest are parts, and as few as leave few enough. Nothing if there are no loops, or too many.
  function besideLoops(items) {
    const isLoop = (item) => item.kind === "loop";
    const stretches = items.reduce((all, item, k) => {
      if (!k || isLoop(item) || isLoop(items[k - 1])) all.push([]);
      all.at(-1).push(item);
      return all;
    }, []);
    if (stretches.length === 1 || stretches.length > RUN) return null;
    const longest = stretches.slice().sort((a, b) => b.length - a.length);
    const apart = (stretch) => stretch.map((item) => [item]);
    for (const gathered of [evenly, (stretch) => [stretch]]) {
      for (let n = 1; n <= longest.length; n++) {
        const found = stretches.flatMap((stretch) => (longest.indexOf(stretch) < n ? gathered(stretch) : apart(stretch)));
        if (found.length <= RUN) return found;
      }
    }
    return null;
  }

  // Runs of many items as groups, of which there are not too many either.
  function gather(group) {
    if (group.items.length <= RUN) return;
    group.items.sort((a, b) => placeIn(group, a) - placeIn(group, b));
    group.items = (besideLoops(group.items) ?? evenly(group.items)).map((items, k) => {
      if (items.length === 1) return items[0];
      const part = make("run", "", `${group.path}#${k}`, group);
      part.items = items;
      items.forEach((item) => (typeof item === "number" ? owner.set(item, part) : (item.parent = part)));
      if (operationsIn(part)) part.range = [Math.ceil(first(part)), last(part)];
      gather(part);
      return part;
    });
  }
  all.slice().filter((group) => group.kind !== "loop").forEach(gather);
  for (const turn of all.filter(({ kind }) => kind === "turn")) {
    const parts = turn.items.filter(operationsIn);
    if (parts.length === 1 && typeof parts[0] !== "number") parts[0].open = parts[0].kind === "module";
  }

  // The items that an open group shows. A run without a frame is there by its own items.
  function items(group) {
    if (group.kind !== "loop") return group.items.flatMap((each) => (each.frameless ? items(each) : [each]));
    const { chosen, turns } = group;
    return [chosen > 0 ? group.before : null, group.items[chosen], chosen < turns - 1 ? group.after : null].filter(Boolean);
  }

  // The group in whose frame an item is.
  function frameOf(item) {
    let group = typeof item === "number" ? owner.get(item) : item.parent;
    while (group.frameless) group = group.parent;
    return group;
  }

  // What stands for each group on the screen: the outermost closed one that it is in, or null if all are open.
  function standIns() {
    const found = new Map([[root, null]]);
    const look = (group) => {
      if (!found.has(group)) found.set(group, look(group.parent) ?? standIn(group));
      return found.get(group);
    };
    return look;
  }
  function standIn(group) {
    if (group.kind === "turn") {
      const { chosen, before, after } = group.parent;
      return group.turn < chosen ? before : group.turn > chosen ? after : null;
    }
    return group.open ? null : group;
  }

  // What stands for a node on the screen: itself, or the outermost closed group that it is in.
  function visible(i) {
    let shown = i;
    for (let group = owner.get(i); group; group = group.parent) shown = standIn(group) ?? shown;
    return shown;
  }

  // Let the loops around an operation show its turn; whether any of them showed another.
  function follow(i) {
    let moved = false;
    for (let group = owner.get(i); group; group = group.parent) {
      if (group.kind !== "turn" || group.parent.chosen === group.turn) continue;
      group.parent.chosen = group.turn;
      moved ||= group.parent.open;
    }
    return moved;
  }

  // A module that has a number only, with what it does, if that is one operation.
  function numberedModule(item) {
    const does = item.items.filter((each) => typeof each !== "number" || lesson.isOperation(nodes[each]));
    return does.length === 1 && typeof does[0] === "number" ? `${item.name}: ${nodes[does[0]].op}` : item.name;
  }

  const numbered = grouped;
  const between = (first, last, sign = "–") => (first === last ? first : first + sign + last);

  // The first leaf and the last one in a run of leaves.
  function ends(run) {
    const [from, to] = [run.items[0], run.items.at(-1)];
    return [typeof from === "number" ? from : ends(from)[0], typeof to === "number" ? to : ends(to)[1]];
  }

  function name(item) {
    const { kind, side, turn, parent } = item;
    if (kind === "turn") return say("turn {n} of {all}", { n: numbered(turn + 1), all: numbered(parent.turns) });
    if (kind === "run" && !item.range) return between(shortName(ends(item)[0]), shortName(ends(item)[1]), " … ");
    if (kind === "run") return say(operationsIn(item) > 1 ? "operations {range}" : "operation {range}", { range: between(...item.range.map(numbered)) });
    if (kind === "module") {
      const shown = /^\d+$/.test(item.name) ? numberedModule(item) : item.name;
      return item.call > 1 ? `${shown} (${numbered(item.call)})` : shown;
    }
    if (kind !== "rest") return item.name;
    const [from, to] = side === "before" ? [1, parent.chosen] : [parent.chosen + 2, parent.turns];
    return from === to ? say("turn {n}", { n: numbered(from) }) : say("turns {from}–{to}", { from: numbered(from), to: numbered(to) });
  }

  // What a run does first, in the names of its modules, loops and operations; nothing if it has leaves only.
  function does(run) {
    run.does ??= (() => {
      const parts = (each) => (each.kind === "run" ? each.items.flatMap(parts) : [each]);
      const named = (each) => (typeof each === "number" ? nodes[each].op : name(each));
      const names = parts(run).filter(operationsIn).map(named).filter((each, k, all) => each !== all[k - 1]);
      return names.slice(0, NAMES).join(", ") + (names.length > NAMES ? ", …" : "");
    })();
    return run.does;
  }

  // The name of a node where it stands: without that of the module whose box it is in.
  function shortName(i) {
    const { name, module } = nodes[i];
    return frameOf(i).kind === "module" && name.startsWith(`${module}.`) ? name.slice(module.length + 1) : name;
  }

  return { root, all, shortName, owner, items, frameOf, visible, standIns, follow, operationsIn, leavesIn, first, name, does };
})();
