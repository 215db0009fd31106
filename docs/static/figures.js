// Pictures with a slider: it chooses the frame that is shown. In some, one may drag in the picture as well; those with
// many frames can be played.
const [MANY, WHOLE] = [4, 6000]; // frames; milliseconds of all of them
for (const plot of document.querySelectorAll(".plot:has(input[type=range])")) {
  const [svg, slider, output] = ["svg", "input", "output"].map((name) => plot.querySelector(name));
  const frames = [...svg.querySelectorAll(".frame")];
  const show = () => {
    frames.forEach((frame, k) => frame.classList.toggle("shown", k === +slider.value));
    output.textContent = frames[slider.value].dataset.words;
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  const player = frames.length < MANY ? null : playerOf(slider, output, show);
  slider.addEventListener("input", () => {
    player?.stop();
    show();
  });
  if (!svg.dataset.drag) continue;
  const [first, last] = svg.dataset.drag.split(",").map(Number);
  const follow = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    slider.value = Math.round(((point.x - first) / (last - first)) * (frames.length - 1));
    show();
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    player?.stop();
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => svg.hasPointerCapture(event.pointerId) && follow(event));
}

// A button beside a slider that goes through its frames: from the first, or on from where it was stopped on the way.
function playerOf(slider, output, show) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const last = +slider.max;
  let [timer, halfway] = [0, false];
  const label = () => (button.textContent = timer ? "❚❚ Pause" : "▶ Play");
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    output.removeAttribute("aria-live");
    label();
  };
  const next = () => {
    slider.value = +slider.value + 1;
    show();
    halfway = +slider.value < last;
    if (!halfway) stop();
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (!halfway || +slider.value === last) slider.value = 0;
    show();
    output.setAttribute("aria-live", "off"); // else a reader hears every frame
    timer = setInterval(next, WHOLE / last);
    label();
  });
  label();
  slider.parentElement.before(button);
  return { stop };
}
