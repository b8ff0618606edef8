// Draws scenes (worlds/scene.py) and actions on a canvas, as `worlds.scene.draw` does with matplotlib.
// The scripts that stand behind this one on a page draw with `SceneCanvas`; see canvas.py for the data.
const SceneCanvas = (() => {
  "use strict";

  const POINT = 4 / 3; // CSS pixels

  /** A canvas fitted to its box at the screen's resolution, cleared; drawing is in CSS pixels. */
  function blank(canvas, tall) {
    if (tall) canvas.style.height = `${tall}px`;
    const { clientWidth: width } = canvas;
    const height = tall || canvas.clientHeight;
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

  /** The largest part of a box {x, y, width, height} that has the proportions of a view, in its middle. */
  function fitted([left, bottom, right, top], box) {
    const unit = Math.min(box.width / (right - left), box.height / (top - bottom));
    const [width, height] = [unit * (right - left), unit * (top - bottom)];
    return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height, unit };
  }

  /** The bytes of pixels as `packed_pixels` stores them. */
  const bytesOf = ({ data }) => Uint8Array.from(atob(data), (c) => c.charCodeAt(0));

  /** Pixels, stored so or as {shape, bytes}, on a canvas of their own size. */
  function sheet(pixels) {
    const [rows, columns, channels] = pixels.shape;
    const bytes = pixels.bytes || bytesOf(pixels);
    const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let n = 0; n < rows * columns; n++)
      for (let c = 0; c < 4; c++) image.data[4 * n + c] = c === 3 ? 255 : bytes[channels * n + (channels === 1 ? 0 : c)];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  /**
   * Draw a scene into the box it was fitted to. `style`: inks, {body, fixed, mark} to colours; alpha; thickness, of lines as a
   * multiple of their own; dash.
   */
  function draw(pen, scene, box, { inks, alpha = 1, thickness = 1, dash = [] }) {
    const [left, bottom] = scene.view;
    const x = (value) => box.x + (value - left) * box.unit;
    const y = (value) => box.y + box.height - (value - bottom) * box.unit;
    pen.save();
    pen.beginPath();
    pen.rect(box.x, box.y, box.width, box.height);
    pen.clip();
    Object.assign(pen, { globalAlpha: alpha, lineCap: dash.length ? "butt" : "round", lineJoin: "round" });
    pen.setLineDash(dash);
    for (const [kind, ...part] of scene.parts) {
      pen.beginPath();
      if (kind === "line") {
        const [x0, y0, x1, y1, ink, width] = part;
        Object.assign(pen, { strokeStyle: inks[ink], lineWidth: width * POINT * thickness });
        pen.moveTo(x(x0), y(y0));
        pen.lineTo(x(x1), y(y1));
        pen.stroke();
      } else if (kind === "circle") {
        const [x0, y0, radius, ink, filled] = part;
        Object.assign(pen, { fillStyle: inks[ink], strokeStyle: inks[ink], lineWidth: ink === "body" ? 2 : 1 });
        pen.arc(x(x0), y(y0), Math.max(0, radius * box.unit), 0, 2 * Math.PI);
        filled ? pen.fill() : pen.stroke();
      } else if (kind === "rectangle") {
        const [x0, y0, x1, y1, ink] = part;
        pen.fillStyle = inks[ink];
        pen.fillRect(x(x0), y(y1), x(x1) - x(x0), y(y0) - y(y1));
      } else if (kind === "picture") {
        const [x0, y0, x1, y1, pixels] = part;
        pen.imageSmoothingEnabled = false;
        pen.drawImage(sheet(pixels), x(x0), y(y1), x(x1) - x(x0), y(y0) - y(y1));
      } else {
        const [x0, y0, words, ink] = part;
        Object.assign(pen, { fillStyle: inks[ink], textAlign: "center", textBaseline: "middle", font: "12px system-ui, sans-serif" });
        pen.fillText(words, x(x0), y(y0), box.width);
      }
    }
    pen.restore();
  }

  /** The scenes that `packed_scenes` stored. */
  function unpack({ templates, order, reach, numbers, words, pictures }) {
    const bytes = Uint8Array.from(atob(numbers), (c) => c.charCodeAt(0));
    const steps = new DataView(bytes.buffer);
    let [read, said, shown] = [0, 0, 0];
    const filled = (kind) => (field, place) => {
      if (field !== null) return field;
      if (kind === "text" && place === 3) return words[said++];
      if (kind === "picture" && place === 5) return pictures[shown++];
      read += 2;
      return (steps.getInt16(read - 2, true) / 32767) * reach;
    };
    return order.map((number) => {
      const { view, parts } = templates[number];
      return { view, parts: parts.map((part) => part.map(filled(part[0]))) };
    });
  }

  /** An arrow from (x0, y0) to (x1, y1). */
  function arrow(pen, x0, y0, x1, y1, width) {
    const [long, angle] = [Math.hypot(x1 - x0, y1 - y0), Math.atan2(y1 - y0, x1 - x0)];
    if (long < 1.5) return;
    const head = Math.min(long, 2.6 * width);
    pen.save();
    pen.translate(x0, y0);
    pen.rotate(angle);
    Object.assign(pen, { lineWidth: width, lineCap: "butt" });
    pen.setLineDash([]);
    pen.beginPath();
    pen.moveTo(0, 0);
    pen.lineTo(long - head, 0);
    pen.stroke();
    pen.beginPath();
    pen.moveTo(long, 0);
    pen.lineTo(long - head, -1.4 * width);
    pen.lineTo(long - head, 1.4 * width);
    pen.fill();
    pen.restore();
  }

  /** A torque in [-1, 1]: an arc from the top, anticlockwise where it is positive, with an arrow head; a faint circle without any. */
  function arc(pen, x, y, radius, torque, faint) {
    faint(() => pen.arc(x, y, radius, 0, 2 * Math.PI));
    if (Math.abs(torque) < 0.02) return;
    const [from, to] = [-Math.PI / 2, -Math.PI / 2 - torque * 2.4]; // canvas angles grow clockwise
    const head = Math.max(4, radius * 0.45);
    pen.save();
    Object.assign(pen, { lineWidth: Math.max(2, radius * 0.25), lineCap: "butt" });
    pen.beginPath();
    pen.arc(x, y, radius, from, to, torque > 0);
    pen.stroke();
    pen.translate(x + radius * Math.cos(to), y + radius * Math.sin(to));
    pen.rotate(to - (Math.sign(torque) * Math.PI) / 2);
    pen.beginPath();
    pen.moveTo(head, 0);
    pen.lineTo(-0.3 * head, -0.8 * head);
    pen.lineTo(-0.3 * head, 0.8 * head);
    pen.fill();
    pen.restore();
  }

  /**
   * What was done, around (x, y) and at most `size` to each side and `tall` up and down. An arrow along a track for one lever, one in
   * a ring for two, a row of bars for more; an arc for each torque; where there are choices, a box for each, the chosen one filled.
   */
  function drawAction(pen, levers, action, x, y, size, tall, colour) {
    pen.save();
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1 });
    const faint = (line) => {
      pen.globalAlpha = 0.35;
      pen.beginPath();
      line();
      pen.stroke();
      pen.globalAlpha = 1;
    };
    if (levers.choices.length) {
      const side = Math.min(1.2 * tall, (2 * size) / levers.choices.length);
      const first = x - (side * levers.choices.length) / 2;
      levers.choices.forEach((_, n) => {
        if (action[n] > 0.5) pen.fillRect(first + n * side + 2, y - side / 2 + 2, side - 4, side - 4);
        faint(() => pen.rect(first + n * side + 2, y - side / 2 + 2, side - 4, side - 4));
      });
    } else if (levers.entries.every(({ turns }) => turns)) {
      const apart = Math.min(3 * tall, (2 * size) / action.length);
      action.forEach((torque, n) => arc(pen, x + (n - (action.length - 1) / 2) * apart, y, Math.min(0.8 * tall, 0.4 * apart), torque, faint));
    } else if (action.length === 1) {
      faint(() => (pen.moveTo(x - size, y), pen.lineTo(x + size, y), pen.moveTo(x, y - 4), pen.lineTo(x, y + 4)));
      arrow(pen, x, y, x + action[0] * size, y, 5);
    } else if (action.length === 2) {
      const ring = Math.min(size, tall);
      faint(() => pen.arc(x, y, ring, 0, 2 * Math.PI));
      arrow(pen, x, y, x + action[0] * ring, y - action[1] * ring, 4);
    } else {
      const wide = (2 * size) / action.length;
      faint(() => (pen.moveTo(x - size, y), pen.lineTo(x + size, y)));
      action.forEach((value, n) => pen.fillRect(x - size + wide * (n + 0.15), y, 0.7 * wide, -tall * value));
    }
    pen.restore();
  }

  return { blank, fitted, draw, unpack, bytesOf, drawAction };
})();
