// The page of a lesson in a notebook's cell; the numbers that somebody changes in it go to Python.

export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.title = model.get("_title");
    frame.srcdoc = model.get("_page");
    frame.style = "width:100%;height:760px;border:1px solid #8888;box-sizing:border-box";
    const hear = (event) => {
      if (event.source !== frame.contentWindow || !event.data?.changed) return;
      model.set("_changed", event.data.changed);
      model.save_changes();
    };
    window.addEventListener("message", hear);
    frame.addEventListener("load", () => {
      const restored = model.get("_changed");
      if (Object.keys(restored).length) frame.contentWindow.postMessage({ restored }, "*");
    });
    el.append(frame);
    return () => window.removeEventListener("message", hear);
  },
};
