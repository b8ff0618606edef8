// The browser's half of the play widget: keys in, pictures out. All dynamics are in the kernel
// (game.py); a frame or a scene comes back for every message sent (see `answer` in play.py).

const PAGE = `
  <div class="stage" tabindex="0" role="application" data-lm-suppress-shortcuts="true"
       aria-label="Two pendulums, the true world on the left and the dream on the right. Left and right arrow push both.">
    <canvas aria-hidden="true"></canvas>
    <p class="invite unfocused">Click here, then push with ← and →</p>
    <p class="invite focused">Push with ← or →</p>
  </div>
  <p class="status" role="status"></p>
  <div class="row" data-lm-suppress-shortcuts="true">
    <button class="freeze">Freeze <kbd>space</kbd></button>
    <button class="branch">Branch <kbd>B</kbd></button>
    <button class="actor">Actor drives <kbd>A</kbd></button>
    <button class="reset">Start again <kbd>R</kbd></button>
  </div>
  <div class="row" data-lm-suppress-shortcuts="true">
    <label>Torque <span aria-hidden="true">↺</span><input class="torque" type="range" min="-1" max="1" step="0.05" value="0">
      <span aria-hidden="true">↻</span></label>
    <label>Start from row <input class="start" type="range" min="0" step="1"><span class="at" aria-hidden="true"></span></label>
  </div>
  <dl class="numbers"></dl>
  <div class="legend">
    <span data-of="world">the world (also the ring in the dream)</span><span data-of="dream">the dream</span>
    <span data-of="others"></span><span data-of="ghost">the other branch</span>
  </div>
  <div class="charts"><canvas role="img" aria-label="Charts of the last ten seconds: angle, reward, drift and uncertainty."></canvas></div>
  <p class="compare" hidden></p>
  <p class="help"><kbd>←</kbd> <kbd>→</kbd> push anticlockwise, clockwise · <kbd>space</kbd> freeze, go on ·
    <kbd>B</kbd> back to where you last froze (the upright dashes in the charts) to try another way; what you did becomes the other branch ·
    <kbd>A</kbd> the trained actor drives, seeing only the dream; any push takes over · <kbd>R</kbd> start again ·
    <kbd>Tab</kbd> to the buttons and sliders</p>
  <p class="help">Drift: how far the dream is from the world. Uncertainty: how far the dreams are from one another. The unit is the
    standard deviation of what the model has seen, averaged over cos, sin and velocity.</p>`;

const NUMBERS = ["time", "torque", "reward", "dreamt reward", "drift", "uncertainty", "speed"];
const SILENCE = 3000; // ms without an answer before the page says so

const signed = (x, digits) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(digits);
const number = (x, digits) => (x == null ? "–" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(digits));
const wrapped = (angle) => Math.atan2(Math.sin(angle), Math.cos(angle));
const degrees = (angle) => Math.round((Math.abs(wrapped(angle)) * 180) / Math.PI);

/** A canvas fitted to its box at the screen's resolution, cleared; drawing is in CSS pixels. */
function blank(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// --- the two pendulums ----------------------------------------------------------------------------

/** A rod from the hinge at (x, y): upright at angle 0, anticlockwise positive. */
function rod(pen, x, y, length, angle, style) {
  const [endX, endY] = [x - length * Math.sin(angle), y - length * Math.cos(angle)];
  pen.save();
  Object.assign(pen, { strokeStyle: style.colour, fillStyle: style.colour, lineWidth: style.width, globalAlpha: style.alpha ?? 1, lineCap: "round" });
  pen.setLineDash(style.dash ?? []);
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(endX, endY);
  pen.stroke();
  if (style.bob) {
    pen.setLineDash([]);
    pen.beginPath();
    pen.arc(endX, endY, style.bob, 0, 2 * Math.PI);
    style.hollow ? pen.stroke() : pen.fill();
  }
  pen.restore();
}

/** The torque as an arc with an arrow head around the hinge; `push` in [-1, 1], anticlockwise positive. */
function torqueArrow(pen, x, y, radius, push, colour) {
  if (Math.abs(push) < 0.02) return;
  const from = -Math.PI / 2; // straight up; canvas angles grow clockwise
  const to = from - push * 2.2;
  const turn = Math.sign(push);
  pen.save();
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 4, lineCap: "butt" });
  pen.beginPath();
  pen.arc(x, y, radius, from, to, push > 0);
  pen.stroke();
  pen.translate(x + radius * Math.cos(to), y + radius * Math.sin(to));
  pen.rotate(to - (turn * Math.PI) / 2);
  pen.beginPath();
  pen.moveTo(11, 0);
  pen.lineTo(-3, -8);
  pen.lineTo(-3, 8);
  pen.fill();
  pen.restore();
}

function drawStage(canvas, scene, look) {
  const { pen, width, height } = blank(canvas);
  const frame = scene.trail.at(-1);
  const ghost = scene.ghost[frame.step - (scene.ghost[0]?.step ?? 0)];
  const length = Math.min(width / 4 - 24, (height - 76) / 2);
  const y = 30 + length + 8;
  const panels = [
    { x: width / 4, title: "The world", note: "the true simulator", colour: look.world, angle: frame.world[0], other: ghost?.world[0] },
    { x: (3 * width) / 4, title: "The dream", note: "the learned model", colour: look.dream, angle: frame.dreams[0][0], other: ghost?.dreams[0][0] },
  ];
  for (const { x, title, note, colour, angle, other } of panels) {
    pen.save();
    Object.assign(pen, { strokeStyle: look.ink, lineWidth: 1, globalAlpha: 0.25 });
    pen.beginPath();
    pen.arc(x, y, length, 0, 2 * Math.PI);
    pen.stroke();
    pen.restore();
    Object.assign(pen, { fillStyle: look.ink, textAlign: "center", textBaseline: "top", font: "600 15px system-ui, sans-serif" });
    const titled = pen.measureText(title).width;
    Object.assign(pen, { font: "13px system-ui, sans-serif" });
    const roomy = width > 560;
    const whole = titled + (roomy ? 8 + pen.measureText(note).width : 0);
    Object.assign(pen, { textAlign: "left", globalAlpha: 0.75 });
    if (roomy) pen.fillText(note, x - whole / 2 + titled + 8, 5);
    Object.assign(pen, { globalAlpha: 1, font: "600 15px system-ui, sans-serif" });
    pen.fillText(title, x - whole / 2, 3);
    if (title === "The dream") {
      for (const [one] of frame.dreams.slice(1)) rod(pen, x, y, length, one, { colour, width: 3, alpha: 0.25, bob: 5 });
    }
    if (other !== undefined) rod(pen, x, y, length, other, { colour: look.ink, width: 2, alpha: 0.7, dash: [6, 5], bob: 8, hollow: true });
    rod(pen, x, y, length, angle, { colour, width: 11, bob: 12 });
    if (title === "The dream") { // where the world's bob is, on the rim
      const world = frame.world[0];
      pen.save();
      Object.assign(pen, { strokeStyle: look.world, lineWidth: 4 });
      pen.beginPath();
      pen.arc(x - length * Math.sin(world), y - length * Math.cos(world), 14, 0, 2 * Math.PI);
      pen.stroke();
      pen.restore();
    }
    Object.assign(pen, { fillStyle: look.ink });
    pen.beginPath();
    pen.arc(x, y, 4, 0, 2 * Math.PI);
    pen.fill();
    torqueArrow(pen, x, y, length * 0.42, frame.action, look.ink);
  }
}

// --- the charts -----------------------------------------------------------------------------------

/** A line through the frames' values; gaps where there is none, and where an angle jumps by a turn. */
function trace(pen, frames, at, value, style) {
  pen.save();
  Object.assign(pen, { strokeStyle: style.colour, lineWidth: style.width ?? 2, globalAlpha: style.alpha ?? 1, lineJoin: "round" });
  pen.setLineDash(style.dash ?? []);
  pen.beginPath();
  let before = null;
  for (const frame of frames) {
    const y = value(frame);
    if (y == null) before = null;
    else {
      if (before == null || Math.abs(y - before) > (style.jump ?? Infinity)) pen.moveTo(...at(frame.step, y));
      else pen.lineTo(...at(frame.step, y));
      before = y;
    }
  }
  pen.stroke();
  pen.restore();
}

function drawCharts(canvas, scene, facts, look) {
  const { pen, width, height } = blank(canvas);
  const last = scene.trail.at(-1).step;
  const start = Math.max(0, last - facts.window);
  const seen = scene.trail.filter((frame) => frame.step >= start);
  const ghost = scene.ghost.filter((frame) => frame.step >= start && frame.step <= start + facts.window);
  const [left, right, foot, gap] = [52, 16, 20, 26];
  const tall = (height - foot - 3 * gap) / 3;
  const x = (step) => left + ((step - start) / facts.window) * (width - left - right);
  const farthest = Math.max(...seen.map((f) => Math.max(f.drift, f.uncertainty)), ...ghost.map((f) => f.drift));
  const highest = Math.max(1, Math.ceil(2 * farthest)) / 2; // in halves, so that the axis seldom changes
  const world = { colour: look.world };
  const dream = { colour: look.dream };
  const charts = [
    {
      title: "angle (upright is 0)", low: -180, high: 180, ticks: [-180, 0, 180], unit: "°", jump: 180,
      lines: [[(f) => (wrapped(f.world[0]) * 180) / Math.PI, world], [(f) => (f.dreams[0][0] * 180) / Math.PI, dream]],
    },
    {
      title: "reward: what the world gives, and what the dream predicts", low: -17, high: 0.5, ticks: [-16, -8, 0], unit: "",
      lines: [[(f) => f.reward, world], [(f) => f.dreamt_reward, dream]],
    },
    {
      title: "drift (solid) and uncertainty (dashed), in standard deviations",
      low: 0, high: highest, ticks: [0, highest / 2, highest], unit: "",
      lines: [[(f) => f.drift, { colour: look.drift }], [(f) => f.uncertainty, { colour: look.uncertainty, dash: [5, 3], mine: true }]],
    },
  ];
  pen.font = "12px system-ui, sans-serif";
  charts.forEach(({ title, low, high, ticks, unit, jump, lines }, row) => {
    const top = gap + row * (tall + gap);
    const y = (value) => top + tall * (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low));
    const at = (step, value) => [x(step), y(value)];
    Object.assign(pen, { fillStyle: look.ink, strokeStyle: look.ink, lineWidth: 1, textAlign: "left", textBaseline: "bottom" });
    pen.fillText(title, left, top - 4, width - left - right);
    Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
    for (const tick of ticks) {
      pen.globalAlpha = 0.9;
      pen.fillText(number(tick, Number.isInteger(tick) ? 0 : 2) + unit, left - 6, y(tick));
      pen.globalAlpha = 0.2;
      pen.strokeRect(left, Math.round(y(tick)) + 0.5, width - left - right, 0);
    }
    pen.globalAlpha = 1;
    for (const [value, { colour, mine }] of lines) if (!mine) trace(pen, ghost, at, value, { colour, width: 1.5, dash: [2, 3], jump });
    for (const [value, style] of lines) trace(pen, seen, at, value, { ...style, jump });
    if (scene.mark > start) {
      Object.assign(pen, { globalAlpha: 0.6 });
      pen.setLineDash([3, 3]);
      pen.strokeRect(Math.round(x(scene.mark)) + 0.5, top, 0, tall);
      pen.setLineDash([]);
      pen.globalAlpha = 1;
    }
  });
  Object.assign(pen, { textAlign: "center", textBaseline: "bottom" });
  const every = 2 / facts.dt;
  for (let step = Math.ceil(start / every) * every; step <= start + facts.window; step += every) {
    pen.fillText(`${Math.round(step * facts.dt)}${step + every > start + facts.window ? " s" : ""}`, x(step), height - 1);
  }
}

// --- the widget -----------------------------------------------------------------------------------

function render({ model, el }) {
  const facts = model.get("facts");
  const root = document.createElement("div");
  root.className = "dream-play";
  root.hidden = true; // until the kernel has answered
  root.innerHTML = PAGE;
  const silent = document.createElement("p");
  el.append(root, silent);

  const find = (selector) => root.querySelector(selector);
  const [stage, charts] = [find(".stage canvas"), find(".charts canvas")];
  const [torque, startRow] = [find(".torque"), find(".start")];
  startRow.max = facts.rows - 1;
  find("[data-of=others]").textContent = `${facts.dreams - 1} other dreams, same pushes`;
  const numbers = Object.fromEntries(NUMBERS.map((name) => {
    const box = document.createElement("div");
    box.innerHTML = `<dt>${name}</dt><dd></dd>`;
    find(".numbers").append(box);
    return [name, box.lastChild];
  }));

  let scene = null;
  let look = null; // colours
  const held = new Set(); // arrow keys that are down
  let tapped = 0; // a push that was too short to be seen by a step
  let waiting = false; // for the answer to a step: never more than one on its way
  let asked = 0; // when the oldest unanswered message left
  let due = 0; // when the next step should be asked for
  let timer = null; // that will ask for it
  let skipped = false; // the newest frame was not drawn
  let late = false; // the page has said that the kernel is silent
  let arrivals = []; // of the newest frames
  let nextRow = null; // where the slider stands, while an earlier reset is not answered yet
  let resetting = false;
  let onScreen = true;

  const send = (message) => {
    asked ||= performance.now();
    model.send(message);
  };

  // - acting -

  const push = () => {
    const keys = (held.has("ArrowLeft") ? 1 : 0) - (held.has("ArrowRight") ? 1 : 0);
    return keys || tapped || -Number(torque.value); // the slider's left is anticlockwise, which is positive
  };

  const step = () => {
    if (waiting || !scene || scene.frozen || !onScreen) return;
    waiting = true;
    send({ kind: "step", action: push() });
    tapped = 0;
  };

  /** Ask for the next step in real time: 20 a second. */
  const goOn = () => {
    due = Math.max(due + 1000 * facts.dt, performance.now());
    clearTimeout(timer);
    timer = setTimeout(step, due - performance.now());
  };

  // What a command will do is believed at once: on a slow machine the next key may come before the answer.
  const resume = () => {
    scene.frozen = false;
    send({ kind: "resume" });
  };
  const handOver = (on) => {
    scene.actor = on;
    send({ kind: "actor", on });
  };
  const takeOver = () => scene.actor && handOver(false);

  const commands = {
    freeze: () => {
      if (scene.frozen) return resume();
      scene.frozen = true;
      send({ kind: "freeze" });
    },
    branch: () => {
      scene.frozen = true;
      send({ kind: "branch" });
    },
    actor: () => {
      handOver(!scene.actor);
      if (scene.actor) resume();
    },
    reset: () => {
      scene.frozen = true;
      send({ kind: "reset", row: scene.row });
    },
  };
  const letters = { b: "branch", a: "actor", r: "reset" };

  const keydown = (event) => {
    if (!scene || event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    event.stopPropagation(); // the notebook would take the focus away
    const onStage = event.target === find(".stage");
    if (event.key.startsWith("Arrow") && !onStage) return; // a slider's own keys
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (!event.repeat) {
        takeOver();
        held.add(event.key);
        tapped = event.key === "ArrowLeft" ? 1 : -1;
        torque.value = 0;
        if (scene.frozen) resume();
      }
    } else if (event.key === " " && onStage) {
      if (!event.repeat) commands.freeze();
    } else if (letters[event.key.toLowerCase()]) {
      if (!event.repeat) commands[letters[event.key.toLowerCase()]]();
    } else return;
    event.preventDefault();
  };
  const keyup = (event) => held.delete(event.key);

  root.addEventListener("keydown", keydown);
  root.addEventListener("keyup", keyup);
  find(".stage").addEventListener("blur", () => held.clear());
  for (const [name, command] of Object.entries(commands)) find(`button.${name}`).addEventListener("click", command);
  torque.addEventListener("input", () => {
    takeOver();
    paint();
  });
  const reset = () => {
    if (resetting || nextRow === null) return;
    resetting = true;
    send({ kind: "reset", row: nextRow });
    nextRow = null;
  };
  startRow.addEventListener("input", () => {
    nextRow = Number(startRow.value);
    reset();
  });

  // - hearing -

  const heard = (message) => {
    asked = 0;
    if (message.kind === "error") {
      waiting = resetting = false;
      find(".status").textContent = message.text;
      return;
    }
    if (message.kind === "frame") {
      waiting = false;
      const fresh = message.frame.step > scene.trail.at(-1).step;
      if (fresh) scene.trail.push(message.frame);
      if (scene.trail.length > facts.window + 1) scene.trail.shift();
      arrivals = [...arrivals.slice(-20), performance.now()];
    } else {
      const first = scene === null;
      scene = message;
      resetting = false;
      reset();
      arrivals = [];
      if (first) wake();
      describe();
    }
    if (late) describe();
    late = false;
    // A slow machine keeps to real time by drawing every other step.
    skipped = message.kind === "frame" && !skipped && performance.now() > due + 500 * facts.dt;
    if (skipped) goOn();
    else
      requestAnimationFrame(() => {
        paint();
        goOn();
      });
  };
  model.on("msg:custom", heard);

  const wake = () => {
    root.hidden = false;
    silent.remove();
    const still = document.getElementById(facts.still);
    if (still) still.style.display = "none";
  };

  // - showing -

  /** Say in words what changed; for everyone, and read aloud by screen readers. */
  const describe = () => {
    const frame = scene.trail.at(-1);
    const where = `world ${degrees(frame.world[0])}° from upright, dream ${degrees(frame.dreams[0][0])}°, drift ${frame.drift.toFixed(2)}`;
    const who = scene.actor ? "The actor drives." : "You drive.";
    find(".status").textContent = scene.frozen ? `Frozen at ${(frame.step * facts.dt).toFixed(2)} s: ${where}. ${who}` : who;
    find(".freeze").firstChild.data = scene.frozen ? "Go on " : "Freeze ";
    find(".actor").setAttribute("aria-pressed", scene.actor);
    find(".invite.focused").hidden = find(".invite.unfocused").hidden = !scene.frozen;
    find("[data-of=ghost]").hidden = scene.ghost.length === 0;
    startRow.value = nextRow ?? scene.row;
    find(".at").textContent = `${nextRow ?? scene.row} of ${facts.rows - 1}`;
  };

  const speed = () => (arrivals.length < 3 ? null : (1000 * (arrivals.length - 1)) / (arrivals.at(-1) - arrivals[0]));

  /** Rewards collected since the branches parted, both cut to the same length. */
  const compare = () => {
    const here = find(".compare");
    const mine = scene.trail.filter((frame) => frame.step > scene.mark);
    const count = Math.min(mine.length, scene.ghost.length - 1);
    here.hidden = count < 1 || scene.ghost[0].step !== scene.mark;
    if (here.hidden) return;
    const sum = (frames, name) => number(frames.slice(0, count).reduce((total, frame) => total + frame[name], 0), 1);
    const other = scene.ghost.slice(1);
    here.textContent =
      `Reward of the first ${(count * facts.dt).toFixed(2)} s after the branch: world ${sum(mine, "reward")}, other branch ${sum(other, "reward")}; ` +
      `dream ${sum(mine, "dreamt_reward")}, other branch ${sum(other, "dreamt_reward")}.`;
  };

  /** Take the page's ink; all other colours can be seen on light pages and on dark ones. */
  const dress = () => {
    const ink = getComputedStyle(root).color;
    look = { ...facts.colours, ink };
    const legend = { world: look.world, dream: look.dream, others: look.dream + "66", ghost: ink };
    for (const [name, colour] of Object.entries(legend)) find(`[data-of=${name}]`).style.setProperty("--colour", colour);
    paint();
  };

  const paint = () => {
    if (!scene || !look || !stage.clientWidth) return;
    const frame = scene.trail.at(-1);
    drawStage(stage, scene, look);
    drawCharts(charts, scene, facts, look);
    numbers.time.textContent = `${(frame.step * facts.dt).toFixed(2)} s`;
    numbers.torque.textContent = `${signed(frame.action * facts.torque, 1)} N·m`;
    numbers.reward.textContent = number(frame.reward, 2);
    numbers["dreamt reward"].textContent = number(frame.dreamt_reward, 2);
    numbers.drift.textContent = frame.drift.toFixed(2);
    numbers.uncertainty.textContent = frame.uncertainty.toFixed(2);
    numbers.speed.textContent = scene.frozen || !speed() ? "–" : `${speed().toFixed(1)} steps/s`;
    torque.setAttribute("aria-valuetext", `${Math.abs(torque.value * facts.torque).toFixed(1)} newton metres ${torque.value > 0 ? "clockwise" : "anticlockwise"}`);
    compare();
    Object.assign(root.dataset, { step: frame.step, dream: frame.dreams[0][0], world: frame.world[0], speed: speed()?.toFixed(1) ?? "" });
  };

  const watch = setInterval(() => {
    if (!scene) model.send({ kind: "look" }); // what is sent while a page still connects can be lost
    if (!asked || performance.now() - asked < SILENCE) return;
    late = true;
    const text = "The kernel does not answer: it is busy with another cell, or this cell has to be run again.";
    (scene ? find(".status") : silent).textContent = text;
  }, 1000);
  const resized = new ResizeObserver(dress);
  resized.observe(root);
  const themed = new MutationObserver(() => setTimeout(dress, 300)); // the theme's style sheet takes a moment
  themed.observe(document.body, { attributes: true });
  const seen = new IntersectionObserver((entries) => {
    onScreen = entries.at(-1).isIntersecting;
    step();
  });
  seen.observe(root);
  send({ kind: "look" });

  return () => {
    clearInterval(watch);
    clearTimeout(timer);
    resized.disconnect();
    themed.disconnect();
    seen.disconnect();
    model.off("msg:custom", heard);
  };
}

export default { render };
