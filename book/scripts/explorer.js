// A spectrum to zoom, pan and read, with lines to plant. No library: those that are kept well are larger than the page
// may be (Bokeh, Plotly) or leave out the keyboard (uPlot). The data stand in the page, so that it works from a disk.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const MARGIN = { left: 52, right: 10, top: 40, gap: 26, bottom: 34 };
  const MOST_NAMES = 40;
  const KEYS = { ArrowLeft: -1, ArrowRight: 1 };

  const { element, choice, slider } = window.figureInputs;
  const angstrom = (value, digits = 1) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  class Explorer {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      const { first, step } = this.data.grid;
      this.wavelength = (pixel) => 10 ** (first + step * pixel);
      this.pixel = (wavelength) => (Math.log10(wavelength) - first) / step;
      this.ends = [this.wavelength(this.data.chips[0][0]), this.wavelength(this.data.chips.at(-1)[1])];
      [this.low, this.high] = this.ends;
      this.cursor = null;
      this.state = { spectrum: 0, world: 0, depth: 0, europium: 0 };
      this.build();
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    build() {
      const view = element("div", { class: "explorer-view" });
      const choices = element("div", { class: "explorer-controls" });
      const names = (list) => list.map((each) => each.name);
      const set = (key) => (value) => { this.state[key] = value; this.draw(); };
      const { spectra, worlds, planted, places } = this.data;
      choices.append(
        choice("Star", names(spectra), set("spectrum")),
        choice("Model trained on", names(worlds), set("world")),
        slider("Lines planted", { min: 0, max: planted.depths.length - 1, step: 1, value: 0 },
          (value) => (value ? `${planted.depths[value]} % per standard deviation` : "none"), set("depth")),
        slider("Europium", { min: -0.5, max: 1, step: 0.05, value: 0 },
          (value) => `[Eu/H] ${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)} dex`, set("europium")),
        choice("Go to", ["choose a place", ...names(places)], (number) => {
          if (number) this.show(places[number - 1].low, places[number - 1].high);
        }),
      );
      const buttons = element("div", { class: "explorer-buttons" });
      const doings = { "Zoom in": () => this.zoom(0.5), "Zoom out": () => this.zoom(2), "Whole spectrum": () => this.show(...this.ends) };
      for (const [name, doing] of Object.entries(doings)) {
        const button = element("button", { type: "button" }, name);
        button.addEventListener("click", doing);
        buttons.append(button);
      }
      this.plot = element("div", { class: "explorer-plot", tabindex: "0", role: "application",
        "aria-label": "Spectrum. Arrow keys move the reading by a pixel, with Shift by ten; plus and minus zoom; Page Up and Page Down pan; Home shows the whole spectrum." });
      this.reading = element("output", { class: "explorer-reading", "aria-live": "polite" });
      view.append(choices, buttons, this.plot, this.reading);
      this.root.append(view);
      this.root.classList.add("explorer-live");
      this.listen();
      this.draw();
    }

    listen() {
      let drag = null;
      const wavelengthAt = (event) => {
        const box = this.plot.getBoundingClientRect();
        const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
        return this.low + Math.min(Math.max(share, 0), 1) * (this.high - this.low);
      };
      this.plot.addEventListener("pointerdown", (event) => {
        drag = { x: event.clientX, low: this.low, high: this.high };
        this.plot.setPointerCapture(event.pointerId);
      });
      this.plot.addEventListener("pointermove", (event) => {
        if (drag) {
          const width = this.plot.clientWidth - MARGIN.left - MARGIN.right;
          const moved = ((drag.x - event.clientX) / width) * (drag.high - drag.low);
          this.show(drag.low + moved, drag.high + moved);
        } else this.read(wavelengthAt(event));
      });
      for (const end of ["pointerup", "pointercancel"]) this.plot.addEventListener(end, () => { drag = null; });
      this.plot.addEventListener("dblclick", (event) => { this.cursor = wavelengthAt(event); this.zoom(0.25); });
      this.plot.addEventListener("wheel", (event) => {
        // The wheel scrolls the page unless the plot is being worked with.
        if (document.activeElement !== this.plot && !event.ctrlKey) return;
        event.preventDefault();
        this.cursor = wavelengthAt(event);
        this.zoom(event.deltaY > 0 ? 1.25 : 0.8);
      }, { passive: false });
      this.plot.addEventListener("keydown", (event) => {
        const middle = (this.low + this.high) / 2, span = this.high - this.low;
        if (event.key in KEYS) {
          const by = KEYS[event.key] * (event.shiftKey ? 10 : 1);
          const next = this.wavelength(Math.round(this.pixel(this.cursor ?? middle)) + by);
          if (next < this.low || next > this.high) this.show(next - span / 2, next + span / 2);
          this.read(next);
        } else if (event.key === "+" || event.key === "=") this.zoom(0.5);
        else if (event.key === "-") this.zoom(2);
        else if (event.key === "PageUp") this.show(this.low - span / 2, this.high - span / 2);
        else if (event.key === "PageDown") this.show(this.low + span / 2, this.high + span / 2);
        else if (event.key === "Home") this.show(...this.ends);
        else return;
        event.preventDefault();
      });
    }

    zoom(factor) {
      const inView = this.cursor !== null && this.cursor > this.low && this.cursor < this.high;
      const middle = inView ? this.cursor : (this.low + this.high) / 2;
      const span = Math.max((this.high - this.low) * factor, 3);
      const share = (middle - this.low) / (this.high - this.low);
      this.show(middle - share * span, middle + (1 - share) * span);
    }

    show(low, high) {
      const span = Math.min(high - low, this.ends[1] - this.ends[0]);
      this.low = Math.min(Math.max(low, this.ends[0]), this.ends[1] - span);
      this.high = this.low + span;
      this.draw();
    }

    // The flux of the chosen star with the planted lines in it: what `lux.simulation` multiplies into a spectrum.
    planted() {
      const { profile, strengths } = this.data.planted;
      const spectrum = this.data.spectra[this.state.spectrum];
      if (!this.state.depth) return null;
      const absorbed = 1 - Math.exp(-strengths[this.state.depth] * 10 ** this.state.europium);
      const found = new Map();
      for (const run of profile.runs) run.values.forEach((value, number) => found.set(run.first + number, value * profile.unit));
      return { unit: spectrum.unit, runs: spectrum.runs.map((run) => ({ first: run.first,
        values: run.values.map((value, number) => value * (1 - absorbed * (found.get(run.first + number) ?? 0))) })) };
    }

    draw() {
      const width = Math.max(this.plot.clientWidth, 280);
      const heights = width < 500 ? [170, 100, 100] : [230, 130, 130];
      const world = this.data.worlds[this.state.world];
      const panels = [
        { title: "flux", series: [["observed", this.data.spectra[this.state.spectrum]], ["planted", this.planted()]] },
        { title: "Jacobian, over its error", series: [["jacobian", world.jacobian]] },
        { title: `audit's significance (verdict: ${world.verdict})`, series: [["audit", world.significance]], marks: [-world.threshold, world.threshold] },
      ];
      const total = MARGIN.top + heights.reduce((sum, each) => sum + each + MARGIN.gap, 0) + MARGIN.bottom;
      const svg = element("svg", { width, height: total, viewBox: `0 0 ${width} ${total}`, "aria-hidden": "true" }, "", SVG);
      this.x = (wavelength) => MARGIN.left + ((wavelength - this.low) / (this.high - this.low)) * (width - MARGIN.left - MARGIN.right);
      let top = MARGIN.top;
      panels.forEach((panel, number) => {
        this.panel(svg, panel, top, heights[number], width);
        top += heights[number] + MARGIN.gap;
      });
      this.names(svg, heights[0]);
      this.axis(svg, top - MARGIN.gap, width);
      this.cursorLine = element("line", { class: "cursor", y1: MARGIN.top, y2: top - MARGIN.gap }, "", SVG);
      svg.append(this.cursorLine);
      this.plot.replaceChildren(svg);
      this.root.dataset.low = this.low.toFixed(2);
      this.root.dataset.high = this.high.toFixed(2);
      this.read(this.cursor);
    }

    panel(svg, panel, top, height, width) {
      const present = panel.series.filter(([, series]) => series);
      const shown = present.map(([, series]) => this.columns(series));
      const values = [...shown.flat().flatMap((point) => (point ? [point.low, point.high] : [])), ...(panel.marks ?? [])];
      const low = Math.min(...values, 0), high = Math.max(...values, panel.title === "flux" ? 1.1 : 0);
      const y = (value) => top + height - ((value - low) / (high - low || 1)) * height;
      for (const [first, last] of this.data.chips) {
        const [left, right] = [this.x(this.wavelength(first)), this.x(this.wavelength(last))];
        const start = Math.max(left, MARGIN.left), end = Math.min(right, width - MARGIN.right);
        if (end > start) svg.append(element("rect", { class: "chip", x: start, y: top, width: end - start, height }, "", SVG));
      }
      for (const value of this.ticks(low, high)) {
        svg.append(element("text", { class: "tick", x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value).replace("-", "−"), SVG));
      }
      for (const mark of panel.marks ?? []) {
        svg.append(element("line", { class: "threshold", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(mark), y2: y(mark) }, "", SVG));
      }
      present.forEach(([name], number) => {
        let path = "", joined = false;
        for (const point of shown[number]) {
          if (!point) { joined = false; continue; }
          path += `${joined ? "L" : "M"}${point.x.toFixed(1)} ${y(point.first).toFixed(1)}`;
          if (point.low !== point.high) path += `V${y(point.low).toFixed(1)}V${y(point.high).toFixed(1)}`;
          joined = true;
        }
        svg.append(element("path", { class: `series ${name}`, d: path }, "", SVG));
      });
      svg.append(element("text", { class: "title", x: MARGIN.left, y: top - 6 }, panel.title, SVG));
    }

    // The part of a series in view, at most one point a column of the screen; null where the detectors have a gap.
    columns(series) {
      const points = [];
      let last = null;
      for (const run of series.runs) {
        const from = Math.max(Math.floor(this.pixel(this.low)) - run.first, 0);
        const to = Math.min(Math.ceil(this.pixel(this.high)) - run.first, run.values.length - 1);
        if (to >= from) points.push(null);
        last = null;
        for (let number = from; number <= to; number++) {
          const value = run.values[number] * series.unit;
          const x = this.x(this.wavelength(run.first + number));
          if (x < MARGIN.left - 0.5 || x > this.plot.clientWidth - MARGIN.right + 0.5) continue;
          if (last && x - last.x < 1) {
            last.low = Math.min(last.low, value);
            last.high = Math.max(last.high, value);
          } else points.push((last = { x, first: value, low: value, high: value }));
        }
      }
      return points;
    }

    ticks(low, high) {
      const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
      const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
      const found = [];
      for (let value = Math.ceil(low / step); value * step <= high; value++) found.push(Number((value * step).toPrecision(6)));
      return found;
    }

    axis(svg, bottom, width) {
      for (const value of this.ticks(this.low, this.high)) {
        svg.append(element("line", { class: "axis", x1: this.x(value), x2: this.x(value), y1: bottom, y2: bottom + 5 }, "", SVG));
        svg.append(element("text", { class: "tick", x: this.x(value), y: bottom + 18, "text-anchor": "middle" }, angstrom(value, Number.isInteger(value) ? 0 : 1), SVG));
      }
      svg.append(element("text", { class: "tick", x: width - MARGIN.right, y: bottom + 32, "text-anchor": "end" }, "vacuum wavelength (Å)", SVG));
    }

    names(svg, height) {
      const inView = this.data.lines.filter(([wavelength]) => wavelength > this.low && wavelength < this.high).slice(0, MOST_NAMES);
      const taken = [];
      for (const [wavelength, name, heavy] of inView) {
        const x = this.x(wavelength), kind = heavy ? "mark heavy" : "mark";
        svg.append(element("line", { class: kind, x1: x, x2: x, y1: MARGIN.top - 18, y2: MARGIN.top + (heavy ? height : -6) }, "", SVG));
        const half = 4 * name.length + 3;
        if (x - half < 0 || x + half > this.plot.clientWidth || taken.some(([other, reach]) => Math.abs(other - x) < half + reach)) continue;
        taken.push([x, half]);
        svg.append(element("text", { class: kind, x, y: MARGIN.top - 22, "text-anchor": "middle" }, name, SVG));
      }
    }

    valueAt(series, pixel) {
      const run = series.runs.find((each) => pixel >= each.first && pixel < each.first + each.values.length);
      return run ? run.values[pixel - run.first] * series.unit : null;
    }

    read(wavelength) {
      this.cursor = wavelength;
      const inView = wavelength !== null && wavelength >= this.low && wavelength <= this.high;
      this.cursorLine.style.display = inView ? "" : "none";
      if (!inView) { this.reading.textContent = "Point at the spectrum, or focus it and use the arrow keys."; return; }
      this.cursorLine.setAttribute("x1", this.x(wavelength));
      this.cursorLine.setAttribute("x2", this.x(wavelength));
      const pixel = Math.round(this.pixel(wavelength)), world = this.data.worlds[this.state.world];
      const say = (name, series, digits) => {
        const value = series && this.valueAt(series, pixel);
        return value === null || value === undefined ? "" : `${name} ${value.toFixed(digits).replace("-", "−")}`;
      };
      const near = this.data.lines.filter((line) => Math.abs(line[0] - wavelength) < 0.35 + 3 * (this.high - this.low) / this.plot.clientWidth);
      const parts = [say("flux", this.data.spectra[this.state.spectrum], 3), say("with lines", this.planted(), 3),
        say("Jacobian", world.jacobian, 1), say("audit", world.significance, 1),
        near.slice(0, 3).map(([at, name]) => `${name} ${angstrom(at)}`).join(", ")];
      const said = parts.filter(Boolean).join("; ");
      this.reading.textContent = `${angstrom(this.wavelength(pixel))} Å: ${said || "between the detectors, or masked"}`;
    }
  }

  document.querySelectorAll(".explorer").forEach((root) => new Explorer(root));
})();
