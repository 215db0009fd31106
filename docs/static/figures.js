// Pictures with a slider: it chooses the frame that is shown. In some, one may drag in the picture as well.
for (const plot of document.querySelectorAll(".plot:has(input[type=range])")) {
  const [svg, slider, output] = ["svg", "input", "output"].map((name) => plot.querySelector(name));
  const frames = [...svg.querySelectorAll(".frame")];
  const show = () => {
    frames.forEach((frame, k) => frame.classList.toggle("shown", k === +slider.value));
    output.textContent = frames[slider.value].dataset.words;
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  slider.addEventListener("input", show);
  if (!svg.dataset.drag) continue;
  const [first, last] = svg.dataset.drag.split(",").map(Number);
  const follow = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    slider.value = Math.round(((point.x - first) / (last - first)) * (frames.length - 1));
    show();
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => svg.hasPointerCapture(event.pointerId) && follow(event));
}
