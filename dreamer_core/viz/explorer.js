// Puts the dream explorer in the place of each picture on the page that still waits for it.
(() => {
  "use strict";

  const STYLE = `
    :host { all: initial; display: block; max-width: 960px; color-scheme: light; }
    .explorer { background: #fff; color: #222; font: 13px/1.4 system-ui, sans-serif; border: 1px solid #bbb; border-radius: 6px; padding: 10px; }
    .row { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; margin-bottom: 8px; }
    .scene > figure { flex: 1 1 105px; max-width: 190px; margin: 0; text-align: center; }
    .scene canvas { width: 100%; aspect-ratio: 4 / 5; }
    .scene > div { flex: 1 0 max-content; max-width: 100%; overflow-x: auto; }
    table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
    th, td { padding: 1px 6px; text-align: right; font-weight: normal; white-space: nowrap; }
    th:first-child { text-align: left; }
    thead th { font-weight: 600; border-bottom: 1px solid #bbb; }
    canvas { display: block; }
    .wide { width: 100%; margin-top: 4px; cursor: crosshair; touch-action: pan-y; }
    input[type=range] { flex: 1 1 200px; min-width: 120px; }
    button, select { font: inherit; color: #222; background: #f4f4f4; border: 1px solid #888; border-radius: 4px; padding: 2px 8px; }
    button { min-width: 2.4em; }
    :focus-visible { outline: 3px solid #0072B2; outline-offset: 1px; }
    .step { min-width: 6em; font-variant-numeric: tabular-nums; }
    p { margin: 4px 0; color: #444; }
    kbd { border: 1px solid #999; border-radius: 3px; padding: 0 4px; font: 12px ui-monospace, monospace; }
    .key::before { content: ""; display: inline-block; width: 14px; height: 4px; margin-right: 5px; vertical-align: middle; background: var(--colour); }
  `;
  const MARKUP = `
    <section class="explorer" role="group" aria-label="Dream explorer">
      <div class="row">
        <label>dream begins after step <select class="start"></select></label>
        <label>with <select class="actions"></select></label>
      </div>
      <div class="row">
        <button class="back" aria-label="one step back">◀</button>
        <button class="play" aria-label="play">▶ play</button>
        <button class="on" aria-label="one step on">▶</button>
        <input class="time" type="range" min="0" step="1" aria-label="step of the episode">
        <span class="step"></span>
      </div>
      <div class="row scene">
        <figure class="drawn"><figcaption class="key real">real</figcaption><canvas role="img"></canvas></figure>
        <figure class="drawn"><figcaption class="key posterior">posterior</figcaption><canvas role="img"></canvas></figure>
        <figure class="drawn"><figcaption class="key dream">dream</figcaption><canvas role="img"></canvas></figure>
        <figure class="drawn wrong"><figcaption>where it is wrong</figcaption><canvas role="img"></canvas></figure>
        <div><table><thead><tr><th scope="col"></th><th scope="col" class="key real">real</th><th scope="col" class="key posterior">posterior</th>
          <th scope="col" class="key dream">dream</th><th scope="col">90 % of dreams</th></tr></thead><tbody></tbody></table></div>
      </div>
      <canvas class="wide traces" role="img"></canvas>
      <canvas class="wide codes" role="img"></canvas>
      <p class="note"></p>
      <p class="help"><kbd>←</kbd> <kbd>→</kbd> step (<kbd>Shift</kbd>: ten), <kbd>Home</kbd> <kbd>End</kbd>, <kbd>Space</kbd> plays,
        <kbd>S</kbd> next start, <kbd>A</kbd> next actions</p>
    </section>`;

  const GREY = "#666", LEFT = 100, RIGHT = 10, TRACE = 58, GAP = 10, FRAME_MS = 100;

  // ---- data ------------------------------------------------------------------------------------

  // One byte a number: rows of -reach .. reach.
  function unpack({ shape, reach, data }) {
    const bytes = Int8Array.from(atob(data), (c) => c.charCodeAt(0));
    const width = shape[shape.length - 1];
    const rows = [];
    for (let i = 0; i < bytes.length; i += width) rows.push(Array.from(bytes.subarray(i, i + width), (x) => (x / 127) * reach));
    return rows;
  }

  const code = (states) => {
    const z = unpack(states.z);
    return unpack(states.h).map((h, i) => ({ h, z: z[i].map((x) => x / (states.z.reach || 1)) })); // all within -1 .. 1
  };

  // What a row of a world shows, or null where the world has no such row.
  const rowOf = (world, t) => {
    const i = t - world.begin;
    if (i < 0 || i >= world.observation.length) return null;
    const { posterior } = world;
    return {
      real: { observation: world.observation[i], reward: world.reward[i], action: world.action[i], scene: world.seen[i], thin: world.lines[i] },
      posterior: { observation: posterior.observation[i], reward: posterior.reward[i], code: world.codes[i], scene: posterior.seen[i], off: world.off[i] },
    };
  };

  // Everything the page can show of one branch: an array over the steps of the episode.
  function timeline(data, branch) {
    const past = data.worlds[data.branches[0].world], world = data.worlds[branch.world];
    const end = Math.max(...data.branches.map((b) => b.start + b.dream.reward.length - 1));
    return Array.from({ length: end + 1 }, (_, t) => {
      const row = rowOf(t < branch.start ? past : world, t) || {};
      const i = t - branch.start;
      if (i >= 0 && i < branch.dream.reward.length) {
        const { dream, off } = branch;
        row.dream = { observation: dream.observation[i], reward: dream.reward[i], action: branch.action[i], code: branch.codes[i], scene: dream.seen[i], off: off[i] };
        row.band = { observation: branch.band.observation.map((edge) => edge[i]), reward: branch.band.reward.map((edge) => edge[i]) };
        row.ghosts = branch.ghostScenes.map((scenes) => scenes[i]);
      }
      return row;
    });
  }

  // ---- drawing ---------------------------------------------------------------------------------

  // A canvas ready to draw on, in CSS pixels.
  function context(canvas, tall) {
    const blank = SceneCanvas.blank(canvas, tall);
    blank.pen.font = "12px system-ui, sans-serif";
    blank.pen.lineJoin = blank.pen.lineCap = "round";
    return blank;
  }

  // Scenes over one another, below them what is done, and words.
  function drawScenes(canvas, { layers, action, words }, data) {
    const { pen, width, height } = context(canvas);
    for (const { scene, colour, ...style } of layers) {
      const box = SceneCanvas.fitted(scene.view, { x: 0, y: 0, width, height: width });
      SceneCanvas.draw(pen, scene, box, { inks: { ...data.inks, body: colour }, thickness: width / 200, ...style });
    }
    if (action && data.levers && typeof action[0] === "number") {
      SceneCanvas.drawAction(pen, data.levers, action, width / 2, width + (height - width) * 0.3, width / 4, (height - width) * 0.26, GREY);
    }
    Object.assign(pen, { fillStyle: "#222", textAlign: "center", textBaseline: "alphabetic" });
    pen.fillText(words, width / 2, height - 4, width);
    canvas.setAttribute("aria-label", words);
  }

  // Where a picture is wrong, as frames.py draws it: white where it is right, towards one colour for light too much, another for light missing.
  function wrongScene(told, real, { much, missing }) {
    const [one, other] = [told, real].map((scene) => scene.parts[0][5]);
    const [rows, columns, channels] = one.shape;
    const [ours, theirs] = [one, other].map(SceneCanvas.bytesOf);
    const inks = [much, missing].map((ink) => [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16)));
    const bytes = new Uint8Array(3 * rows * columns);
    for (let n = 0; n < rows * columns; n++) {
      let off = 0;
      for (let c = 0; c < channels; c++) off += (ours[channels * n + c] - theirs[channels * n + c]) / channels / 255;
      inks[off > 0 ? 0 : 1].forEach((ink, c) => (bytes[3 * n + c] = Math.round(255 + Math.abs(off) * (ink - 255))));
    }
    const [, ...place] = told.parts[0];
    return { view: told.view, parts: [["picture", ...place.slice(0, 4), { shape: [rows, columns, 3], bytes }, "body"]] };
  }

  // [label, get, low, high] for each line panel; the range holds every branch, so that switching does not rescale.
  function panelsOf(data, timelines) {
    const channel = (label, get) => {
      const seen = [];
      for (const rows of timelines) {
        for (const row of rows) {
          for (const part of [row.real, row.posterior, row.dream]) if (part) seen.push(get(part));
          if (row.band) seen.push(...[0, 1].map((n) => get({ observation: row.band.observation[n], reward: row.band.reward[n] })));
        }
      }
      const numbers = seen.filter((x) => typeof x === "number");
      const low = Math.min(...numbers), high = Math.max(...numbers), edge = 0.06 * (high - low || 1);
      return { label, get, low: low - edge, high: high + edge };
    };
    const size = data.branches[0].action[0].length;
    const { entries, choices } = data.levers || { entries: [], choices: [] };
    const actions = [...entries.map(({ name }) => name), ...choices];
    return [
      ...data.names.map((name, n) => channel(name, (part) => part.observation && part.observation[n])),
      channel("reward", (part) => part.reward),
      ...Array.from({ length: size }, (_, n) => channel(size > 1 ? actions[n] || `action ${n + 1}` : "action", (part) => part.action && part.action[n])),
    ];
  }

  const number = (x) => (typeof x === "number" ? x.toFixed(2) : "–");

  function drawTraces(canvas, panels, rows, start, t, colours) {
    const { pen, width, height } = context(canvas, panels.length * (TRACE + GAP) + 18);
    const end = rows.length - 1, x = (step) => LEFT + (step / end) * (width - LEFT - RIGHT);
    panels.forEach(({ label, get, low, high }, n) => {
      const top = n * (TRACE + GAP) + 4, y = (value) => top + TRACE * (1 - (value - low) / (high - low));
      pen.fillStyle = "#eee";
      pen.fillRect(LEFT, top, x(start) - LEFT, TRACE);
      pen.strokeStyle = "#ccc";
      pen.lineWidth = 1;
      pen.strokeRect(LEFT, top, width - LEFT - RIGHT, TRACE);
      pen.fillStyle = "#222";
      pen.textAlign = "left";
      const lines = wrap(pen, label, LEFT - 40);
      lines.forEach((line, m) => pen.fillText(line, 0, top + TRACE / 2 + 4 + 12 * (m - (lines.length - 1) / 2)));
      pen.textAlign = "right";
      pen.fillStyle = GREY;
      pen.fillText(high.toFixed(1), LEFT - 4, top + 8);
      pen.fillText(low.toFixed(1), LEFT - 4, top + TRACE);
      drawBand(pen, rows, get, x, y, colours.dream);
      for (const [name, dash, thick] of [["dream", [], 2], ["real", [], 3], ["posterior", [4, 4], 1.4]]) {
        pen.strokeStyle = colours[name];
        pen.lineWidth = thick;
        pen.setLineDash(dash);
        pen.beginPath();
        let lifted = true;
        rows.forEach((row, step) => {
          const value = row[name] && get(row[name]);
          if (typeof value !== "number") return void (lifted = true);
          if (lifted) pen.moveTo(x(step), y(value));
          else pen.lineTo(x(step), y(value));
          lifted = false;
        });
        pen.stroke();
        pen.setLineDash([]);
      }
    });
    drawAxis(pen, x, end, height);
    drawCursor(pen, x(t), height - 16);
  }

  function drawBand(pen, rows, get, x, y, colour) {
    const steps = rows.flatMap((row, step) => (row.band ? [step] : []));
    const edge = (step, n) => get({ observation: rows[step].band.observation[n], reward: rows[step].band.reward[n] });
    if (!steps.length || typeof edge(steps[0], 0) !== "number") return;
    pen.beginPath();
    for (const step of steps) pen.lineTo(x(step), y(edge(step, 0)));
    for (const step of steps.slice().reverse()) pen.lineTo(x(step), y(edge(step, 1)));
    pen.globalAlpha = 0.28;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }

  function wrap(pen, label, width) {
    const lines = [""];
    for (const word of label.split(" ")) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (pen.measureText(longer).width > width && lines[lines.length - 1]) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  }

  function drawAxis(pen, x, end, height) {
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((n) => end / n <= 12) || 5000;
    pen.textAlign = "center";
    pen.fillStyle = GREY;
    for (let step = 0; step <= end; step += every) pen.fillText(step, x(step), height - 3);
    pen.textAlign = "left";
    pen.fillText("step", 0, height - 3);
  }

  function drawCursor(pen, x, height) {
    pen.strokeStyle = "#000";
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
    pen.stroke();
  }

  // Blue for -1, white for 0, orange for 1.
  function shade(value) {
    const size = Math.min(1, Math.abs(value));
    const [r, g, b] = value < 0 ? [0, 114, 178] : [213, 94, 0];
    return [r, g, b].map((c) => Math.round(255 + (c - 255) * size));
  }

  // The units of h have no order of their own: from the largest mean to the smallest, the picture is calm.
  function byMean(codes, part) {
    const means = codes[0][part].map((_, n) => codes.reduce((sum, row) => sum + row[part][n], 0));
    return means.map((_, n) => n).sort((a, b) => means[b] - means[a]);
  }

  // One column a step, one row for each entry of `order`.
  function codeImage(codes, part, order) {
    const tall = order.length, image = document.createElement("canvas");
    image.width = codes.length;
    image.height = tall;
    const pen = image.getContext("2d"), pixels = pen.createImageData(codes.length, tall);
    codes.forEach((column, t) => {
      for (let n = 0; column && n < tall; n++) pixels.data.set([...shade(column[part][order[n]]), 255], 4 * (n * codes.length + t));
    });
    pen.putImageData(pixels, 0, 0);
    return image;
  }

  function drawCodes(canvas, images, rows, t, colours) {
    const strips = images.flatMap(({ name, h, z }) => [[name, "h", h, 64], [name, "z", z, Math.min(64, Math.max(28, 4 * z.height))]]);
    const tall = strips.reduce((sum, strip) => sum + strip[3] + 5, 0);
    const { pen, width, height } = context(canvas, tall + 18);
    const end = rows.length - 1, x = (step) => LEFT + (step / end) * (width - LEFT - RIGHT), cell = x(1) - x(0);
    pen.imageSmoothingEnabled = false;
    let top = 2;
    for (const [name, part, image, size] of strips) {
      pen.fillStyle = "#eee"; // no code here
      pen.fillRect(x(0), top, x(end) - x(0), size);
      pen.save();
      pen.beginPath();
      pen.rect(x(0), top, x(end) - x(0), size);
      pen.clip();
      pen.drawImage(image, x(0) - cell / 2, top, x(end) - x(0) + cell, size);
      pen.restore();
      pen.fillStyle = colours[name];
      pen.fillRect(LEFT - 5, top, 3, size);
      pen.fillStyle = "#222";
      pen.fillText(`${part} (${image.height})`, 0, top + size / 2 - 2);
      pen.fillText(name, 0, top + size / 2 + 10);
      top += size + 5;
    }
    drawAxis(pen, x, end, height);
    drawCursor(pen, x(t), height - 16);
  }

  // ---- the explorer ----------------------------------------------------------------------------

  function explore(host) {
    const data = JSON.parse(host.querySelector('script[type="application/json"]').textContent);
    for (const world of data.worlds) {
      world.codes = code(world.posterior);
      [world.seen, world.lines, world.posterior.seen] = [world.scenes, world.thin, world.posterior.scenes].map(SceneCanvas.unpack);
    }
    for (const branch of data.branches) {
      branch.codes = code(branch.dream);
      branch.dream.seen = SceneCanvas.unpack(branch.dream.scenes);
      branch.ghostScenes = branch.ghosts.map(SceneCanvas.unpack);
    }
    const timelines = data.branches.map((branch) => timeline(data, branch));
    const panels = panelsOf(data, timelines);
    const orders = { h: byMean(data.worlds[0].codes, "h"), z: data.worlds[0].codes[0].z.map((_, n) => n) };
    const images = timelines.map((rows) =>
      ["posterior", "dream"].map((name) => {
        const codes = rows.map((row) => row[name] && row[name].code);
        return { name, h: codeImage(codes, "h", orders.h), z: codeImage(codes, "z", orders.z) };
      }),
    );
    const root = host.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${MARKUP}`;
    const find = (selector) => root.querySelector(selector);
    const [section, start, actions, time, play] = [".explorer", ".start", ".actions", ".time", ".play"].map(find);
    if (!data.pictures) find(".wrong").remove();
    const drawings = [...root.querySelectorAll(".drawn canvas")];
    for (const [name, colour] of Object.entries(data.colours)) {
      for (const key of root.querySelectorAll(`.key.${name}`)) key.style.setProperty("--colour", colour);
    }
    const unique = (values) => [...new Set(values)];
    start.innerHTML = unique(data.branches.map((b) => b.start)).map((value) => `<option>${value}</option>`).join("");
    actions.replaceChildren(...unique(data.branches.map((b) => b.actions)).map((value) => new Option(value)));

    let t = data.branches[0].start, timer = null;
    time.max = timelines[0].length - 1;
    const chosen = () => {
      const found = data.branches.findIndex((b) => String(b.start) === start.value && b.actions === actions.value);
      return found < 0 ? data.branches.findIndex((b) => String(b.start) === start.value) : found;
    };

    function draw() {
      if (!section.clientWidth) return; // hidden; the observer below calls again when it is shown
      const now = chosen(), branch = data.branches[now], rows = timelines[now], row = rows[t];
      actions.value = branch.actions;
      time.value = t;
      find("tbody").innerHTML = panels
        .map(({ label, get }) => {
          const value = (name) => `<td>${number(row[name] && get(row[name]))}</td>`;
          const edges = [0, 1].map((n) => row.band && get({ observation: row.band.observation[n], reward: row.band.reward[n] }));
          const band = edges.every((x) => typeof x === "number") ? `${number(edges[0])} … ${number(edges[1])}` : "";
          return `<tr><th scope="row"></th>${value("real")}${value("posterior")}${value("dream")}<td>${band}</td></tr>`;
        })
        .join("");
      root.querySelectorAll("tbody th").forEach((head, n) => (head.textContent = panels[n].label));
      const awake = t <= branch.start;
      find(".step").textContent = `step ${t} of ${time.max}`;
      const state = awake ? "eyes open" : row.dream ? "eyes closed" : "the dream is over";
      const dreamt = row.dream || (awake ? row.posterior : null);
      const off = (part) => (row.real && part && part.off ? `off by ${part.off}` : "");
      const words = [state, off(dreamt)].filter(Boolean).join(", ");
      const layer = (part, colour, style) => (part ? [{ scene: part.scene, colour, ...style }] : []);
      const { real, posterior, dream } = data.colours;
      const ghosts = (row.ghosts || []).map((scene) => ({ scene, colour: dream, alpha: 0.35, thickness: 1 }));
      const outline = dreamt && row.real && !data.pictures ? [{ scene: row.real.thin, colour: real, thickness: 1 }] : [];
      const action = row.real && row.real.action;
      const pictures = [
        { layers: layer(row.real, real), action, words: row.real ? "what happens" : "the episode is over" },
        { layers: layer(row.posterior, posterior), action, words: off(row.posterior) },
        { layers: [...ghosts, ...layer(dreamt, dream), ...outline], action: (row.dream && row.dream.action) || action, words },
      ];
      if (data.pictures) {
        const wrong = dreamt && row.real ? [{ scene: wrongScene(dreamt.scene, row.real.scene, data.wrong), colour: dream }] : [];
        pictures.push({ layers: wrong, words: wrong.length ? "orange: too bright" : "nothing to compare" });
      }
      drawings.forEach((canvas, n) => drawScenes(canvas, pictures[n], data));
      time.setAttribute("aria-valuetext", `step ${t}, ${words}`);
      drawTraces(find(".traces"), panels, rows, branch.start, t, data.colours);
      drawCodes(find(".codes"), images[now], rows, t, data.colours);
      find(".traces").setAttribute("aria-label", `lines of ${panels.map((p) => p.label).join(", ")}: real, posterior, one dream, and a band of ${data.count} dreams`);
      find(".codes").setAttribute("aria-label", "heat maps of h and z in each step, of the posterior and of the dream");
      const recorded = branch.world === data.branches[0].world;
      find(".note").textContent =
        `Grey: the model still sees. Band: 90 % of ${data.count} dreams; thick orange line: one of them. ` +
        `Real: ${recorded ? "the recorded episode." : "what the true environment does with the same actions."}` +
        " Codes: blue −, white 0, orange +; the units of h are sorted by their mean.";
    }

    const go = (step) => {
      t = Math.max(0, Math.min(Number(time.max), step));
      draw();
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "▶ play";
      play.setAttribute("aria-label", "play");
    };
    const toggle = () => {
      if (timer) return stop();
      if (t >= Number(time.max)) go(0);
      play.textContent = "❚❚ pause";
      play.setAttribute("aria-label", "pause");
      timer = setInterval(() => {
        if (t >= Number(time.max) || !host.isConnected) stop();
        else go(t + 1);
      }, FRAME_MS);
    };
    const next = (select) => {
      select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
      draw();
    };
    const jump = () => { // a new start is shown from where the dream begins
      t = data.branches[chosen()].start;
      draw();
    };

    time.addEventListener("input", () => go(Number(time.value)));
    start.addEventListener("change", jump);
    actions.addEventListener("change", draw);
    play.addEventListener("click", toggle);
    find(".back").addEventListener("click", () => go(t - 1));
    find(".on").addEventListener("click", () => go(t + 1));
    const keys = {
      ArrowLeft: (event) => go(t - (event.shiftKey ? 10 : 1)),
      ArrowRight: (event) => go(t + (event.shiftKey ? 10 : 1)),
      Home: () => go(0),
      End: () => go(Number(time.max)),
      " ": toggle,
      s: () => { next(start); jump(); },
      a: () => next(actions),
    };
    section.addEventListener("keydown", (event) => {
      event.stopPropagation(); // a notebook has shortcuts of its own
      const own = event.target.closest("select") || (event.target.closest("button") && event.key === " ");
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (own || !act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act(event);
    });
    for (const canvas of root.querySelectorAll(".wide")) {
      const scrub = (event) => {
        if (event.type === "pointermove" && !event.buttons) return;
        const box = canvas.getBoundingClientRect();
        go(Math.round(((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * time.max));
      };
      canvas.addEventListener("pointerdown", scrub);
      canvas.addEventListener("pointermove", scrub);
      canvas.addEventListener("click", () => time.focus({ preventScroll: true })); // so that the arrow keys go on from here
    }
    // Canvases are drawn to the width they have: now, and whenever it changes.
    const resized = new ResizeObserver(() => requestAnimationFrame(draw));
    resized.observe(section);
    resized.observe(drawings[0]);
    host.dataset.ready = "yes";
  }

  for (const host of document.querySelectorAll(".dream-explorer:not([data-ready])")) explore(host);
})();
