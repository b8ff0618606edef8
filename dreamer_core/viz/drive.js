// The page that drives a dream: keys, touch and buttons in, pictures out. The rules are in drive_game.js, the minds in engine.js.

import { readMinds } from "./engine.js";
import { Game } from "./drive_game.js";
import { DT, TORQUE, wrapped } from "./pendulum.js";

const WINDOW = 200; // steps that the charts show
const BACK = 60; // steps that one goes back to try another way
const SHUT = 100; // steps that the eyes are shut for, while the agent shows what it can do ...
const OPEN = 50; // ... and then open
const TURN = 2 * Math.PI;
const NIGHT = "#171b33"; // what a mind sees with its eyes shut
const NUMBERS = ["time", "torque", "drift", "uncertainty", "surprise", "reward", "dreamt reward", "dream is off by"];

const find = (selector) => document.querySelector(selector);
const number = (x, digits) => (x == null ? "–" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(digits));
const degrees = (angle) => Math.round((Math.abs(angle) * 180) / Math.PI);
/** The angle a share of the way from one to another, the short way round. */
const between = (from, to, share) => from + wrapped(to - from) * share;

/** A canvas fitted to its box at the screen's resolution, cleared; drawing is in CSS pixels. */
function blank(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// --- the two pendulums ------------------------------------------------------------------------------

function rod(pen, x, y, length, angle, { colour, width, alpha = 1, bob = 0, hollow = false, dash = [] }) {
  const [endX, endY] = [x - length * Math.sin(angle), y - length * Math.cos(angle)];
  pen.save();
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: alpha, lineCap: "round" });
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(endX, endY);
  pen.stroke();
  pen.setLineDash([]);
  pen.beginPath();
  pen.arc(endX, endY, bob, 0, TURN);
  hollow ? pen.stroke() : pen.fill();
  pen.restore();
}

/** The push as an arc with an arrow head around the hinge; in [-1, 1], anticlockwise positive. */
function arrow(pen, x, y, radius, push, colour) {
  if (Math.abs(push) < 0.02) return;
  const [from, turn] = [-Math.PI / 2, Math.sign(push)]; // canvas angles grow clockwise
  const to = from - push * 2.2;
  pen.save();
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 5 });
  pen.beginPath();
  pen.arc(x, y, radius, from, to, push > 0);
  pen.stroke();
  pen.translate(x + radius * Math.cos(to), y + radius * Math.sin(to));
  pen.rotate(to - (turn * Math.PI) / 2);
  pen.beginPath();
  pen.moveTo(13, 0);
  pen.lineTo(-3, -9);
  pen.lineTo(-3, 9);
  pen.fill();
  pen.restore();
}

/** An eye, open or shut, around (x, y). */
function eye(pen, x, y, open, colour) {
  pen.save();
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 2, lineCap: "round" });
  pen.beginPath();
  pen.moveTo(x - 10, y);
  pen.quadraticCurveTo(x, y + 9, x + 10, y);
  if (open) pen.quadraticCurveTo(x, y - 9, x - 10, y);
  else for (const [dx, dy] of [[-6, 3], [0, 5], [6, 3]]) {
    pen.moveTo(x + dx, y + dy);
    pen.lineTo(x + dx * 1.4, y + dy + 4);
  }
  pen.stroke();
  if (open) {
    pen.beginPath();
    pen.arc(x, y, 3.2, 0, TURN);
    pen.fill();
  }
  pen.restore();
}

/** Both panels at a share of the way from one moment to the next. */
function drawStage(canvas, before, after, share, ghost, dark, look) {
  const { pen, width, height } = blank(canvas);
  const half = width / 2;
  const narrow = half < 260;
  const length = Math.min(half / 2 - 26, (height - 104) / 2);
  const y = 44 + length + 12;
  const world = between(before.world.angle, after.world.angle, share);
  const dreams = after.angles.map((angle, n) => between(before.angles[n], angle, share));
  // The dream's room gets dark when the eyes shut.
  pen.save();
  pen.globalAlpha = dark;
  pen.fillStyle = NIGHT;
  pen.fillRect(half, 0, half, height);
  pen.fillStyle = "#fff";
  for (let n = 1; n <= 40; n++) {
    pen.globalAlpha = dark * (0.15 + ((n * 37) % 10) / 22);
    pen.beginPath();
    pen.arc(half + ((n * 0.61803) % 1) * half, ((n * 0.7548) % 1) * height, 0.6 + ((n * 13) % 7) / 9, 0, TURN);
    pen.fill();
  }
  pen.restore();
  Object.assign(pen, { strokeStyle: look.line, lineWidth: 1 });
  pen.strokeRect(half, 0, 0, height);
  const night = dark > 0.5;
  const dreamt = after.eyes ? (night ? "#3ecf9c" : look.seen) : night ? "#f0a030" : look.dream;
  const panels = [
    { x: half / 2, title: "The world", note: "it obeys physics", ink: look.ink, colour: look.world, angle: world },
    { x: 1.5 * half, title: after.eyes ? "What it sees" : "The dream", note: after.eyes ? "eyes open" : "eyes shut", ink: night ? "#edeff7" : look.ink, colour: dreamt, angle: dreams[0] },
  ];
  panels.forEach(({ x, title, note, ink, colour, angle }, n) => {
    pen.save();
    Object.assign(pen, { strokeStyle: ink, lineWidth: 1.5, globalAlpha: 0.22 });
    pen.beginPath();
    pen.arc(x, y, length, 0, TURN);
    pen.stroke();
    pen.restore();
    Object.assign(pen, { fillStyle: ink, textAlign: "left", textBaseline: "middle" });
    pen.font = `650 ${narrow ? 16 : 19}px system-ui, sans-serif`;
    pen.fillText(title, half * n + 16, 25);
    pen.font = "14px system-ui, sans-serif";
    pen.textAlign = "right";
    if (n) eye(pen, half * n + half - 26, 23, after.eyes, ink);
    if (!narrow) pen.fillText(note, half * n + half - (n ? 44 : 16), 25);
    if (n) {
      for (const other of dreams.slice(1)) rod(pen, x, y, length, other, { colour, width: 3, alpha: 0.3, bob: 5 });
    }
    if (ghost) rod(pen, x, y, length, n ? ghost.angles[0] : ghost.world.angle, { colour: ink, width: 2, alpha: 0.75, bob: 8, hollow: true, dash: [6, 5] });
    rod(pen, x, y, length, angle, { colour, width: narrow ? 9 : 12, bob: narrow ? 11 : 15 });
    if (n) { // where the world's bob is
      pen.save();
      Object.assign(pen, { strokeStyle: night ? "#56a9e0" : look.world, lineWidth: 4 });
      pen.beginPath();
      pen.arc(x - length * Math.sin(world), y - length * Math.cos(world), narrow ? 14 : 19, 0, TURN);
      pen.stroke();
      pen.restore();
    }
    pen.beginPath();
    pen.arc(x, y, 5, 0, TURN);
    pen.fill();
    arrow(pen, x, y, length * 0.4, after.action, ink);
  });
}

// --- the charts -------------------------------------------------------------------------------------

/** A line through the moments' values, broken where there is none and where an angle jumps by a turn; `colour` may depend on the moment. */
function trace(pen, moments, at, value, { colour, width = 2, alpha = 1, dash = [], jump = Infinity }) {
  const tinted = typeof colour === "function" ? colour : () => colour;
  pen.save();
  Object.assign(pen, { lineWidth: width, globalAlpha: alpha, lineJoin: "round" });
  pen.setLineDash(dash);
  let [before, tint] = [null, null];
  for (const moment of moments) {
    const y = value(moment);
    const joined = before && y != null && Math.abs(y - before.y) <= jump;
    if (!joined || tinted(moment) !== tint) {
      if (tint) pen.stroke();
      tint = pen.strokeStyle = tinted(moment); // as it was given: the canvas writes colours its own way
      pen.beginPath();
      if (joined) pen.moveTo(...at(before.step, before.y));
    }
    if (y != null) joined ? pen.lineTo(...at(moment.step, y)) : pen.moveTo(...at(moment.step, y));
    before = y == null ? null : { step: moment.step, y };
  }
  if (tint) pen.stroke();
  pen.restore();
}

function drawCharts(canvas, game, look) {
  const { pen, width, height } = blank(canvas);
  const last = game.now.step;
  const start = Math.max(game.trail[0].step, last - WINDOW);
  const shown = (moments) => moments.filter(({ step }) => step >= start && step <= start + WINDOW);
  const [lived, later, other] = [shown(game.trail.slice(0, game.at + 1)), shown(game.trail.slice(game.at)), shown(game.other)];
  const [left, right, foot, gap] = [50, 20, 20, 24];
  const tall = (height - foot - 4 * gap) / 4;
  const x = (step) => left + ((step - start) / WINDOW) * (width - left - right);
  const nights = []; // from which step to which the eyes were shut
  for (const { step, eyes } of lived.slice(1)) {
    if (eyes) continue;
    if (nights.at(-1)?.[1] === step - 1) nights.at(-1)[1] = step;
    else nights.push([step - 1, step]);
  }
  const tint = ({ eyes }) => (eyes ? look.seen : look.dream);
  const farthest = Math.max(...lived.map((m) => Math.max(m.drift, m.uncertainty)), ...other.map((m) => m.drift));
  const highest = Math.max(1, Math.ceil(2 * farthest) / 2);
  const most = Math.max(5, 5 * Math.ceil(Math.max(...lived.map((m) => m.surprise ?? 0)) / 5));
  const degree = 180 / Math.PI;
  const fan = Array.from({ length: game.now.angles.length - 1 }, (_, n) => [(m) => m.angles[n + 1] * degree, { colour: tint, width: 1, alpha: 0.22 }]);
  const charts = [
    { title: "angle (upright is 0)", low: -180, high: 180, ticks: [-180, 0, 180], unit: "°", jump: 180,
      lines: [...fan, [(m) => wrapped(m.world.angle) * degree, { colour: look.world }], [(m) => m.angles[0] * degree, { colour: tint }]] },
    { title: "drift (solid), uncertainty (dashed): standard deviations", low: 0, high: highest, ticks: [0, highest / 2, highest], unit: "",
      lines: [[(m) => m.drift, { colour: look.drift }], [(m) => m.uncertainty, { colour: look.doubt, dash: [5, 3] }]] },
    { title: "surprise, when its eyes are open: nats", low: 0, high: most, ticks: [0, most], unit: "", bars: (m) => m.surprise, lines: [] },
    { title: "reward: given, and dreamt", low: -17, high: 0.5, ticks: [-16, -8, 0], unit: "",
      lines: [[(m) => m.reward, { colour: look.world }], [(m) => m.dreamt, { colour: tint }]] },
  ];
  pen.font = "13px system-ui, sans-serif";
  charts.forEach(({ title, low, high, ticks, unit, jump, lines, bars }, row) => {
    const top = gap + row * (tall + gap);
    const y = (value) => top + tall * (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low));
    const at = (step, value) => [x(step), y(value)];
    pen.fillStyle = look.night;
    for (const [from, to] of nights) pen.fillRect(x(from), top, x(to) - x(from), tall);
    Object.assign(pen, { fillStyle: look.ink, strokeStyle: look.ink, lineWidth: 1, textAlign: "left", textBaseline: "bottom" });
    pen.fillText(title, left, top - 3, width - left - right);
    Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
    for (const tick of ticks) {
      pen.globalAlpha = 1;
      pen.fillText(number(tick, Number.isInteger(tick) ? 0 : 2) + unit, left - 6, y(tick));
      pen.globalAlpha = 0.18;
      pen.strokeRect(left, Math.round(y(tick)) + 0.5, width - left - right, 0);
    }
    pen.globalAlpha = 1;
    if (bars) {
      pen.fillStyle = look.seen;
      const thick = Math.max(1.5, (x(1) - x(0)) * 0.7);
      for (const moment of lived) if (bars(moment) != null) pen.fillRect(x(moment.step) - thick / 2, y(bars(moment)), thick, y(0) - y(bars(moment)));
    }
    const main = lines.filter(([, style]) => !style.alpha);
    for (const [value, style] of main) trace(pen, other, at, value, { ...style, width: 1.5, dash: [2, 3], jump });
    for (const [value, style] of main) trace(pen, later, at, value, { ...style, alpha: 0.3, jump });
    for (const [value, style] of lines) trace(pen, lived, at, value, { ...style, jump });
    Object.assign(pen, { strokeStyle: look.ink, globalAlpha: 0.5 });
    pen.strokeRect(Math.round(x(last)) + 0.5, top, 0, tall);
    pen.globalAlpha = 1;
  });
  Object.assign(pen, { textAlign: "center", textBaseline: "bottom", fillStyle: look.ink });
  const every = 2 / DT;
  for (let step = Math.ceil(start / every) * every; step <= start + WINDOW; step += every) {
    pen.fillText(`${Math.round(step * DT)}${step + every > start + WINDOW ? " s" : ""}`, x(step), height - 2);
  }
}

// --- the page ---------------------------------------------------------------------------------------

function open(game) {
  const [stage, charts] = [find(".stage canvas"), find(".charts canvas")];
  const [torque, scrub] = [find(".torque input"), find(".scrub input")];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const held = new Map(); // what pushes now: key or pointer -> push
  let demo = !still; // the agent shows what it can do, until somebody touches anything
  let running = demo;
  let tapped = 0; // a push that was too short to be seen by a step
  let clock = 0; // when the newest step was due, ms
  let dark = 1; // how dark the dream's room is
  let stale = true; // something other than time has changed the pictures
  let look = {};
  const numbers = Object.fromEntries(NUMBERS.map((name) => {
    const [box, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    box.append(term, value);
    find(".numbers").append(box);
    return [name, value];
  }));

  // - acting -

  const push = () => [...held.values()].at(-1) ?? (tapped || -Number(torque.value)); // the slider's left is anticlockwise
  const say = (text) => (find(".status").textContent = text);

  const describe = (text) => {
    const who = game.actor ? (demo ? "The agent shows you" : "The agent drives") : "You drive";
    const how = game.eyes ? "Its eyes are open." : game.actor ? "Its eyes are shut: it acts on what it dreams." : "Its eyes are shut: it feels only your pushes.";
    say(text ?? (running ? `${who}. ${how}` : `Paused at ${(game.now.step * DT).toFixed(1)} s: the dream is ${degrees(game.now.off)}° off.`));
    const does = {
      eyes: game.eyes ? "Shut its eyes" : "Open its eyes",
      actor: game.actor && !demo ? "Drive yourself" : "Let the agent drive",
      pause: running ? "Pause" : "Go on",
    };
    for (const [name, text] of Object.entries(does)) find(`button.${name} span`).textContent = text;
    find(".invite").hidden = running && !demo;
    stale = true;
  };

  /** Somebody takes part: the show is over. */
  const takePart = () => {
    if (!demo) return;
    demo = false;
    game.actor = game.eyes = false;
  };
  const hold = (who, value) => {
    const news = demo || !running || game.actor;
    takePart();
    game.actor = false;
    held.set(who, value);
    tapped = value;
    torque.value = 0;
    running = true;
    if (news) describe();
  };
  const release = (who) => held.delete(who);

  const commands = {
    eyes: () => {
      takePart();
      game.eyes = !game.eyes;
      running = true;
      describe();
    },
    actor: () => {
      const on = demo || !game.actor;
      takePart();
      game.actor = on;
      running = true;
      describe();
    },
    back: () => {
      takePart();
      game.goTo(game.at - BACK);
      running = false;
      describe(`Back at ${(game.now.step * DT).toFixed(1)} s. Push another way: what you did stays as the dashed line.`);
    },
    pause: () => {
      if (running && demo) takePart();
      running = !running;
      describe();
    },
    again: () => {
      takePart();
      game.reset();
      running = true;
      describe();
    },
  };
  const keys = { e: "eyes", a: "actor", b: "back", " ": "pause", r: "again" };
  const sides = { ArrowLeft: 1, ArrowRight: -1 };

  for (const [name, command] of Object.entries(commands)) find(`button.${name}`).addEventListener("click", command);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = event.target.matches("input, a") || (event.key === " " && event.target.matches("button")); // they have keys of their own
    if (own) return;
    if (sides[event.key]) {
      if (!event.repeat) hold(event.key, sides[event.key]);
    } else if (keys[event.key.toLowerCase()]) {
      if (!event.repeat) commands[keys[event.key.toLowerCase()]]();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => release(event.key));
  window.addEventListener("blur", () => held.clear());
  for (const [selector, value] of [[".pushes .left", 1], [".pushes .right", -1]]) {
    const button = find(selector);
    button.addEventListener("pointerdown", () => hold("pointer", value));
    button.addEventListener("keydown", ({ key, repeat }) => !repeat && (key === "Enter" || key === " ") && hold(key, value));
  }
  find(".stage").addEventListener("pointerdown", (event) => {
    const box = find(".stage").getBoundingClientRect();
    hold("pointer", event.clientX < box.left + box.width / 2 ? 1 : -1);
  });
  for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, () => release("pointer"));
  find(".stage").addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is a push
  torque.addEventListener("input", () => {
    takePart();
    game.actor = false;
    running = true;
    describe();
  });
  scrub.addEventListener("input", () => {
    takePart();
    running = false;
    game.goTo(Number(scrub.value));
    describe();
  });
  for (const [n, mind] of game.minds.entries()) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "age", value: n, checked: mind === game.mind });
    const learned = n === 0 && game.minds.length > 1 ? ", nothing learned yet" : "";
    label.append(input, `${Math.round(mind.steps * DT)} s${learned}`);
    label.title = `after ${mind.steps} steps in the world; its mean return then: ${number(mind.returns, 0)}`;
    find(".ages").append(label);
    input.addEventListener("change", () => {
      takePart();
      game.grow(mind);
      describe(`A mind of ${Math.round(mind.steps * DT)} seconds, given the same pushes. The agent of that age reached a return of ${number(mind.returns, 0)}.`);
    });
  }

  // - showing -

  const dress = () => {
    const style = getComputedStyle(document.documentElement);
    look = Object.fromEntries(["ink", "world", "dream", "seen", "line", "drift", "doubt", "night"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    stale = true;
  };
  const root = document.documentElement;
  const themed = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    find(".theme").textContent = dark ? "Light" : "Dark";
    find(".theme").setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
    dress();
  };
  const stored = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // pages from disk may have no storage
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => ({ dark: true, light: false })[stored("mode")] ?? system.matches;
  find(".theme").addEventListener("click", () => {
    const dark = root.dataset.theme !== "dark";
    try {
      for (const name of ["mode", "theme"]) localStorage.setItem(name, dark ? "dark" : "light");
    } catch {
      // the choice lasts as long as the page
    }
    themed(dark);
  });
  system.addEventListener("change", () => themed(chosen()));
  new ResizeObserver(() => (stale = true)).observe(stage);

  const show = () => {
    const { now } = game;
    drawCharts(charts, game, look);
    numbers.time.textContent = `${(now.step * DT).toFixed(1)} s`;
    numbers.torque.textContent = `${number(now.action * TORQUE, 1)} N·m`;
    for (const name of ["drift", "uncertainty"]) numbers[name].textContent = number(now[name], 2);
    numbers.surprise.textContent = now.surprise == null ? "eyes shut" : `${number(now.surprise, 1)} nats`;
    numbers.reward.textContent = number(now.reward, 2);
    numbers["dreamt reward"].textContent = number(now.dreamt, 2);
    numbers["dream is off by"].textContent = `${degrees(now.off)}°`;
    Object.assign(scrub, { max: game.trail.length - 1, value: game.at });
    scrub.setAttribute("aria-valuetext", `${(now.step * DT).toFixed(1)} seconds`);
    torque.setAttribute("aria-valuetext", `${number(Math.abs(torque.value * TORQUE), 1)} newton metres ${torque.value > 0 ? "clockwise" : "anticlockwise"}`);
    const from = game.other[0]?.step;
    const mine = game.trail.filter(({ step }) => step > from && step <= now.step);
    const count = Math.min(mine.length, game.other.length - 1);
    find(".compare").hidden = !(count > 0);
    const sum = (moments) => number(moments.slice(0, count).reduce((total, { reward }) => total + reward, 0), 1);
    if (count > 0) find(".compare").textContent = `Reward in the first ${(count * DT).toFixed(1)} s after the branch: ${sum(mine)}; the other way ${sum(game.other.slice(1))}.`;
    Object.assign(document.body.dataset, {
      step: now.step, world: now.world.angle, dream: now.angles[0], drift: now.drift, surprise: now.surprise ?? "", eyes: now.eyes, actor: game.actor, running,
    });
  };

  const frame = (time) => {
    requestAnimationFrame(frame);
    let stepped = false;
    if (running) {
      if (time - clock > 250) clock = time - 1000 * DT; // the page slept, or the machine is slow: no hurry afterwards
      while (time - clock >= 1000 * DT) {
        if (demo) {
          game.actor = true;
          const eyes = game.now.step % (SHUT + OPEN) >= SHUT;
          if (eyes !== game.eyes) {
            game.eyes = eyes;
            describe();
          }
        }
        game.step(push());
        tapped = 0;
        clock += 1000 * DT;
        stepped = true;
      }
    }
    const aim = game.now.eyes && game.now.step > 0 ? 0 : 1;
    const fading = Math.abs(aim - dark) > 0.01;
    dark = still || !fading ? aim : dark + (aim - dark) * 0.15;
    if (!running && !stale && !fading) return;
    const { now } = game;
    const before = running && game.at > 0 ? game.trail[game.at - 1] : now;
    const ghost = game.other.find(({ step }) => step === now.step && step > game.other[0].step);
    drawStage(stage, before, now, running ? Math.min(1, (time - clock) / (1000 * DT)) : 1, ghost, dark, look);
    if (stepped || stale) show();
    stale = false;
  };

  const layers = Object.values(game.mind.layers).flat();
  find(".count").textContent = layers.reduce((sum, { weight, inputs, outputs, biased }) => sum + weight.length + (biased ? outputs : 0), 0).toLocaleString("en");
  game.actor = demo;
  themed(chosen());
  describe(still ? "Hold an arrow key, or one of the two buttons." : undefined);
  requestAnimationFrame(frame);
}

const packed = Uint8Array.from(atob(find("#minds").textContent), (letter) => letter.charCodeAt(0));
open(new Game(readMinds(packed.buffer)));
