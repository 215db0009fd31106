// The boxes of the graph: of a node with its name, formula, value and gradient; of a group with its name and size.

const boxViews = (() => {
  const { shape, text, number, widthOf, thumbnail, leftOut } = drawing;
  const BESIDE = 10; // between a box and what stands in it

  const kindOf = (node) => (lesson.isOperation(node) ? "operation" : node.needsGradient ? "parameter" : "constant");

  function description(i, state) {
    const node = lesson.nodes[i];
    const parts = [lesson.isOperation(node) ? `${node.name} = ${node.formula}` : `${node.name}, ${say(node.needsGradient ? "a leaf with a gradient" : "a constant")}`];
    parts.push(shapeOf(node.value.shape));
    if (state.hasValue(i)) parts.push(`${say("value")} ${summary(lesson.value(i))}`);
    const gradient = state.gradient(i);
    if (gradient) parts.push(`${say(state.isComplete(i) ? "gradient" : "gradient so far")} ${summary(gradient)}`);
    (node.marks ?? []).forEach((mark) => parts.push(`${say("warning")}: ${tell(mark)}`));
    return parts.join("; ");
  }

  function titleOf(i) {
    const node = lesson.nodes[i];
    const lines = [lesson.isOperation(node) ? `${node.name} = ${node.formula}` : node.name, node.source];
    if (leftOut(lesson.value(i))) lines.push(say("of {shape}, the picture shows entries that are evenly spread", { shape: shapeOf(node.value.shape) }));
    return shape("title", {}, lines.filter(Boolean).join("\n"));
  }

  // The box of a node. With `roomy`, it has its formula, and says which picture is of what.
  function node(i, box, state, { roomy, focused }) {
    const self = lesson.nodes[i];
    const [value, gradient] = [state.hasValue(i) ? lesson.value(i) : null, state.gradient(i)];
    const classes = ["node", kindOf(self), i === lesson.root && "root", state.current === i && "current", state.selected === i && "selected", !value && "ahead"];
    const group = shape("g", {
      class: classes.filter(Boolean).join(" "),
      role: "button",
      tabindex: focused === i ? 0 : -1,
      "aria-label": description(i, state),
      "aria-pressed": String(state.selected === i),
      transform: `translate(${box.x} ${box.y})`,
      "data-node": i,
    });
    group.append(titleOf(i), shape("rect", { class: "box", width: box.width, height: box.height, rx: 7 }));
    if (gradient) {
      const share = lesson.received[i].length ? state.share(i) : 1; // of the contributions that have arrived
      group.append(shape("rect", { class: "gauge", x: 0, y: box.height * (1 - share), width: 5, height: box.height * share, rx: 2 }));
    }
    const [name, form] = [groups.shortName(i), self.value.shape.length ? shapeOf(self.value.shape) : ""];
    const width = box.width - 2 * BESIDE;
    const line = roomy ? 18 : Math.min(16 * Math.max(drawing.unit * 0.85, 1), 22);
    const [y, height] = roomy ? [58, 27] : [line + 5, Math.max(box.height - line - 10, 4)];
    const legible = height >= 0.75 * drawing.sizeOf(11); // else the second line would run into the first
    const isTight = height < 1.3 * drawing.sizeOf(11); // so the second line stands at the bottom
    const second = isTight ? box.height - 0.35 * drawing.sizeOf(11) : y + 0.67 * height;
    const beside = value && !form && !legible; // so a number stands beside the name
    const rest = width - widthOf(name, 13, true) - 8; // of the line of the name
    const notes = beside ? [] : lesson.isOperation(self) && !roomy ? [`= ${self.formula}`, self.op, form] : [form];
    const note = notes.find((each) => each && widthOf(each, 12, false) <= rest);
    const forName = beside ? Math.min(width - 8 - rest, 0.45 * width) : note ? width - 8 - widthOf(note, 12, false) : width;
    group.append(text(BESIDE, line, name, forName, { size: 13, kind: "name", fromEnd: true }));
    if (note) group.append(note.startsWith("=") ? text(BESIDE + width - rest, line, note, width, { kind: "small" }) : text(box.width - BESIDE, line, note, width, { kind: "small", anchor: "end" }));
    const about = lesson.isOperation(self) ? self.formula : say(kindOf(self) === "constant" ? "constant" : "leaf, needs a gradient");
    if (roomy) group.append(text(BESIDE, 35, about, width));
    else if (!value && legible && note !== `= ${about}`) group.append(text(BESIDE, second, about, width));
    const half = (width - 8) / 2;
    const forNumber = (width - forName - 8) / (gradient ? 2 : 1); // of the room beside the name
    const pictures = [[value, say("value"), BESIDE], [gradient, say(state.isComplete(i) ? "gradient" : "so far"), BESIDE + half + 8]];
    for (const [array, label, x] of pictures.filter(([array]) => array)) {
      const kind = array === gradient ? "number of-gradient" : "number";
      const few = leftOut(array);
      if (roomy) group.append(text(x, y - 4, few ? `${label}: ${few}` : label, half + 6, { size: 11, kind: "soft" }));
      else if (few && !gradient && legible) group.append(text(x + half + 8, second, few, half, { size: 11, kind: "soft" }));
      if (beside) group.append(number(BESIDE + forName + 8 + (array === gradient ? forNumber : 0), line, array.data[0], forNumber - 4, { digits: 3, size: 11, kind }));
      else if (flow.isNumber(array) && legible) {
        const letter = roomy || array !== gradient ? "" : lesson.letter === "g" ? "g " : "∂ ";
        group.append(number(x, roomy ? y + 14 : second, array.data[0], gradient ? half + 6 : width, { digits: roomy ? 4 : 3, letter, size: isTight ? 11 : 14, kind }));
      } else if (!flow.isNumber(array)) group.append(thumbnail(array, x, y, half, height));
    }
    if (self.marks) group.append(...mark(box));
    return group;
  }

  const sizeOfMark = () => 15 * Math.max(drawing.unit * 0.8, 1);

  // Where the sign of a warning stands, above the corner of a box.
  function placeOfMark({ x, y, width }) {
    const size = sizeOfMark();
    return { x: x + width - 4 - 1.7 * size, y: y - size, width: 1.7 * size, height: size };
  }

  function mark({ width }) {
    const size = sizeOfMark();
    return [
      shape("path", { class: "mark", d: `M${width - 4 - 1.7 * size} ${-size} h${1.7 * size} v${size} h${-1.7 * size} z` }),
      shape("text", { class: "mark-text", x: width - 4 - 0.85 * size, y: -0.2 * size, "text-anchor": "middle" }, "!"),
    ];
  }

  // The box of a group; of an open one the frame and the title, of a loop the strip as well.
  function group(item, box, state, { focused, strip, titleWidth }) {
    const [isLoop, isRest] = [item.kind === "loop", item.kind === "rest"];
    const sign = item.kind === "rest" ? "⋮" : item.open ? "▾" : "▸";
    const whole = groups.name(item);
    const room = item.open && !isLoop ? titleWidth : box.width - 8;
    const isNumbered = isRest || item.range; // and is known by its numbers where there is no room for a word
    const name = isNumbered && widthOf(`${sign} ${whole}`, 13, true) > room - 8 ? whole.replace(/^\D+/, "") : whole;
    const count = groups.operationsIn(item);
    const size = count ? counted(count, "operation") : counted(groups.leavesIn(item), "leaf", "leaves");
    const warned = state.marksIn(item);
    const found = shape("g", { class: `group ${item.kind} ${item.open ? "open" : "closed"} ${state.currentIn(item) ? "current" : ""}`, transform: `translate(${box.x} ${box.y})` });
    found.append(shape("rect", { class: "box", width: box.width, height: box.height, rx: 9 }));
    const does = item.kind === "run" ? groups.does(item) : ""; // its range says how many operations it has, but not which
    const told = [whole, size, does, say(isRest ? "Enter shows the turn beside this" : item.open ? "open" : "closed"), isLoop && strips.words(item), warned && counted(warned, "warning")];
    const button = shape("g", {
      class: "toggle",
      role: "button",
      tabindex: focused === item ? 0 : -1,
      "aria-expanded": isRest ? null : String(item.open),
      "aria-label": told.filter(Boolean).join("; "),
      "data-group": item.path,
    });
    const [width, height] = [room, item.open || isLoop ? 24 : box.height];
    button.append(shape("title", {}, [whole, size, does].filter(Boolean).join("\n")));
    button.append(shape("rect", { class: "head", x: 4, y: 1, width, height: height - 2, rx: 6 }));
    button.append(text(BESIDE, 17 * Math.min(Math.max(drawing.unit * 0.9, 1), 1.2), `${sign} ${name}`, width - 8, { size: 13, kind: "name" }));
    if (isLoop) found.append(strips.draw(item, box, strip[1], state));
    else if (!item.open) {
      const lines = [does || size, warned ? `! ${counted(warned, "warning")}` : "", state.currentIn(item) ? say("the step shown is inside") : ""].filter(Boolean);
      const step = 18 * Math.max(drawing.unit * 0.8, 1);
      const lowest = box.height - 4 * Math.max(drawing.unit, 1); // letters reach below their line
      lines.forEach((line, k) => 16 + step * (k + 1) <= box.height && button.append(text(BESIDE, Math.min(16 + step * (k + 1), lowest), line, box.width - 18, { kind: "small" })));
    }
    found.append(button, ...(warned ? mark(box) : []));
    return found;
  }

  return { node, group, placeOfMark };
})();
