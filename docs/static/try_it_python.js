// Python with the site's own files, loaded once: the interpreter, NumPy, and this package. A worker runs it in a browser.

// `told(text)` hears what is being loaded; `read(name)` reads a file beside this one, as bytes.
export async function start({ base, read, told, loadPyodide }) {
  const { wheel, loaded } = JSON.parse(new TextDecoder().decode(await read("pyodide/files.json")));
  told("Loading Python …");
  const pyodide = await loadPyodide({ indexURL: base, packageBaseUrl: base });
  for (const name of loaded) {
    told(`Loading ${name} …`);
    await pyodide.loadPackage(name, { messageCallback: () => {} });
  }
  told("Loading tinygrad_lite …");
  pyodide.unpackArchive(await read(`pyodide/${wheel}`), "wheel");
  pyodide.runPython(new TextDecoder().decode(await read("try_it_session.py")));
  const session = pyodide.runPython("Session()");
  // Runs a cell; what it prints goes to `write`
  return (code, write) => {
    const result = session.run(code, write);
    const found = result.toJs({ dict_converter: Object.fromEntries });
    result.destroy();
    return found;
  };
}
