// Which part of the graph is on the screen, and how large: fitted to the room that there is, or chosen by wheel, pinch
// and drag.

const camera = (() => {
  const region = document.getElementById("graph");
  const [SMALLEST, LARGEST] = [0.03, 4];
  const EDGE = { left: 8, top: 22, right: 8, bottom: 8 }; // around the picture; warnings stand out above a box
  let [x, y, scale] = [0, 0, 1];
  let picture = { width: 1, height: 1 };
  let svg = null;
  let [fitted, moved] = [true, false];
  let changed = () => {};

  let space = null; // measured once, since measuring makes the browser lay out the page
  const room = () => (space ??= [Math.max(region.clientWidth, 1), Math.max(region.clientHeight, 1)]);

  // The scale at which a picture of this size fits, in both directions.
  function scaleFor({ width, height }) {
    const [across, down] = room();
    return Math.min(across / (width + EDGE.left + EDGE.right), down / (height + EDGE.top + EDGE.bottom));
  }

  function apply() {
    const [across, down] = room();
    drawing.unit = 1 / scale;
    if (!svg) return;
    svg.setAttribute("viewBox", `${x} ${y} ${across / scale} ${down / scale}`);
    svg.style.setProperty("--unit", 1 / scale);
    region.style.touchAction = fitted ? "pan-y" : "none";
  }

  function fit(size = picture) {
    picture = size;
    fitted = true;
    scale = Math.min(scaleFor(picture), 1.4);
    const [across, down] = room();
    x = picture.width / 2 - across / scale / 2;
    y = (picture.height - EDGE.top + EDGE.bottom) / 2 - down / scale / 2;
    apply();
  }

  // Another scale, with the point of the screen at [px, py] staying where it is.
  function zoom(factor, px = room()[0] / 2, py = room()[1] / 2) {
    const next = Math.min(Math.max(scale * factor, SMALLEST), LARGEST);
    x += px / scale - px / next;
    y += py / scale - py / next;
    scale = next;
    fitted = false;
    keep();
    changed();
  }

  function pan(dx, dy) {
    x -= dx / scale;
    y -= dy / scale;
    fitted = false;
    keep();
  }

  // Something of the picture stays in the middle.
  function keep() {
    const [across, down] = room().map((length) => length / scale);
    x = Math.min(Math.max(x, -across / 2), picture.width - across / 2);
    y = Math.min(Math.max(y, -down / 2), picture.height - down / 2);
    apply();
  }

  // Have a box on the screen.
  function show(box) {
    const [across, down] = room().map((length) => length / scale);
    if (box.x < x || box.x + box.width > x + across) x = box.x + box.width / 2 - across / 2;
    if (box.y < y || box.y + box.height > y + down) y = box.y + box.height / 2 - down / 2;
    apply();
  }

  // Have a box on the screen as large as fits, but no smaller than can be read; its top, if it does not fit.
  function focus(box, least) {
    scale = Math.max(Math.min(scaleFor(box), 1), least);
    const [across, down] = room().map((length) => length / scale);
    x = box.x + (box.width - across) / 2;
    y = box.height > down ? box.y - EDGE.top : box.y + (box.height - down) / 2;
    fitted = false;
    apply();
  }

  // Listen to wheel and fingers; `redraw` after another scale, `refit` after another room.
  function connect({ redraw, refit }) {
    let waiting = false;
    changed = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => ((waiting = false), redraw()));
    };
    region.addEventListener(
      "wheel",
      (event) => {
        if (window !== window.parent && !event.ctrlKey && !event.metaKey) return; // in a page around, which scrolls
        event.preventDefault();
        const box = region.getBoundingClientRect();
        const lines = event.deltaMode === 1 ? 16 : 1;
        zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
      },
      { passive: false },
    );
    const pointers = new Map();
    const middle = () => {
      const [a, b = a] = [...pointers.values()];
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
    };
    region.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button > 1) return;
      if (!pointers.size) moved = false;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, from: [event.clientX, event.clientY] });
      if (pointers.size === 2) region.style.touchAction = "none";
    });
    window.addEventListener("pointermove", (event) => {
      const pointer = pointers.get(event.pointerId);
      if (!pointer) return;
      const before = middle();
      [pointer.x, pointer.y] = [event.clientX, event.clientY];
      if (!moved && pointers.size === 1 && Math.hypot(pointer.x - pointer.from[0], pointer.y - pointer.from[1]) < 5) return;
      moved = true;
      const after = middle();
      pan(after.x - before.x, after.y - before.y);
      if (pointers.size === 2 && before.apart > 0) {
        const box = region.getBoundingClientRect();
        zoom(after.apart / before.apart, after.x - box.left, after.y - box.top);
      }
    });
    for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, (event) => pointers.delete(event.pointerId));
    region.addEventListener("click", (event) => moved && (event.stopPropagation(), event.preventDefault()), true);
    region.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
    new ResizeObserver(() => {
      const [across, down] = room();
      space = null;
      if (room()[0] === across && room()[1] === down) return;
      if (fitted) refit();
      else apply();
    }).observe(region);
  }

  // What `act` returns while the room is another one, such as a sheet of paper, and the picture is fitted to it.
  function within(room, act) {
    const before = [space, x, y, scale, picture, fitted, svg, drawing.unit];
    [space, fitted, svg] = [room, true, null];
    try {
      return act();
    } finally {
      [space, x, y, scale, picture, fitted, svg, drawing.unit] = before;
    }
  }

  function hold(drawn) {
    svg = drawn;
    apply();
  }

  return { connect, hold, within, fit, zoom, show, focus, scaleFor, isFitted: () => fitted, scale: () => scale };
})();
