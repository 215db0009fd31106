// Cells of Python in the text: the reader changes the code and runs it in the page. Nothing is asked for before that.
(() => {
  const here = document.currentScript.src;
  const cells = [...document.querySelectorAll(".try-it[data-size]")];
  let [worker, running, prepared] = [null, null, 0];

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // Ends Python, with all names.
  function end(why) {
    worker?.terminate();
    [worker, prepared] = [null, 0];
    running?.finish(why);
  }

  function ask(cell, before, code) {
    worker ??= new Worker(new URL("try_it_worker.js", here), { type: "module" });
    running = cell;
    worker.onmessage = ({ data }) => {
      if (data.status) cell.tell(data.status);
      else if (data.text) cell.print(data.text);
      else if (data.failed) end(`Python could not be loaded: ${data.failed}. Run the cell again to try once more.`);
      else if (data.done) {
        prepared = Math.max(prepared, before.length);
        cell.show(data);
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end("Python could not be started: it needs the site's files, from a server, and a browser that runs module workers.");
    };
    worker.postMessage({ before: before.slice(prepared), code });
  }

  function enliven(box, k) {
    const source = box.querySelector("pre:not(.asked)").textContent.replace(/\n$/, "");
    const before = JSON.parse(box.dataset.before);
    const size = `${Math.max(1, Math.round(box.dataset.size / 1e6))} MB`;
    const id = `try-it-${k + 1}`;
    const editor = make("textarea", { id, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": `${id}-keys`, rows: 1 });
    const status = make("p", { class: "status", role: "status" });
    const printed = make("pre", { class: "printed" });
    const result = make("div", { class: "result", role: "region", tabindex: "0", "aria-label": `What cell ${k + 1} says`, hidden: "" });
    const button = (text, label, onclick) => make("button", { type: "button", "aria-label": label, onclick }, text);
    const run = button("▶ Run", `Run cell ${k + 1}`, start);
    const stop = button("■ Stop", `Stop cell ${k + 1}`, () => end("Stopped. Python starts anew with the next run, and knows none of the names."));
    const reset = button("↺ Reset", `Reset cell ${k + 1}: the code as it was, and Python anew`, () => {
      end("Stopped.");
      editor.value = source;
      fit();
      result.hidden = true;
      idle();
    });
    let escaped = false; // after Escape, Tab leaves the editor
    let began = 0;

    const cell = {
      tell: (text) => (status.textContent = text),
      print(text) {
        result.hidden = false;
        printed.append(text);
      },
      finish(text) {
        running = null;
        busy(false);
        cell.tell(text);
      },
      show({ error, value, page }) {
        if (error !== undefined) result.append(make("pre", { class: "error" }, error));
        if (value !== undefined) result.append(make("pre", { class: "value" }, value));
        if (page !== undefined) {
          const style = "<style>body{margin:0}iframe{display:block;box-sizing:border-box}</style>";
          result.append(make("iframe", { title: `The page that cell ${k + 1} made`, sandbox: "allow-scripts allow-downloads", srcdoc: style + page }));
        }
        result.hidden = result.textContent === "" && page === undefined;
        for (const each of result.querySelectorAll("pre")) link(each);
        const seconds = ((performance.now() - began) / 1000).toFixed(1);
        cell.finish(error === undefined ? `Done, after ${seconds} s.` : "An error: its last line says which.");
      },
    };

    // What a mark says to read on is on this site.
    function link(text) {
      const found = /docs\/(misconceptions\/\w+)\.md/.exec(text.textContent);
      if (!found) return;
      const [before, after] = [text.textContent.slice(0, found.index), text.textContent.slice(found.index + found[0].length)];
      text.replaceChildren(before, make("a", { href: `${box.dataset.root}${found[1]}.html` }, found[0]), after);
    }

    const fit = () => (editor.rows = Math.min(editor.value.split("\n").length, 30));
    const idle = () => cell.tell(worker ? "Not run yet." : `Not run yet. The first run loads Python, ${size}, from this site.`);

    function busy(is) {
      run.disabled = is;
      stop.disabled = !is;
      box.classList.toggle("running", is);
    }

    function start() {
      if (running) return void cell.tell("Another cell is running: stop it, or wait.");
      const kept = document.activeElement === run;
      began = performance.now();
      printed.replaceChildren();
      result.replaceChildren(printed);
      result.hidden = true;
      busy(true);
      if (kept) stop.focus(); // a button that is disabled loses the focus
      cell.tell("Starting …");
      try {
        ask(cell, before, editor.value);
      } catch (error) {
        end(`Python could not be started: ${error.message}`);
      }
    }

    // Writes as if typed, so that it can be undone.
    function type(text) {
      if (!document.execCommand("insertText", false, text)) editor.setRangeText(text, editor.selectionStart, editor.selectionEnd, "end");
      fit();
    }

    editor.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) start();
      else if (event.key === "Escape") escaped = true;
      else if (event.key === "Tab" && !event.shiftKey && !escaped) type("    ");
      else if (event.key === "Enter") {
        const line = editor.value.slice(0, editor.selectionStart).split("\n").at(-1);
        type(`\n${/^\s*/.exec(line)[0]}${line.trimEnd().endsWith(":") ? "    " : ""}`);
      } else return void (escaped &&= event.key === "Tab" || event.key === "Shift");
      event.preventDefault();
    });
    editor.addEventListener("blur", () => (escaped = false));
    editor.addEventListener("input", fit);
    editor.value = source;
    fit();
    busy(false);
    box.replaceChildren(
      ...box.querySelectorAll(".asked"),
      make("label", { for: id }, "Try it: this Python is yours to change"),
      editor,
      make("p", { class: "keys", id: `${id}-keys` }, "Ctrl+Enter or Shift+Enter runs it; Tab indents, and after Escape leaves the editor."),
      make("div", { class: "buttons" }, run, stop, reset),
      status,
      result,
    );
    idle();
  }

  cells.forEach(enliven);
})();
