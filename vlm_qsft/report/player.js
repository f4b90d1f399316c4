"use strict";
// Players of recorded episodes. One step is shown at a time; everything on screen is a function of (trace, step, fade).
(() => {
  const VIRIDIS = [
    [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
    [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
  ];
  const FADE_BELOW = 0.01 * 255; // of the likeliest bin, in bytes
  const FADED = 0.12;
  const FILM_FRAMES = 9;
  const FILM_GAP = 3;
  const MAP_WIDTH = 960; // pixels of a map's canvas, about twice what it covers on screen
  const MAP_HEIGHT = 96;
  const MARK = 8; // height of the mark of a chosen bin within its border, in the same pixels

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
      this.maps = [...root.querySelectorAll("canvas.map")];
      this.mapCursor = root.querySelector(".map-cursor");
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
      this.drawMaps();
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
      for (const canvas of [this.film, ...this.maps]) this.seekOn(canvas);
      if (this.fade) this.fade.addEventListener("change", () => { this.drawMaps(); this.draw(); });
      this.rows.forEach((row, dimension) => {
        row.body.addEventListener("pointermove", (event) => {
          const box = row.body.getBoundingClientRect();
          const share = (event.clientX - box.left) / box.width;
          row.hovered = Math.max(0, Math.min(this.trace.bins - 1, Math.floor(share * this.trace.bins)));
          this.write(row, dimension);
        });
        row.body.addEventListener("pointerleave", () => { row.hovered = null; this.write(row, dimension); });
      });
      if (this.cursor) this.seekOn(this.cursor.ownerSVGElement, this.cursor.dataset);
    }

    // Film, maps and chart cover the steps from left to right; of the chart, `start` to `end` of its own units.
    seekOn(canvas, plot) {
      const seek = (event) => {
        const box = canvas.getBoundingClientRect();
        let share = (event.clientX - box.left) / box.width;
        if (plot) {
          const x = share * canvas.viewBox.baseVal.width;
          share = (x - Number(plot.start)) / (Number(plot.end) - Number(plot.start));
        }
        this.pause();
        this.show(Math.floor(share * this.trace.steps));
      };
      canvas.addEventListener("pointerdown", seek);
      canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) seek(event); });
    }

    play() {
      if (this.step === this.trace.steps - 1) this.show(0);
      this.button.textContent = "❚❚";
      this.timer = setInterval(() => {
        if (this.step === this.trace.steps - 1) this.pause();
        else this.show(this.step + 1);
      }, this.trace.period_s * 1000);
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
      this.clock.textContent = `step ${this.step + 1} / ${steps} · ${short(this.step * period, 1)} s`;
      this.drawFrames();
      this.rows.forEach((row, dimension) => {
        this.drawHeat(row, dimension);
        this.drawOdds(row, dimension);
        row.chosen.style.left = `${((this.trace.chosen[this.step][dimension] + 0.5) / this.trace.bins) * 100}%`;
        this.write(row, dimension);
      });
      const share = (this.step + 0.5) / steps;
      this.mapCursor.style.setProperty("--at", String(share));
      if (this.cursor) {
        const { start, end } = this.cursor.dataset;
        const x = Number(start) + share * (Number(end) - Number(start));
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

    // Where the bytes of a step begin for one dimension.
    offset(dimension, step = this.step) {
      return (step * this.rows.length + dimension) * this.trace.bins;
    }

    // Colour of one bin: its Q-value, faint where the policy hardly goes; without Q-values, its probability.
    pixel(at) {
      if (this.q === null) return [110, 120, 132, this.odds[at]];
      return [...PALETTE[this.q[at]], this.fade.checked && this.odds[at] < FADE_BELOW ? 255 * FADED : 255];
    }

    drawHeat(row, dimension) {
      const { bins } = this.trace;
      row.heat.width = bins;
      row.heat.height = 1;
      const context = row.heat.getContext("2d");
      const pixels = context.createImageData(bins, 1);
      const offset = this.offset(dimension);
      for (let bin = 0; bin < bins; bin += 1) pixels.data.set(this.pixel(offset + bin), bin * 4);
      context.putImageData(pixels, 0, 0);
    }

    drawMaps() {
      this.maps.forEach((map, dimension) => this.drawMap(map, dimension));
    }

    // Steps from left to right, bins upwards; every bin that was taken stands out of its neighbours in its own colour.
    drawMap(map, dimension) {
      const { bins, steps, chosen } = this.trace;
      const small = document.createElement("canvas");
      small.width = steps;
      small.height = bins;
      const pixels = small.getContext("2d").createImageData(steps, bins);
      for (let step = 0; step < steps; step += 1) {
        const offset = this.offset(dimension, step);
        for (let bin = 0; bin < bins; bin += 1) {
          pixels.data.set(this.pixel(offset + bin), ((bins - 1 - bin) * steps + step) * 4);
        }
      }
      small.getContext("2d").putImageData(pixels, 0, 0);
      map.width = MAP_WIDTH;
      map.height = MAP_HEIGHT;
      const context = map.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, MAP_WIDTH, MAP_HEIGHT);
      const width = MAP_WIDTH / steps;
      for (let step = 0; step < steps; step += 1) {
        const middle = (1 - (chosen[step][dimension] + 0.5) / bins) * MAP_HEIGHT;
        const top = Math.max(4, Math.min(MAP_HEIGHT - MARK - 4, middle - MARK / 2));
        const [red, green, blue] = this.pixel(this.offset(dimension, step) + chosen[step][dimension]);
        context.fillStyle = "#fff";
        context.fillRect(step * width, top - 4, width, MARK + 8);
        context.fillStyle = "#000";
        context.fillRect(step * width + 1, top - 2, width - 2, MARK + 4);
        context.fillStyle = `rgb(${red} ${green} ${blue})`;
        context.fillRect(step * width + 3, top, width - 6, MARK);
      }
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
