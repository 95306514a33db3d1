// Would you have noticed? Bars of how often each technique finds planted lines, for the survey that sliders choose.
(() => {
  "use strict";
  const element = (name, attributes = {}, text = "") => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };

  class Noticed {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      this.state = { generator: 0, size: this.data.sizes.length - 1, depth: this.data.depths.indexOf(1) };
      const view = element("div", { class: "noticed-view" });
      const controls = element("div", { class: "noticed-controls" });
      controls.append(
        this.slider("Lines change by", this.data.depths, "depth", (depth) => `${depth} % per standard deviation of [Eu/Fe]`),
        this.slider("Survey", this.data.sizes, "size", (size) => `${size.toLocaleString("en-US")} stars`),
        this.choice("Spectra", this.data.generators, "generator"),
      );
      this.bars = element("div", { class: "noticed-bars", role: "table", "aria-label": "Share of surveys in which each technique notices the lines" });
      this.rows = this.data.techniques.map((technique) => {
        const row = element("div", { class: technique.published ? "published" : "ours", role: "row" });
        const fill = element("span", { class: "noticed-fill" });
        const track = element("span", { class: "noticed-track", "aria-hidden": "true" });
        const share = element("span", { class: "noticed-share", role: "cell" });
        track.append(fill);
        row.append(element("span", { class: "noticed-name", role: "rowheader" }, technique.name), track, share);
        return { row, fill, share };
      });
      this.bars.append(...this.rows.map((each) => each.row));
      this.said = element("output", { "aria-live": "polite" });
      view.append(controls, this.said, this.bars);
      this.root.append(view);
      this.root.classList.add("noticed-live");
      this.draw();
    }

    slider(label, values, key, say) {
      const input = element("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: this.state[key] });
      const said = element("span");
      const change = () => {
        this.state[key] = Number(input.value);
        said.textContent = say(values[this.state[key]]);
        input.setAttribute("aria-valuetext", said.textContent);
        if (this.rows) this.draw();
      };
      input.addEventListener("input", change);
      change();
      return this.labeled(label, input, said);
    }

    choice(label, names, key) {
      const select = element("select");
      names.forEach((name, number) => select.append(element("option", { value: number }, name)));
      select.addEventListener("change", () => { this.state[key] = Number(select.value); this.draw(); });
      return this.labeled(label, select);
    }

    labeled(label, ...inputs) {
      const box = element("label");
      inputs[0].setAttribute("aria-label", label);
      box.append(element("span", {}, label), ...inputs);
      return box;
    }

    draw() {
      const { generator, size, depth } = this.state;
      const powers = this.data.power[generator][size][depth], falls = this.data.falls[generator][size][depth];
      this.rows.forEach(({ fill, share }, number) => {
        fill.style.width = `${powers[number]}%`;
        share.textContent = `${falls[number] ? "falls, " : ""}${powers[number]} %`;
      });
      const published = powers.filter((_, number) => this.data.techniques[number].published);
      const missed = published.filter((power) => power < 50).length;
      this.said.textContent = `${missed} of the ${published.length} published statistics miss these lines more often than not.`;
    }
  }

  document.querySelectorAll(".noticed").forEach((root) => new Noticed(root));
})();
