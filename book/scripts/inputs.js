// Labeled sliders and choices, as the interactive figures of the site use them.
window.figureInputs = (() => {
  "use strict";
  const element = (name, attributes = {}, text = "", space = null) => {
    const made = space ? document.createElementNS(space, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };

  const labeled = (label, ...inputs) => {
    const box = element("label");
    inputs[0].setAttribute("aria-label", label);
    box.append(element("span", {}, label), ...inputs);
    return box;
  };

  // `change` is called with the number of the chosen name.
  const choice = (label, names, change) => {
    const select = element("select");
    names.forEach((name, number) => select.append(element("option", { value: number }, name)));
    select.addEventListener("change", () => change(Number(select.value)));
    return labeled(label, select);
  };

  // `range` holds min, max, step and value; `say` puts a value into words, which stand below and are read aloud.
  const slider = (label, range, say, change) => {
    const input = element("input", { type: "range", ...range });
    const said = element("span");
    const tell = () => {
      said.textContent = say(Number(input.value));
      input.setAttribute("aria-valuetext", said.textContent);
    };
    input.addEventListener("input", () => { tell(); change(Number(input.value)); });
    tell();
    return labeled(label, input, said);
  };

  return { element, choice, slider };
})();
