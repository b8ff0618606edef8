// The browser's half of the play widget: keys in, pictures out. It draws with scene.js.
//
// `mount` shows a game and takes the keys. It knows its frames by messages alone: a frame or a whole game comes back for every
// message sent (see `answer` in play.py). `render` at the end has them from the kernel, where all dynamics are (game.py).

const KEYS = [["ArrowLeft", "ArrowRight"], ["ArrowDown", "ArrowUp"]]; // less and more of each lever
const ENDS = [["←", "→"], ["↓", "↑"]];
const SIGNS = ["−", "+"]; // of a lever that has no keys
const TURNS = ["↺", "↻"];

const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** The sliders of the levers, or the list of the choices. */
const hands = ({ entries, choices }) =>
  choices.length
    ? `<label>Choice <select class="choice">${choices.map((word, n) => `<option value="${n}">${escaped(word)}</option>`).join("")}</select></label>`
    : entries.map(({ name, turns }, n) => {
        const [less, more] = turns ? TURNS : (ENDS[n] ?? SIGNS);
        return `<label>${escaped(capital(name))} <span aria-hidden="true">${less}</span>
        <input class="lever" type="range" min="-1" max="1" step="0.05" value="0"> <span aria-hidden="true">${more}</span></label>`;
      }).join("");

/** What the key for more of a lever, or its slider's right end, does to it: a torque counts anticlockwise. */
const way = ({ turns }) => (turns ? -1 : 1);

/** Which keys act, in words. */
const keys = ({ entries, choices }) => (choices.length || entries.length < 2 ? "← or →" : "← → ↑ ↓");
const help = ({ entries, choices }) =>
  choices.length
    ? `<kbd>←</kbd> <kbd>→</kbd> the choice before, the next one: it stays chosen`
    : entries.slice(0, KEYS.length).map(({ name, turns }, n) => ENDS[n].map((end) => `<kbd>${end}</kbd>`).join(" ") + ` ${escaped(name)}${turns ? " anticlockwise, clockwise" : ""}`).join(" · ") +
      (entries.length > KEYS.length ? " · a slider for each of the others" : "");

const page = (facts) => `
  <div class="stage" tabindex="0" role="application" data-lm-suppress-shortcuts="true"
       aria-label="${escaped(facts.world)}: the true world on the left and the dream on the right. The arrow keys act on both.">
    <canvas aria-hidden="true"></canvas>
    <p class="invite unfocused">Click here, then push with ${keys(facts.levers)}</p>
    <p class="invite focused">Push with ${keys(facts.levers)}</p>
  </div>
  <p class="status" role="status"></p>
  <div class="row" data-lm-suppress-shortcuts="true">
    <button class="freeze">Freeze <kbd>space</kbd></button>
    <button class="branch">Branch <kbd>B</kbd></button>
    <button class="actor">Actor drives <kbd>A</kbd></button>
    <button class="reset">Start again <kbd>R</kbd></button>
  </div>
  <div class="row" data-lm-suppress-shortcuts="true">
    ${hands(facts.levers)}
    <label>Start from row <input class="start" type="range" min="0" step="1"><span class="at" aria-hidden="true"></span></label>
  </div>
  <dl class="numbers"></dl>
  <div class="legend">
    <span data-of="world">the world${facts.pictures ? "" : " (also the thin lines in the dream)"}</span><span data-of="dream">the dream</span>
    <span data-of="others"></span><span data-of="ghost">the other branch</span>
  </div>
  <div class="charts"><canvas role="img" aria-label="Charts of the last ${facts.window} steps: ${escaped([...facts.charts.map(({ label }) => label), "reward, drift and uncertainty"].join(", "))}."></canvas></div>
  <p class="compare" hidden></p>
  <p class="help">${help(facts.levers)} · <kbd>space</kbd> freeze, go on ·
    <kbd>B</kbd> back to where you last froze (the upright dashes in the charts) to try another way; what you did becomes the other branch ·
    <kbd>A</kbd> the trained actor drives, seeing only the dream; any key of yours takes over · <kbd>R</kbd> start again ·
    <kbd>Tab</kbd> to the buttons and sliders</p>
  <p class="help">Drift: how far the dream is from the world. Uncertainty: how far the dreams are from one another. ${facts.unit.words}</p>`;

const SILENCE = 3000; // ms without an answer before the page says so

const signed = (x, digits) => (Number(x.toFixed(digits)) < 0 ? "−" : "+") + Math.abs(x).toFixed(digits);
const number = (x, digits) => (x == null ? "–" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(digits));

/** A step in the world's own time, or by its number where the world has none. */
const when = (step, { seconds }) => (seconds ? `${(step * seconds).toFixed(2)} s` : `step ${step}`);

/** What an entry of an action is in the world's own unit, in words. */
function told({ low, high, unit }, value) {
  const own = (low + high) / 2 + (value * (high - low)) / 2;
  const digits = Math.max(1, Math.ceil(-Math.log10(Math.max(Math.abs(low), Math.abs(high)) || 1)) + 1);
  return `${signed(own, digits)} ${unit}`.trim();
}

// --- world and dream ------------------------------------------------------------------------------

const [TOP, FOOT] = [30, 62]; // CSS pixels for the titles, and for what is done and the invitation

function drawStage(canvas, game, facts, look) {
  const { pen, width, height } = SceneCanvas.blank(canvas);
  const frame = game.trail.at(-1);
  const ghost = game.ghost[frame.step - (game.ghost[0]?.step ?? 0)];
  const { world, real, dream, others } = frame.scenes;
  const gone = frame.drift === null; // the world is over, and shows what it showed last
  const line = (colour, style) => ({ inks: { body: colour }, ...style });
  const panels = [
    { title: "The world", note: "the true simulator", colour: look.world, scene: world, alpha: gone ? 0.35 : 1, thin: [] },
    { title: "The dream", note: "the learned model", colour: look.dream, scene: dream, alpha: 1, thin: others, over: gone ? null : real },
  ];
  panels.forEach(({ title, note, colour, scene, alpha, thin, over }, n) => {
    const middle = ((2 * n + 1) * width) / 4;
    Object.assign(pen, { fillStyle: look.ink, textAlign: "left", textBaseline: "top", font: "600 15px system-ui, sans-serif" });
    const titled = pen.measureText(title).width;
    Object.assign(pen, { font: "13px system-ui, sans-serif" });
    const roomy = width > 560;
    const whole = titled + (roomy ? 8 + pen.measureText(note).width : 0);
    pen.globalAlpha = 0.75;
    if (roomy) pen.fillText(note, middle - whole / 2 + titled + 8, 5);
    Object.assign(pen, { globalAlpha: 1, font: "600 15px system-ui, sans-serif" });
    pen.fillText(title, middle - whole / 2, 3);
    const box = SceneCanvas.fitted(scene.view, { x: (n * width) / 2 + 8, y: TOP, width: width / 2 - 16, height: height - TOP - FOOT });
    const inks = { ...facts.inks, body: colour };
    for (const other of thin) SceneCanvas.draw(pen, other, box, line(colour, { alpha: 0.3, thickness: 1.5 }));
    SceneCanvas.draw(pen, scene, box, { inks, alpha });
    const before = n === 0 ? ghost?.scenes.world : ghost?.scenes.dream;
    if (before) SceneCanvas.draw(pen, before, box, line(look.ink, { alpha: 0.7, dash: [6, 5] }));
    if (over) SceneCanvas.draw(pen, over, box, line(look.world, { thickness: 1.5 }));
    if (n === 0 && gone) {
      Object.assign(pen, { fillStyle: look.ink, textAlign: "center", textBaseline: "middle", font: "600 15px system-ui, sans-serif" });
      pen.fillText("it is over", middle, box.y + box.height / 2);
    }
    SceneCanvas.drawAction(pen, facts.levers, frame.action, middle, height - FOOT + 20, Math.min(70, width / 4 - 16), 16, look.ink);
  });
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

/** The smallest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is no less. */
function nice(x) {
  const ten = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].find((n) => n * ten >= x * (1 - 1e-9)) * ten;
}

/** An axis that holds these values: its ends and the ticks between them; in round numbers, so that it seldom changes. */
function axis(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const every = nice(Math.max(high - low, 1e-6 * Math.max(Math.abs(low), Math.abs(high)), 1e-9) / 4);
  const [first, last] = [Math.floor(low / every + 1e-9), Math.max(Math.ceil(high / every - 1e-9), Math.floor(low / every + 1e-9) + 1)];
  const ticks = Array.from({ length: last - first + 1 }, (_, n) => (first + n) * every);
  return { low: ticks[0], high: ticks.at(-1), ticks, digits: Math.max(0, -Math.floor(Math.log10(every) + 1e-9)) };
}

const [TALL, GAP, BELOW] = [70, 28, 22]; // CSS pixels of a chart, above each for its title, and for the time below them all

function drawCharts(canvas, game, facts, look) {
  const { pen, width, height } = SceneCanvas.blank(canvas, (facts.charts.length + 2) * (TALL + GAP) + BELOW);
  const last = game.trail.at(-1).step;
  const start = Math.max(0, last - facts.window);
  const seen = game.trail.filter((frame) => frame.step >= start);
  const ghost = game.ghost.filter((frame) => frame.step >= start && frame.step <= start + facts.window);
  const [left, right] = [58, 16];
  const x = (step) => left + ((step - start) / facts.window) * (width - left - right);
  const world = { colour: look.world };
  const dream = { colour: look.dream };
  const charts = [
    ...facts.charts.map(({ label, low, high, turn }, n) => ({
      title: label,
      range: turn ? { low, high, ticks: [low, (low + high) / 2, high], digits: 0 } : null,
      always: [low, high],
      jump: turn ? turn / 2 : Infinity,
      lines: [[(f) => f.world[n], world], [(f) => f.dream[n], dream]],
    })),
    {
      title: "reward: what the world gives, and what the dream predicts",
      always: facts.rewards,
      lines: [[(f) => f.reward, world], [(f) => f.dreamt_reward, dream]],
    },
    {
      title: `drift (solid) and uncertainty (dashed), ${facts.unit.short}`,
      always: [0, facts.unit.much],
      lines: [[(f) => f.drift, { colour: look.drift }], [(f) => f.uncertainty, { colour: look.uncertainty, dash: [5, 3], mine: true }]],
    },
  ];
  pen.font = "12px system-ui, sans-serif";
  charts.forEach(({ title, range, always, jump, lines }, row) => {
    const top = GAP + row * (TALL + GAP);
    const values = [...seen, ...ghost].flatMap((frame) => lines.map(([value]) => value(frame))).filter((value) => value != null);
    const { low, high, ticks, digits } = range ?? axis([...always, ...values]);
    const y = (value) => top + TALL * (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low));
    const at = (step, value) => [x(step), y(value)];
    Object.assign(pen, { fillStyle: look.ink, strokeStyle: look.ink, lineWidth: 1, textAlign: "left", textBaseline: "bottom" });
    pen.fillText(title, left, top - 5, width - left - right);
    Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
    for (const tick of ticks) {
      pen.globalAlpha = 0.9;
      pen.fillText(number(tick, digits), left - 6, y(tick));
      pen.globalAlpha = 0.2;
      pen.strokeRect(left, Math.round(y(tick)) + 0.5, width - left - right, 0);
    }
    pen.globalAlpha = 1;
    for (const [value, { colour, mine }] of lines) if (!mine) trace(pen, ghost, at, value, { colour, width: 1.5, dash: [2, 3], jump });
    for (const [value, style] of lines) trace(pen, seen, at, value, { ...style, jump });
    if (game.mark > start) {
      Object.assign(pen, { globalAlpha: 0.6 });
      pen.setLineDash([3, 3]);
      pen.strokeRect(Math.round(x(game.mark)) + 0.5, top, 0, TALL);
      pen.setLineDash([]);
      pen.globalAlpha = 1;
    }
  });
  Object.assign(pen, { textAlign: "center", textBaseline: "bottom" });
  const unit = facts.seconds ?? 1; // of the time below: seconds, or steps
  const every = nice((facts.window * unit) / 6);
  for (let time = Math.ceil(start * unit / every) * every; time <= (start + facts.window) * unit + 1e-9; time += every) {
    const end = time + every > (start + facts.window) * unit;
    const words = `${Number(time.toPrecision(6))}${end ? (facts.seconds ? " s" : " steps") : ""}`;
    pen.fillText(words, Math.min(x(time / unit), width - pen.measureText(words).width / 2), height - 1);
  }
}

// --- the widget -----------------------------------------------------------------------------------

/**
 * Show a game in `el`, and drive it. `source` gives its frames: `send(message)` asks, `listen(heard)` tells who hears each answer
 * and returns what ends that, `silence` says what it means if none comes. Returns what takes the game off the page.
 */
function mount(el, facts, source) {
  const { entries, choices } = facts.levers;
  const root = document.createElement("div");
  root.className = "dream-play";
  root.hidden = true; // until the source has answered
  root.innerHTML = page(facts);
  const silent = document.createElement("p");
  el.append(root, silent);

  const find = (selector) => root.querySelector(selector);
  const [stage, charts] = [find(".stage canvas"), find(".charts canvas")];
  const [sliders, choice, startRow] = [[...root.querySelectorAll(".lever")], find(".choice"), find(".start")];
  if (choice) choice.value = Math.floor((choices.length - 1) / 2); // the middle one: where there are three it often does nothing
  startRow.max = facts.rows - 1;
  find("[data-of=others]").hidden = facts.pictures; // many pictures over one another show nothing: their spread is in the chart
  find("[data-of=others]").textContent = `${facts.dreams - 1} other dreams, same actions`;
  const done = choices.length ? ["choice"] : entries.map(({ name }) => name);
  const names = [facts.seconds ? "time" : "steps", ...done, "reward", "dreamt reward", "drift", "uncertainty", "speed"];
  const numbers = names.map((name) => {
    const box = document.createElement("div");
    box.innerHTML = `<dt>${escaped(name)}</dt><dd></dd>`;
    find(".numbers").append(box);
    return box.lastChild;
  });

  let game = null;
  let look = null; // colours
  const held = new Set(); // arrow keys that are down
  const tapped = entries.map(() => 0); // pushes that were too short to be seen by a step
  let waiting = false; // for the answer to a step: never more than one on its way
  let asked = 0; // when the oldest unanswered message left
  let due = 0; // when the next step should be asked for
  let timer = null; // that will ask for it
  let skipped = false; // the newest frame was not drawn
  let late = false; // the page has said that the source is silent
  let arrivals = []; // of the newest frames
  let nextRow = null; // where the slider stands, while an earlier reset is not answered yet
  let resetting = false;
  let onScreen = true;

  const send = (message) => {
    asked ||= performance.now();
    source.send(message);
  };

  // - acting -

  const push = () =>
    choices.length
      ? Number(choice.value)
      : entries.map((lever, n) => {
          const [less, more] = (KEYS[n] ?? ["", ""]).map((key) => (held.has(key) ? 1 : 0)); // some levers have a slider alone
          const pushed = more - less || tapped[n];
          return way(lever) * (pushed || Number(sliders[n].value)) || 0; // no minus before a zero
        });

  const step = () => {
    if (waiting || !game || game.frozen || !onScreen) return;
    waiting = true;
    send({ kind: "step", action: push() });
    tapped.fill(0);
  };

  /** Ask for the next step at the page's pace. */
  const goOn = () => {
    due = Math.max(due + 1000 * facts.pace, performance.now());
    clearTimeout(timer);
    timer = setTimeout(step, due - performance.now());
  };

  // What a command will do is believed at once: on a slow machine the next key may come before the answer.
  const resume = () => {
    game.frozen = false;
    send({ kind: "resume" });
  };
  const handOver = (on) => {
    game.actor = on;
    send({ kind: "actor", on });
  };
  const takeOver = () => game.actor && handOver(false);

  const commands = {
    freeze: () => {
      if (game.frozen) return resume();
      game.frozen = true;
      send({ kind: "freeze" });
    },
    branch: () => {
      game.frozen = true;
      send({ kind: "branch" });
    },
    actor: () => {
      handOver(!game.actor);
      if (game.actor) resume();
    },
    reset: () => {
      game.frozen = true;
      send({ kind: "reset", row: game.row });
    },
  };
  const letters = { b: "branch", a: "actor", r: "reset" };

  /** An arrow key: a push for as long as it is down, or the next choice, which stays. */
  const arrow = (key) => {
    takeOver();
    if (choices.length) {
      const next = Number(choice.value) + (key === KEYS[0][1] ? 1 : -1);
      choice.value = Math.min(choices.length - 1, Math.max(0, next));
    } else {
      const lever = KEYS.findIndex((pair) => pair.includes(key));
      held.add(key);
      tapped[lever] = key === KEYS[lever][1] ? 1 : -1;
      sliders[lever].value = 0;
    }
    if (game.frozen) resume();
  };
  const acting = KEYS.slice(0, Math.max(1, entries.length)).flat();

  const keydown = (event) => {
    if (!game || event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    event.stopPropagation(); // the notebook would take the focus away
    const onStage = event.target === find(".stage");
    if (event.key.startsWith("Arrow") && !onStage) return; // a slider's own keys
    if (acting.includes(event.key)) {
      if (!event.repeat) arrow(event.key);
    } else if (event.key === " " && onStage) {
      if (!event.repeat) commands.freeze();
    } else if (letters[event.key.toLowerCase()] && event.target !== choice) {
      if (!event.repeat) commands[letters[event.key.toLowerCase()]]();
    } else return;
    event.preventDefault();
  };
  const keyup = (event) => held.delete(event.key);

  root.addEventListener("keydown", keydown);
  root.addEventListener("keyup", keyup);
  find(".stage").addEventListener("blur", () => held.clear());
  for (const [name, command] of Object.entries(commands)) find(`button.${name}`).addEventListener("click", command);
  for (const hand of [...sliders, ...(choice ? [choice] : [])]) {
    hand.addEventListener("input", () => {
      takeOver();
      paint();
    });
  }
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
      const fresh = message.frame.step > game.trail.at(-1).step;
      const ended = message.frame.over && !game.trail.at(-1).over;
      if (fresh) game.trail.push(message.frame);
      if (ended) describe();
      if (game.trail.length > facts.window + 1) game.trail.shift();
      arrivals = [...arrivals.slice(-20), performance.now()];
    } else {
      const first = game === null;
      game = message;
      resetting = false;
      reset();
      arrivals = [];
      if (first) wake();
      describe();
    }
    if (late) describe();
    late = false;
    // A slow machine keeps to real time by drawing every other step.
    skipped = message.kind === "frame" && !skipped && performance.now() > due + 500 * facts.pace;
    if (skipped) goOn();
    else
      requestAnimationFrame(() => {
        paint();
        goOn();
      });
  };
  const unheard = source.listen(heard);

  const wake = () => {
    root.hidden = false;
    silent.remove();
    const still = document.getElementById(facts.still);
    if (still) still.style.display = "none";
  };

  // - showing -

  /** Say in words what changed; for everyone, and read aloud by screen readers. */
  const describe = () => {
    const frame = game.trail.at(-1);
    const apart = frame.off ? `the dream is off by ${frame.off}, ` : "";
    const where = frame.drift === null ? "" : `: ${apart}drift ${frame.drift.toFixed(2)}`;
    const who = game.actor ? "The actor drives." : "You drive.";
    const over = frame.over ? " The world is over; the dream goes on." : "";
    find(".status").textContent = (game.frozen ? `Frozen at ${when(frame.step, facts)}${where}. ${who}` : who) + over;
    find(".freeze").firstChild.data = game.frozen ? "Go on " : "Freeze ";
    find(".actor").setAttribute("aria-pressed", game.actor);
    find(".invite.focused").hidden = find(".invite.unfocused").hidden = !game.frozen;
    find("[data-of=ghost]").hidden = game.ghost.length === 0; // of pictures, its lines in the charts
    startRow.value = nextRow ?? game.row;
    find(".at").textContent = `${nextRow ?? game.row} of ${facts.rows - 1}`;
  };

  const speed = () => (arrivals.length < 3 ? null : (1000 * (arrivals.length - 1)) / (arrivals.at(-1) - arrivals[0]));

  /** Rewards collected since the branches parted, both cut to the same length. */
  const compare = () => {
    const here = find(".compare");
    const mine = game.trail.filter((frame) => frame.step > game.mark);
    const count = Math.min(mine.length, game.ghost.length - 1);
    here.hidden = count < 1 || game.ghost[0].step !== game.mark;
    if (here.hidden) return;
    const sum = (frames, name) => number(frames.slice(0, count).reduce((total, frame) => total + frame[name], 0), 1);
    const other = game.ghost.slice(1);
    here.textContent =
      `Reward of the first ${facts.seconds ? when(count, facts) : `${count} steps`} after the branch: world ${sum(mine, "reward")}, other branch ${sum(other, "reward")}; ` +
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
    if (!game || !look || !stage.clientWidth) return;
    const frame = game.trail.at(-1);
    drawStage(stage, game, facts, look);
    drawCharts(charts, game, facts, look);
    const acted = choices.length ? [choices[frame.action.indexOf(1)] ?? "–"] : entries.map((lever, n) => told(lever, frame.action[n]));
    const rate = game.frozen || !speed() ? "–" : `${speed().toFixed(1)} steps/s`;
    const [drift, uncertainty] = [number(frame.drift, 2), number(frame.uncertainty, 2)];
    const time = facts.seconds ? when(frame.step, facts) : frame.step;
    const shown = [time, ...acted, number(frame.reward, 2), number(frame.dreamt_reward, 2), drift, uncertainty, rate];
    shown.forEach((words, n) => (numbers[n].textContent = words));
    sliders.forEach((slider, n) => slider.setAttribute("aria-valuetext", told(entries[n], way(entries[n]) * slider.value)));
    compare();
    Object.assign(root.dataset, { step: frame.step, dream: frame.dream.join(" "), world: frame.world.join(" "), speed: speed()?.toFixed(1) ?? "" });
  };

  const watch = setInterval(() => {
    if (!game) source.send({ kind: "look" }); // what is sent while a page still connects can be lost
    if (!asked || performance.now() - asked < SILENCE) return;
    late = true;
    (game ? find(".status") : silent).textContent = source.silence;
  }, 1000);
  const resized = new ResizeObserver(dress);
  resized.observe(root);
  const themed = new MutationObserver(() => setTimeout(dress, 300)); // the theme's style sheet takes a moment
  themed.observe(document.body, { attributes: true });
  const seen = new IntersectionObserver((changes) => {
    onScreen = changes.at(-1).isIntersecting;
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
    unheard();
  };
}

/** The widget in a notebook: its frames come from the kernel. */
function render({ model, el }) {
  const listen = (heard) => {
    model.on("msg:custom", heard);
    return () => model.off("msg:custom", heard);
  };
  const silence = "The kernel does not answer: it is busy with another cell, or this cell has to be run again.";
  return mount(el, model.get("facts"), { send: (message) => model.send(message), listen, silence });
}

export default { render };
