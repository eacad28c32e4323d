// The control OptimizerPath: an optimizer walks down a valley; its settings are the reader's.

import { element, frame } from "../parts.js";

const NAMES = { adamw: "AdamW", momentum: "SGD with momentum", sgd: "plain SGD" };
const HALF_WIDTH = 3; // of the square that is drawn, which runs from -3 to 3 both ways

// The factor on the learning rate at a step: warmup_cosine of solutions/training.py, with a floor of 0.
function rateFactor(step, steps, warmup) {
  const falling = (1 + Math.cos(Math.PI * Math.min(step / steps, 1))) / 2;
  return warmup > 0 ? Math.min((step + 1) / warmup, falling) : falling;
}

// valley: { minimum: [x, y], curvatures: [along, across], angle in degrees }. Its loss and gradient at a point.
function valleyAt(valley, [x, y]) {
  const turn = (valley.angle * Math.PI) / 180;
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  const [dx, dy] = [x - valley.minimum[0], y - valley.minimum[1]];
  const [along, across] = [c * dx + s * dy, -s * dx + c * dy];
  const [a, b] = [valley.curvatures[0] * along, valley.curvatures[1] * across];
  return { loss: (a * along + b * across) / 2, gradient: [c * a - s * b, s * a + c * b] };
}

// The points that an optimizer visits, the start included.
function optimizerPath({ optimizer, rate, warmup, decay, start, steps, betas, eps, valley }) {
  let point = [...start];
  let mean = [0, 0];
  let square = [0, 0];
  const points = [point];
  for (let step = 0; step < steps; step++) {
    const { gradient } = valleyAt(valley, point);
    const now = rate * rateFactor(step, steps, warmup);
    point = point.map((old, i) => {
      const g = gradient[i];
      let move = g;
      if (optimizer === "momentum") move = mean[i] = betas[0] * mean[i] + g;
      if (optimizer === "adamw") {
        mean[i] = betas[0] * mean[i] + (1 - betas[0]) * g;
        square[i] = betas[1] * square[i] + (1 - betas[1]) * g * g;
        const corrected = square[i] / (1 - betas[1] ** (step + 1));
        move = mean[i] / (1 - betas[0] ** (step + 1)) / (Math.sqrt(corrected) + eps);
      }
      return (1 - now * decay) * old - now * move;
    });
    points.push(point);
  }
  return points;
}

function drawn(tag, attributes = {}, ...children) {
  const svg = element("template");
  svg.innerHTML = "<svg/>";
  const node = document.createElementNS(svg.content.firstChild.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Four digits, in a form that reads well at any size.
function shortNumber(value) {
  if (!Number.isFinite(value)) return "infinite";
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function render({ model, el, signal }) {
  const fixed = model.get("fixed"); // steps, betas, eps, valley without its angle
  const settings = () => ({
    ...fixed,
    optimizer: model.get("optimizer"),
    rate: model.get("learning_rate"),
    warmup: model.get("warmup"),
    decay: model.get("weight_decay"),
    start: model.get("start"),
    valley: { ...fixed.valley, angle: model.get("angle") },
  });
  const keep = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  // A number that can be typed and slid. `toSlider` and `fromSlider` give the slider another scale.
  function numberRow(label, { low, high, step, slider, read, write, toSlider = (v) => v, fromSlider = (v) => v }) {
    const box = element("input", { type: "number", class: "lk-box", min: low, max: high, step, "aria-label": label });
    const range = element("input", { type: "range", ...slider, "aria-label": `${label}, slider` });
    const take = (value) => {
      if (Number.isFinite(value)) write(Math.min(high, Math.max(low, value)));
    };
    box.addEventListener("input", () => {
      if (box.value !== "") take(Number(box.value));
    });
    box.addEventListener("change", () => refresh(true)); // what was out of bounds, or nothing, shows as what counts
    range.addEventListener("input", () => take(Number(fromSlider(Number(range.value)).toPrecision(3))));
    function refresh(always = false) {
      if (always || document.activeElement !== box) box.value = read();
      range.value = toSlider(read());
      range.setAttribute("aria-valuetext", shortNumber(read()));
    }
    return { node: element("div", { class: "lk-setting" }, element("span", { "aria-hidden": "true" }, label), range, box), refresh };
  }

  const rows = [
    numberRow("Learning rate", {
      low: 0.0001, high: 10, step: "any", slider: { min: -4, max: 1, step: 0.01 },
      read: () => model.get("learning_rate"), write: (v) => keep("learning_rate", v),
      toSlider: Math.log10, fromSlider: (v) => 10 ** v,
    }),
    numberRow("Warm-up steps", {
      low: 0, high: fixed.steps, step: 1, slider: { min: 0, max: fixed.steps, step: 1 },
      read: () => model.get("warmup"), write: (v) => keep("warmup", Math.round(v)),
    }),
    numberRow("Weight decay", {
      low: 0, high: 10, step: "any", slider: { min: 0, max: 10, step: 0.05 },
      read: () => model.get("weight_decay"), write: (v) => keep("weight_decay", v),
    }),
    numberRow("Valley's angle", {
      low: -90, high: 90, step: 1, slider: { min: -90, max: 90, step: 1 },
      read: () => model.get("angle"), write: (v) => keep("angle", v),
    }),
    ...["across", "up"].map((way, i) =>
      numberRow(`Start, ${way}`, {
        low: -HALF_WIDTH, high: HALF_WIDTH, step: "any", slider: { min: -HALF_WIDTH, max: HALF_WIDTH, step: 0.05 },
        read: () => model.get("start")[i],
        write: (v) => keep("start", model.get("start").map((old, j) => (j === i ? v : old))),
      }),
    ),
  ];

  const group = `lk-optimizer-${Math.random().toString(36).slice(2)}`;
  const choices = Object.entries(NAMES).map(([value, name]) => {
    const input = element("input", { type: "radio", name: group, value, onchange: () => keep("optimizer", value) });
    return { value, input, node: element("label", { class: "lk-choice" }, input, name) };
  });

  const map = drawn("svg", { viewBox: "-3 -3 6 6", class: "lk-map", role: "img" });
  const curve = drawn("svg", { viewBox: "0 0 300 210", class: "lk-curve", role: "img" });
  const verdict = element("p", { class: "lk-verdict", role: "status" });
  const summary = element("p", { class: "lk-summary lk-counts" });

  // A click, or a finger that is drawn over the map, moves the start.
  const toPoint = (event) => {
    const box = map.getBoundingClientRect();
    const at = (value, from, size) => Math.round(((value - from) / size) * 2 * HALF_WIDTH * 100) / 100 - HALF_WIDTH;
    const inside = (v) => Number(Math.min(HALF_WIDTH, Math.max(-HALF_WIDTH, v)).toFixed(2));
    return [inside(at(event.clientX, box.left, box.width)), inside(-at(event.clientY, box.top, box.height))];
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    keep("start", toPoint(event));
  });
  map.addEventListener("pointermove", (event) => {
    if (map.hasPointerCapture(event.pointerId)) keep("start", toPoint(event));
  });

  function drawMap({ valley }, points) {
    const contours = [];
    for (const loss of [0.05, 0.5, 2, 6, 15, 40, 100]) {
      const [rx, ry] = valley.curvatures.map((k) => Math.sqrt((2 * loss) / k));
      const [x, y] = valley.minimum;
      contours.push(
        drawn("ellipse", { cx: x, cy: -y, rx, ry, transform: `rotate(${-valley.angle} ${x} ${-y})`, class: "lk-contour" }),
      );
    }
    const seen = points.filter((p) => p.every((v) => Math.abs(v) < 1e4)).map(([x, y]) => `${x},${-y}`);
    map.replaceChildren(
      ...contours,
      drawn("polyline", { points: seen.join(" "), class: "lk-walk" }),
      ...points
        .filter((p) => p.every((v) => Math.abs(v) <= HALF_WIDTH))
        .map(([x, y]) => drawn("circle", { cx: x, cy: -y, r: 0.035, class: "lk-stop" })),
      drawn("path", { d: `M${valley.minimum[0] - 0.1} ${-valley.minimum[1]}h.2m-.1 -.1v.2`, class: "lk-minimum" }),
      drawn("circle", { cx: points[0][0], cy: -points[0][1], r: 0.1, class: "lk-start" }),
    );
  }

  function drawCurve(losses) {
    const [low, high] = [-6, 4]; // powers of ten
    const x = (step) => 40 + (250 * step) / (losses.length - 1);
    const y = (loss) => {
      const power = Math.min(high, Math.max(low, Math.log10(Math.max(loss, 1e-12))));
      return 175 - (165 * (power - low)) / (high - low);
    };
    const parts = [];
    for (let power = low; power <= high; power += 2) {
      parts.push(drawn("path", { d: `M40 ${y(10 ** power)}h250`, class: "lk-rule-line" }));
      const superscript = drawn("tspan", { dy: -4, "font-size": 8 }, String(power));
      parts.push(drawn("text", { x: 34, y: y(10 ** power) + 4, "text-anchor": "end" }, "10", superscript));
    }
    for (const step of [0, 20, 40, 60]) {
      parts.push(drawn("text", { x: x(step), y: 189, "text-anchor": "middle" }, String(step)));
    }
    parts.push(drawn("text", { x: 165, y: 205, "text-anchor": "middle" }, "step"));
    parts.push(drawn("text", { x: 9, y: 92, "text-anchor": "middle", transform: "rotate(-90 9 92)" }, "loss"));
    const line = losses.map((loss, step) => `${x(step)},${y(Number.isFinite(loss) ? loss : 1e12)}`);
    parts.push(drawn("polyline", { points: line.join(" "), class: "lk-walk lk-thick" }));
    curve.replaceChildren(...parts);
  }

  function show() {
    for (const row of rows) row.refresh();
    const now = settings();
    for (const { value, input } of choices) input.checked = value === now.optimizer;
    const points = optimizerPath(now);
    const losses = points.map((point) => valleyAt(now.valley, point).loss);
    const [first, last] = [losses[0], losses.at(-1)];
    const worst = Math.max(...losses.map((loss) => (Number.isFinite(loss) ? loss : Infinity)));
    drawMap(now, points);
    drawCurve(losses);
    const end = points.at(-1).map(shortNumber).join(", ");
    const name = NAMES[now.optimizer];
    verdict.textContent =
      !(worst < 10 * first + 1) ? `${name} is thrown out of the valley: its steps are longer than the valley is wide.`
      : last < 1e-3 ? `${name} reaches the lowest point.`
      : now.decay > 0 && last < first ? `${name} stops short of the lowest point, or is held off it by the decay.`
      : last < first ? `${name} comes down, and does not arrive within ${now.steps} steps.`
      : `${name} does not come down.`;
    const facts = [
      ["steps", String(now.steps)],
      ["end", end],
      ["last loss", shortNumber(last)],
      ["highest loss", shortNumber(worst)],
    ];
    summary.replaceChildren(
      ...facts.map(([what, value]) => element("span", {}, `${what} `, element("b", { "data-fact": what }, value))),
    );
    map.setAttribute("aria-label", `Map of the valley with the path of ${name}, which ends at ${end}. Click to start elsewhere.`);
    curve.setAttribute("aria-label", `Loss by step: from ${shortNumber(first)} to ${shortNumber(last)}.`);
  }

  el.append(
    frame(
      "An optimizer in a valley",
      element("div", { class: "lk-choices", role: "radiogroup", "aria-label": "Optimizer" }, ...choices.map((c) => c.node)),
      element("div", { class: "lk-settings" }, ...rows.map((row) => row.node)),
      verdict,
      element("div", { class: "lk-pictures" }, map, curve),
      summary,
    ),
  );
  for (const name of ["optimizer", "learning_rate", "warmup", "weight_decay", "angle", "start"]) {
    model.on(`change:${name}`, show);
    signal.addEventListener("abort", () => model.off(`change:${name}`, show));
  }
  show();
}

export default { render };
