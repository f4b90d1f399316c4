"use strict";
// Players of recorded episodes. One step is shown at a time; everything on screen is a function of (trace, step, fade).
(() => {
  const VIRIDIS = [
    [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
    [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
  ];
  const FADE_BELOW = 0.01 * 255; // of the likeliest bin, in bytes
  const FADED = 0.16;
  const FILM_FRAMES = 9;
  const FILM_GAP = 3;
  const DEFAULT_PERIOD_MS = 200; // only the speed of playing, where the control period was not recorded

  const colour = (byte) => {
    const at = (byte / 255) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
    return VIRIDIS[low].map((from, channel) => Math.round(from + (at - low) * (VIRIDIS[low + 1][channel] - from)));
  };
  const PALETTE = Array.from({ length: 256 }, (_, byte) => colour(byte));
  const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const short = (number, digits = 2) => number.toFixed(digits).replace("-", "−");

  class Player {
    constructor(root) {
      this.root = root;
      this.trace = JSON.parse(root.querySelector("script.trace").textContent);
      this.q = this.trace.q === null ? null : bytesOf(this.trace.q);
      this.odds = bytesOf(this.trace.odds);
      this.step = 0;
      this.timer = null;
      this.scrubber = root.querySelector(".scrubber");
      this.button = root.querySelector(".play");
      this.clock = root.querySelector(".clock");
      this.fade = root.querySelector(".fade");
      this.cursor = root.querySelector(".cursor");
      this.film = root.querySelector(".film");
      this.views = [...root.querySelectorAll("canvas.frame")];
      this.rows = [...root.querySelectorAll(".strip-row")].map((row) => ({
        heat: row.querySelector(".heat"),
        odds: row.querySelector(".odds"),
        chosen: row.querySelector(".chosen"),
        body: row.querySelector(".strip-body"),
        readout: row.querySelector(".strip-readout"),
        hovered: null,
      }));
      this.sheets = this.trace.cameras.map((camera, index) => this.load(camera, this.views[index]));
      this.listen();
      this.draw();
    }

    load(camera, canvas) {
      canvas.width = camera.width;
      canvas.height = camera.height;
      const sheet = new Image();
      sheet.addEventListener("load", () => { this.drawFrames(); this.drawFilm(); });
      sheet.src = camera.uri;
      return sheet;
    }

    listen() {
      this.scrubber.addEventListener("input", () => { this.pause(); this.show(Number(this.scrubber.value)); });
      this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.pause()));
      this.film.addEventListener("click", (event) => {
        const box = this.film.getBoundingClientRect();
        this.pause();
        this.show(Math.round(((event.clientX - box.left) / box.width) * (this.trace.steps - 1)));
      });
      if (this.fade) this.fade.addEventListener("change", () => this.draw());
      this.rows.forEach((row, dimension) => {
        row.body.addEventListener("pointermove", (event) => {
          const box = row.body.getBoundingClientRect();
          const share = (event.clientX - box.left) / box.width;
          row.hovered = Math.max(0, Math.min(this.trace.bins - 1, Math.floor(share * this.trace.bins)));
          this.write(row, dimension);
        });
        row.body.addEventListener("pointerleave", () => { row.hovered = null; this.write(row, dimension); });
      });
      if (this.cursor) {
        const chart = this.cursor.ownerSVGElement;
        const seek = (event) => {
          const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
          const { start, end, low, high } = this.axis();
          this.pause();
          this.show(Math.round(low + ((point.x - start) / (end - start)) * (high - low)));
        };
        chart.addEventListener("pointerdown", seek);
        chart.addEventListener("pointermove", (event) => { if (event.buttons & 1) seek(event); });
      }
    }

    axis() {
      const numbers = {};
      for (const name of ["start", "end", "low", "high"]) numbers[name] = Number(this.cursor.dataset[name]);
      return numbers;
    }

    play() {
      if (this.step === this.trace.steps - 1) this.show(0);
      this.button.textContent = "❚❚";
      const period = this.trace.period_s === null ? DEFAULT_PERIOD_MS : this.trace.period_s * 1000;
      this.timer = setInterval(() => {
        if (this.step === this.trace.steps - 1) this.pause();
        else this.show(this.step + 1);
      }, period);
    }

    pause() {
      clearInterval(this.timer);
      this.timer = null;
      this.button.textContent = "▶";
    }

    show(step) {
      this.step = Math.max(0, Math.min(this.trace.steps - 1, step));
      this.draw();
    }

    draw() {
      this.scrubber.value = String(this.step);
      this.root.dataset.step = String(this.step);
      const { period_s: period, steps } = this.trace;
      const seconds = period === null ? "" : ` · ${short(this.step * period, 1)} s`;
      this.clock.textContent = `step ${this.step + 1} / ${steps}${seconds}`;
      this.drawFrames();
      this.rows.forEach((row, dimension) => {
        this.drawHeat(row, dimension);
        this.drawOdds(row, dimension);
        row.chosen.style.left = `${((this.trace.chosen[this.step][dimension] + 0.5) / this.trace.bins) * 100}%`;
        this.write(row, dimension);
      });
      if (this.cursor) {
        const { start, end, low, high } = this.axis();
        const x = start + ((this.step - low) / (high - low)) * (end - start);
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
      }
    }

    drawFrames() {
      this.trace.cameras.forEach((camera, index) => {
        const sheet = this.sheets && this.sheets[index];
        if (!sheet || !sheet.complete || sheet.naturalWidth === 0) return;
        const left = (this.step % camera.columns) * camera.pitch_x;
        const top = Math.floor(this.step / camera.columns) * camera.pitch_y;
        const context = this.views[index].getContext("2d");
        context.drawImage(sheet, left, top, camera.width, camera.height, 0, 0, camera.width, camera.height);
      });
    }

    // Frames of the first camera at even distances, so that the episode reads at a glance, on paper too.
    drawFilm() {
      const camera = this.trace.cameras[0];
      const sheet = this.sheets && this.sheets[0];
      if (!sheet || !sheet.complete || sheet.naturalWidth === 0) return;
      const count = Math.min(FILM_FRAMES, this.trace.steps);
      this.film.width = count * camera.width + (count - 1) * FILM_GAP;
      this.film.height = camera.height;
      const context = this.film.getContext("2d");
      for (let index = 0; index < count; index += 1) {
        const step = count === 1 ? 0 : Math.round((index / (count - 1)) * (this.trace.steps - 1));
        const left = (step % camera.columns) * camera.pitch_x;
        const top = Math.floor(step / camera.columns) * camera.pitch_y;
        const x = index * (camera.width + FILM_GAP);
        context.drawImage(sheet, left, top, camera.width, camera.height, x, 0, camera.width, camera.height);
      }
    }

    // Where the bytes of the current step begin for one dimension.
    offset(dimension) {
      return (this.step * this.rows.length + dimension) * this.trace.bins;
    }

    drawHeat(row, dimension) {
      const { bins } = this.trace;
      row.heat.width = bins;
      row.heat.height = 1;
      const context = row.heat.getContext("2d");
      const pixels = context.createImageData(bins, 1);
      const offset = this.offset(dimension);
      for (let bin = 0; bin < bins; bin += 1) {
        const odds = this.odds[offset + bin];
        const [red, green, blue] = this.q === null ? [110, 120, 132] : PALETTE[this.q[offset + bin]];
        const faded = this.q === null ? odds / 255 : this.fade.checked && odds < FADE_BELOW ? FADED : 1;
        pixels.data.set([red, green, blue, Math.round(255 * faded)], bin * 4);
      }
      context.putImageData(pixels, 0, 0);
    }

    drawOdds(row, dimension) {
      const { bins } = this.trace;
      const height = 40;
      row.odds.width = bins * 2;
      row.odds.height = height;
      const context = row.odds.getContext("2d");
      context.fillStyle = getComputedStyle(row.body).getPropertyValue("--hump");
      const offset = this.offset(dimension);
      for (let bin = 0; bin < bins; bin += 1) {
        const top = (this.odds[offset + bin] / 255) * height;
        context.fillRect(bin * 2, height - top, 2, top);
      }
    }

    write(row, dimension) {
      const chosen = this.trace.chosen[this.step][dimension];
      const bin = row.hovered === null ? chosen : row.hovered;
      const offset = this.offset(dimension);
      const probability = (this.odds[offset + bin] / 255) * this.trace.peaks[this.step][dimension];
      const physical = this.trace.centers === null ? "" : ` = ${short(this.trace.centers[dimension][bin], 3)}`;
      const parts = [`${row.hovered === null ? "▲ " : ""}bin ${bin}${physical}`];
      if (this.q !== null) parts.push(`Q ${short(this.q[offset + bin] / 255)}`);
      parts.push(probability < 0.001 ? "p < 0.001" : `p ${short(probability, 3)}`);
      row.readout.textContent = parts.join(" · ");
    }
  }

  const players = [...document.querySelectorAll(".player")].map((root) => new Player(root));
  // The humps take their colour from the style sheet, which changes with the scheme.
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", () => players.forEach((player) => player.draw()));
})();
