// Would you have noticed? Bars of how often each technique finds planted lines, for the survey that sliders choose.
(() => {
  "use strict";
  const { element, choice, slider } = window.figureInputs;

  class Noticed {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      this.state = { generator: 0, size: this.data.sizes.length - 1, depth: this.data.depths.indexOf(1) };
      const view = element("div", { class: "noticed-view" });
      const controls = element("div", { class: "noticed-controls" });
      const set = (key) => (value) => { this.state[key] = value; this.draw(); };
      const { depths, sizes, generators } = this.data;
      controls.append(
        slider("Lines change by", { min: 0, max: depths.length - 1, step: 1, value: this.state.depth },
          (value) => `${depths[value]} % per standard deviation of [Eu/Fe]`, set("depth")),
        slider("Survey", { min: 0, max: sizes.length - 1, step: 1, value: this.state.size },
          (value) => `${sizes[value].toLocaleString("en-US")} stars`, set("size")),
        choice("Spectra", generators, set("generator")),
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

    draw() {
      const { generator, size, depth } = this.state;
      const powers = this.data.power[generator][size][depth], falls = this.data.falls[generator][size][depth];
      this.rows.forEach(({ fill, share }, number) => {
        fill.style.width = `${powers[number]}%`;
        share.textContent = `${falls[number] ? "falls, " : ""}${powers[number]} %`;
      });
      const published = powers.filter((_, number) => this.data.techniques[number].published);
      const missed = published.filter((power) => power < 50).length;
      this.said.textContent = `${missed} of the ${published.length} published statistics miss these lines more often than not, read in either direction.`;
    }
  }

  document.querySelectorAll(".noticed").forEach((root) => new Noticed(root));
})();
