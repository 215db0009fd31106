// The picture of the graph as a file: SVG, or PNG at twice its size; with the colours of the page as it is shown.

const exporting = (() => {
  const COLOURS = ["paper", "panel", "ink", "soft", "line", "accent", "accent-soft", "warn", "hue0", "hue1", "hue2", "hue3", "hue4"];

  // A document of its own: the styles of the page, and its colours as they are now.
  function svg() {
    const { picture, width, height } = graphView.picture();
    const page = getComputedStyle(document.documentElement);
    const colours = COLOURS.map((name) => `--${name}: ${page.getPropertyValue(`--${name}`)}`).join("; ");
    const { shape } = drawing;
    const style = shape("style");
    style.textContent = document.querySelector("style").textContent;
    const whole = shape("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, style: `${colours}; --unit: 1; font-family: ${page.fontFamily}` });
    whole.append(style, shape("rect", { width, height, style: `fill: ${page.getPropertyValue("--paper")}` }), shape("g", { id: "graph" }, picture));
    return { text: new XMLSerializer().serializeToString(whole), width, height };
  }

  function save(address, kind) {
    const name = lesson.nodes[lesson.root].name.replace(/[^\p{L}\p{N}_-]/gu, "_");
    element("a", { href: address, download: `${name}.${kind}` }).click();
  }

  const addressOf = (text) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;

  async function png() {
    const { text, width, height } = svg();
    const image = new Image();
    image.src = addressOf(text);
    await image.decode();
    const canvas = element("canvas", {});
    const scale = Math.min(2, 8000 / Math.max(width, height)); // browsers draw no larger ones
    [canvas.width, canvas.height] = [width * scale, height * scale];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(canvas.toDataURL("image/png"), "png");
  }

  function connect() {
    document.getElementById("save-svg").addEventListener("click", () => save(addressOf(svg().text), "svg"));
    document.getElementById("save-png").addEventListener("click", png);
  }

  return { connect };
})();
