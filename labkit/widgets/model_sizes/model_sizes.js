// The control ModelSizes: set the sizes of a GPT by slider or by number, and see what it costs.

import { element, frame } from "../parts.js";

const SIZES = [
  { name: "n_layer", label: "Layers", steps: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128] },
  {
    name: "d_model",
    label: "Width",
    steps: [
      4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 2560, 4096, 5120, 6144, 8192, 12288, 16384,
    ],
  },
  { name: "n_head", label: "Heads", steps: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64, 96, 128] },
  { name: "vocab_size", label: "Vocabulary", steps: [256, 512, 1024, 2048, 4096, 8192, 16384, 32000, 50257, 100000, 200000] },
  { name: "context", label: "Context", steps: [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 32768, 131072] },
  {
    name: "n_tokens",
    label: "Training tokens",
    steps: Array.from({ length: 31 }, (_, i) => Math.round(10 ** (5 + i / 3)) || 1),
  },
];

// Everything that the page shows, from the sizes alone; the same formulas as solutions/scale.py.
function costs({ n_layer: layers, d_model: d, n_head: heads, vocab_size: vocabulary, context, n_tokens: tokens }) {
  const parts = {
    token_embedding: vocabulary * d,
    position_embedding: context * d,
    attention: layers * (4 * d * d + 4 * d),
    mlp: layers * (8 * d * d + 5 * d),
    norm: (2 * layers + 1) * 2 * d,
  };
  const params = Object.values(parts).reduce((a, b) => a + b);
  const flops = layers * (24 * d * d + 4 * context * d) + 2 * vocabulary * d;
  const kept = layers * (2 * (d + 2) + 5 * d + heads * context + 9 * d) + (d + 2) + d + vocabulary;
  return {
    parts,
    params,
    flops,
    training: 3 * tokens * flops,
    memory: { weights: 4 * params, gradients: 4 * params, optimizer: 8 * params, activations: 4 * context * kept },
    cache: 4 * layers * d * context,
  };
}

const lossOf = ([floor, a, alpha, b, beta], params, tokens) => floor + a * params ** -alpha + b * tokens ** -beta;

// The parameters and tokens with the lowest loss for a budget of 6ND FLOPs.
function optimum([, a, alpha, b, beta], budget) {
  const both = alpha + beta;
  const params = ((alpha * a) / (beta * b)) ** (1 / both) * (budget / 6) ** (beta / both);
  return { params, tokens: budget / (6 * params) };
}

const NAMES = ["", " thousand", " million", " billion", " trillion"];
const BYTES = [" B", " kB", " MB", " GB", " TB", " PB"];

// A number in at most four signs and a word: 174604259328 is "175 billion".
function short(value, names = NAMES) {
  let power = 0;
  while (value >= 999.5 && power < names.length - 1) {
    value /= 1000;
    power++;
  }
  if (value < 1e5) return value.toLocaleString("en", { maximumSignificantDigits: Math.max(3, String(Math.round(value)).length) }) + names[power];
  const exponent = Math.floor(Math.log10(value));
  const raised = Array.from(String(exponent + 3 * power), (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
  return `${(value / 10 ** exponent).toFixed(1)} × 10${raised}`;
}

function render({ model, el, signal }) {
  const status = element("p", { class: "lk-summary", role: "status" });
  const figures = element("div", { class: "lk-lists" });
  const laws = model.get("laws");
  const rows = SIZES.map(({ name, label, steps }) => {
    const nearest = (value) =>
      steps.reduce((best, step, i) => (Math.abs(Math.log(step / value)) < Math.abs(Math.log(steps[best] / value)) ? i : best), 0);
    const slider = element("input", {
      type: "range",
      min: 0,
      max: steps.length - 1,
      "aria-label": `${label}, slider`,
      oninput: () => change(name, steps[Number(slider.value)]),
    });
    const number = element("input", {
      type: "text",
      inputmode: "numeric",
      class: "lk-figure",
      "aria-label": label,
      oninput: () => change(name, Number(number.value.replaceAll(/[\s,_]/g, "") || NaN)),
      onchange: () => write(),
    });
    const write = () => {
      const value = model.get("sizes")[name];
      if (Number.isFinite(value)) number.value = value.toLocaleString("en", { maximumFractionDigits: 3 });
    };
    const show = () => {
      const value = model.get("sizes")[name];
      if (value > 0) {
        slider.value = nearest(value);
        slider.setAttribute("aria-valuetext", short(value));
      }
      if (document.activeElement !== number) write();
    };
    return { node: element("div", { class: "lk-size" }, element("span", {}, label), slider, number), show };
  });

  function change(name, value) {
    model.set("sizes", { ...model.get("sizes"), [name]: value });
    model.save_changes();
  }

  // What stands in the way of such a model, or null.
  function complaint(sizes) {
    for (const { name, label } of SIZES) {
      const value = sizes[name];
      if (!(Number.isInteger(value) && value >= 1))
        return `${label} must be a whole number of at least 1.`;
    }
    if (sizes.d_model % sizes.n_head)
      return `${sizes.n_head} heads cannot share a width of ${sizes.d_model}: choose a multiple of ${sizes.n_head}.`;
    return null;
  }

  const datum = (value, names) => element("data", { value }, short(value, names));

  function bars(title, total, entries, names) {
    return element(
      "section",
      {},
      element("p", { class: "lk-title" }, title, element("span", { class: "lk-note" }, datum(total, names))),
      element(
        "ol",
        { class: "lk-bars lk-costs" },
        ...Object.entries(entries).map(([key, value]) =>
          element(
            "li",
            { "data-part": key },
            element("span", { class: "lk-name" }, key.replace("_", " ").replace("mlp", "MLP")),
            element("span", { class: "lk-bar", "aria-hidden": "true" }, element("span", { style: `width: ${(100 * value) / total}%` })),
            element("span", { class: "lk-number" }, datum(value, names)),
          ),
        ),
      ),
    );
  }

  function facts(title, entries) {
    return element(
      "section",
      {},
      element("p", { class: "lk-title" }, title),
      element(
        "dl",
        { class: "lk-facts" },
        ...entries.flatMap(([term, key, ...said]) => [element("dt", {}, term), element("dd", { "data-part": key }, ...said)]),
      ),
    );
  }

  function draw() {
    rows.forEach((row) => row.show());
    const sizes = model.get("sizes");
    const wrong = complaint(sizes);
    figures.classList.toggle("lk-stale", wrong !== null);
    if (wrong) return status.replaceChildren(wrong);
    const found = costs(sizes);
    status.replaceChildren(
      `${short(found.params)} parameters, ${short(sizes.n_tokens / found.params)} training tokens for each.`,
    );
    const sum = (entries) => Object.values(entries).reduce((a, b) => a + b);
    figures.replaceChildren(
      bars("Parameters", found.params, found.parts),
      bars("Memory to train on one text", sum(found.memory), found.memory, BYTES),
      facts("Work", [
        ["FLOPs a token, reading", "flops", datum(found.flops)],
        ["FLOPs to train", "training", datum(found.training)],
        ["KV cache of a full context", "cache", datum(found.cache, BYTES)],
      ]),
      ...Object.entries(laws).map(([name, law]) => {
        const best = optimum(law, 6 * found.params * sizes.n_tokens);
        return facts(`Best for 6ND FLOPs, ${name}`, [
          ["parameters", "best-params", datum(best.params)],
          ["tokens", "best-tokens", datum(best.tokens)],
          [
            "predicted loss",
            "loss",
            element("data", { value: lossOf(law, found.params, sizes.n_tokens) }, lossOf(law, found.params, sizes.n_tokens).toFixed(3)),
            " as set, ",
            element("data", { value: lossOf(law, best.params, best.tokens) }, lossOf(law, best.params, best.tokens).toFixed(3)),
            " at best",
          ],
        ]);
      }),
    );
  }

  const presets = Object.entries(model.get("presets")).map(([name, sizes]) =>
    element(
      "button",
      {
        type: "button",
        class: "lk-button",
        onclick: () => {
          model.set("sizes", sizes);
          model.save_changes();
        },
      },
      name,
    ),
  );
  el.append(
    frame(
      "What a GPT costs",
      element("div", { class: "lk-steps lk-presets" }, ...presets),
      element("div", { class: "lk-sizes" }, ...rows.map((row) => row.node)),
      status,
      figures,
    ),
  );
  model.on("change:sizes", draw);
  signal.addEventListener("abort", () => model.off("change:sizes", draw));
  draw();
}

export default { render };
