// Plays the pass: forward, values go along the edges and boxes fill; backward, the upstream gradient goes back along each
// edge, is multiplied by the local derivative that stands there, and arrives as a contribution. Who prefers less motion
// sees the same steps one after another.

const play = (() => {
  const { shape, thumbnail } = drawing;
  const [button, speed] = [document.getElementById("play"), document.getElementById("speed")];
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const STEP = 1800; // milliseconds at the usual speed
  const WHOLE = 20_000; // milliseconds of the whole pass, at the speed of that name
  const LEAST = 250; // a step that is shorter has no movement
  const MOST = 12; // tokens
  let [running, frame, timer] = [false, 0, 0];

  const duration = () => (speed.value === "whole" ? Math.min(WHOLE / lesson.last, STEP) : STEP / +speed.value);

  function token(array, kind, letter) {
    const unit = Math.max(drawing.unit, 0.85);
    const found = shape("g", { class: `token ${kind}` });
    const inner = shape("g", { transform: `scale(${unit})` });
    if (flow.isNumber(array)) {
      const words = `${letter}${told(array.data[0], 3)}`;
      const width = words.length * 7 + 12;
      inner.append(shape("rect", { class: "chip", x: -width / 2, y: -10, width, height: 20, rx: 10 }), shape("text", { "text-anchor": "middle", y: 4, style: `--size:12px;font-size:12px` }, words));
    } else {
      inner.append(shape("rect", { class: "chip", x: -23, y: -12, width: 46, height: 24, rx: 5 }), thumbnail(array, -20, -9, 40, 18));
    }
    found.append(inner);
    return found;
  }

  // The tokens of a step, each as a function that places it at a share of the time.
  function travellers(svg) {
    const at = lesson.at(main.position());
    const step = at.phase === "backward" ? lesson.steps[at.turn] : null;
    return graphView.active().slice(0, MOST).map(({ path, node, position, share: stop }) => {
      const length = path.getTotalLength();
      const each = step?.to.find(({ input }) => input === position);
      const hue = step ? `hue${step.to.indexOf(each) % 5}` : "";
      const { from, to } = step ? flow.contribution(step, each) : { from: lesson.value(lesson.nodes[node].inputs[position]) };
      const tokens = step ? [token(from, hue, `${lesson.letter} `), token(to, hue, "= ")] : [token(from, "", "")];
      svg.append(...tokens);
      return (time) => {
        const back = time < 0.4 ? 1 - (1 - stop) * (time / 0.4) : time < 0.6 ? stop : stop * Math.max(1 - (time - 0.6) / 0.3, 0);
        const { x, y } = path.getPointAtLength(length * (step ? back : Math.min(time / 0.75, 1)));
        tokens.forEach((each, k) => {
          each.setAttribute("transform", `translate(${x} ${y})`);
          each.style.visibility = !step || k === +(time >= 0.5) ? "visible" : "hidden";
        });
      };
    });
  }

  // The box that a value arrives in, which fills from the bottom.
  function filling() {
    const box = document.querySelector("#graph .node.current .box");
    if (!box || lesson.at(main.position()).phase !== "forward") return () => {};
    const [width, height] = ["width", "height"].map((name) => +box.getAttribute(name));
    const level = shape("rect", { class: "level", width, rx: 7 });
    box.after(level);
    return (time) => {
      const share = Math.max((time - 0.7) / 0.3, 0);
      level.setAttribute("y", height * (1 - share));
      level.setAttribute("height", height * share);
    };
  }

  function step() {
    if (main.position() >= lesson.last) return stop();
    const length = duration();
    const moves = !still.matches && length >= LEAST;
    const ahead = length >= 16 ? 1 : Math.ceil(16 / length);
    main.go(main.position() + ahead, { arriving: moves, playing: true });
    const begun = performance.now();
    const svg = document.querySelector("#graph svg");
    const parts = moves ? [...travellers(svg), filling()] : [];
    (function move(now) {
      if (!running) return;
      const time = Math.max(now - begun, 0) / length;
      if (time >= 1 || (moves && !svg.isConnected)) {
        if (!moves) return step();
        main.arrived();
        timer = setTimeout(step, length * 0.35); // time to read what has arrived
        return;
      }
      parts.forEach((place) => place(time));
      frame = requestAnimationFrame(move);
    })(begun);
  }

  const label = () => (button.textContent = running ? `❚❚ ${say("Pause")}` : `▶ ${say("Play")}`);

  function start() {
    running = true;
    label();
    document.getElementById("status").setAttribute("aria-live", "off"); // else a reader hears every step
    if (main.position() >= lesson.last) main.go(0, { playing: true });
    step();
  }

  function stop() {
    if (!running) return;
    running = false;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    label();
    document.getElementById("status").removeAttribute("aria-live");
    main.arrived();
  }

  function connect() {
    if (lesson.last * STEP > 2 * WHOLE) speed.append(element("option", { value: "whole" }, "20 s"));
    button.addEventListener("click", () => {
      if (running) return stop();
      reader.pull(); // on a phone, what moves is in the drawer
      start();
    });
  }

  // Play unasked, where there is a graph to be seen and nobody prefers less motion.
  function show() {
    reader.pull(); // a phone's first view is the graph, too
    if (!still.matches && document.querySelector("#graph svg")?.getClientRects().length) start();
  }

  return { connect, label, show, stop };
})();
