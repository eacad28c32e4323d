// A GPT-2 in the page: reads a checkpoint of the course (safetensors) and computes logits and attention patterns.
// The names of the tensors are those of solutions/gpt.py. Matrices are (out, in), stored by rows.

// A safetensors file: eight bytes of header length, a JSON header, then the numbers. Returns its metadata and
// tensor(name), which reads one tensor: { shape, data }.
function readSafetensors(buffer) {
  const headerEnd = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(buffer, 8, headerEnd - 8)),
  );
  const tensor = (name) => {
    if (!(name in entries)) throw new Error(`the checkpoint has no tensor ${name}`);
    const { dtype, shape, data_offsets: [start, end] } = entries[name];
    const raw = buffer.slice(headerEnd + start, headerEnd + end);
    if (dtype === "F32") return { shape, data: new Float32Array(raw) };
    if (dtype === "F16") return { shape, data: fromFloat16(new Uint16Array(raw)) };
    throw new Error(`${name} is stored as ${dtype}; the page reads F16 and F32`);
  };
  return { metadata, tensor };
}

function fromFloat16(halves) {
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

// y[i] = weight x[i] + bias for `n` rows x[i]. Four rows and two outputs at once, so that each number read serves
// several products; past the end the last row or output is computed again.
function linear(x, n, weight, bias) {
  const [outs, ins] = weight.shape;
  const w = weight.data;
  const y = new Float32Array(n * outs);
  for (let i = 0; i < n; i += 4) {
    const [i1, i2, i3] = [Math.min(i + 1, n - 1), Math.min(i + 2, n - 1), Math.min(i + 3, n - 1)];
    for (let o = 0; o < outs; o += 2) {
      const p = Math.min(o + 1, outs - 1);
      let o0 = bias ? bias.data[o] : 0, p0 = bias ? bias.data[p] : 0;
      let o1 = o0, o2 = o0, o3 = o0, p1 = p0, p2 = p0, p3 = p0;
      for (let k = 0; k < ins; k++) {
        const u = w[o * ins + k], v = w[p * ins + k];
        const x0 = x[i * ins + k], x1 = x[i1 * ins + k], x2 = x[i2 * ins + k], x3 = x[i3 * ins + k];
        o0 += u * x0; o1 += u * x1; o2 += u * x2; o3 += u * x3;
        p0 += v * x0; p1 += v * x1; p2 += v * x2; p3 += v * x3;
      }
      y[i * outs + o] = o0; y[i1 * outs + o] = o1; y[i2 * outs + o] = o2; y[i3 * outs + o] = o3;
      y[i * outs + p] = p0; y[i1 * outs + p] = p1; y[i2 * outs + p] = p2; y[i3 * outs + p] = p3;
    }
  }
  return y;
}

function layerNorm(x, n, weight, bias, eps) {
  const width = weight.data.length;
  const y = new Float32Array(x.length);
  for (let i = 0; i < n; i++) {
    const at = i * width;
    let mean = 0, variance = 0;
    for (let k = 0; k < width; k++) mean += x[at + k] / width;
    for (let k = 0; k < width; k++) variance += (x[at + k] - mean) ** 2 / width;
    const scale = 1 / Math.sqrt(variance + eps);
    for (let k = 0; k < width; k++) y[at + k] = (x[at + k] - mean) * scale * weight.data[k] + bias.data[k];
  }
  return y;
}

function gelu(x) {
  const slope = Math.sqrt(2 / Math.PI);
  return x.map((u) => 0.5 * u * (1 + Math.tanh(slope * (u + 0.044715 * u * u * u))));
}

// Turns numbers[start:end] into probabilities, in place.
export function softmax(numbers, start, end) {
  let largest = -Infinity, total = 0;
  for (let k = start; k < end; k++) largest = Math.max(largest, numbers[k]);
  for (let k = start; k < end; k++) total += numbers[k] = Math.exp(numbers[k] - largest);
  for (let k = start; k < end; k++) numbers[k] /= total;
}

// One layer's attention. `qkv` has a row for each position: all heads' queries, then keys, then values. Returns the
// heads' outputs side by side and the pattern of each head, query x key, with zeros for what comes later.
function attend(qkv, n, heads) {
  const width = qkv.length / n / 3;
  const size = width / heads;
  const mixed = new Float32Array(n * width);
  const patterns = [];
  for (let head = 0; head < heads; head++) {
    const pattern = new Float32Array(n * n);
    for (let query = 0; query < n; query++) {
      const q = query * 3 * width + head * size;
      for (let key = 0; key <= query; key++) {
        const k = (key * 3 + 1) * width + head * size;
        let score = 0;
        for (let i = 0; i < size; i++) score += qkv[q + i] * qkv[k + i];
        pattern[query * n + key] = score / Math.sqrt(size);
      }
      softmax(pattern, query * n, query * n + query + 1);
      for (let key = 0; key <= query; key++) {
        const weight = pattern[query * n + key];
        const v = (key * 3 + 2) * width + head * size;
        for (let i = 0; i < size; i++) mixed[query * width + head * size + i] += weight * qkv[v + i];
      }
    }
    patterns.push(pattern);
  }
  return { mixed, patterns };
}

// A model from the bytes of a checkpoint. forward(ids) returns
//   attention[layer][head]: Float32Array, query x key
//   logits: Float32Array, position x vocabulary
export function makeGPT(buffer) {
  const { metadata, tensor } = readSafetensors(buffer);
  const { config, merges } = JSON.parse(metadata.checkpoint);
  const width = config.d_model;
  const pair = (name) => [tensor(`${name}.weight`), tensor(`${name}.bias`)];
  const tokens = tensor("token_embedding.weight");
  const positions = tensor("position_embedding.weight");
  const finalNorm = pair("final_norm");
  const blocks = Array.from({ length: config.n_layer }, (_, layer) => {
    const part = (name) => pair(`blocks.${layer}.${name}`);
    return {
      attentionNorm: part("attention_norm"),
      qkv: part("attention.qkv"),
      projection: part("attention.projection"),
      mlpNorm: part("mlp_norm"),
      up: part("mlp.up"),
      down: part("mlp.down"),
    };
  });

  function forward(ids) {
    const n = ids.length;
    const stream = new Float32Array(n * width); // the residual stream, a row for each position
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < width; k++) {
        stream[i * width + k] = tokens.data[ids[i] * width + k] + positions.data[i * width + k];
      }
    }
    const read = (norm) => layerNorm(stream, n, ...norm, config.eps);
    const write = (y) => y.forEach((value, k) => (stream[k] += value));
    const attention = [];
    for (const block of blocks) {
      const { mixed, patterns } = attend(linear(read(block.attentionNorm), n, ...block.qkv), n, config.n_head);
      attention.push(patterns);
      write(linear(mixed, n, ...block.projection));
      write(linear(gelu(linear(read(block.mlpNorm), n, ...block.up)), n, ...block.down));
    }
    return { attention, logits: linear(read(finalNorm), n, tokens) };
  }

  return { config, merges: merges?.flat(), forward };
}
