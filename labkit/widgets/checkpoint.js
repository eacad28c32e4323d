// Loading the trained model of a control.

import { makeTokenizer } from "./tokenizer.js";
import { makeGPT } from "./gpt.js";
import { element } from "./parts.js";

// The bytes of the checkpoint that a control's model names. The built book serves them beside its scripts; a live
// notebook's kernel sends them when asked. `onWait` is called if the kernel takes long.
async function loadCheckpoint(model, { signal, onWait }) {
  const root = document.documentElement.dataset.content_root;
  if (root !== undefined) {
    const answer = await fetch(`${root}_static/${model.get("checkpoint")}.safetensors`, { signal });
    if (!answer.ok) throw new Error(`the site answered ${answer.status} for ${model.get("checkpoint")}.safetensors`);
    return answer.arrayBuffer();
  }
  const { promise, resolve, reject } = Promise.withResolvers();
  const receive = (content, buffers) => {
    if (content.kind === "checkpoint") {
      const { buffer, byteOffset, byteLength } = buffers[0];
      resolve(buffer.slice(byteOffset, byteOffset + byteLength));
    } else if (content.kind === "failed") {
      reject(new Error(content.reason));
    }
  };
  const timer = setTimeout(onWait, 8000);
  model.on("msg:custom", receive);
  model.send({ kind: "load" });
  return promise.finally(() => {
    clearTimeout(timer);
    model.off("msg:custom", receive);
  });
}

// Makes the tokenizer and the GPT of a control's checkpoint and passes them to `ready`. `status` says how it goes; if it
// fails, it says why and offers another try.
export async function openModel({ model, signal }, status, ready) {
  status.replaceChildren(`Loading the model (${(model.get("file_bytes") / 1e6).toFixed(1)} MB) ...`);
  const onWait = () =>
    status.replaceChildren(
      "Loading the model: the kernel has not answered yet. If no cell is running, run this cell again.",
    );
  let tokenizer, gpt;
  try {
    gpt = makeGPT(await loadCheckpoint(model, { signal, onWait }));
    tokenizer = makeTokenizer(gpt.merges);
  } catch (error) {
    if (signal.aborted) return;
    const onclick = () => openModel({ model, signal }, status, ready);
    const again = element("button", { type: "button", class: "lk-button", onclick }, "Try again");
    status.replaceChildren(`The model could not be loaded: ${error.message}. `, again);
    return;
  }
  ready(tokenizer, gpt);
}
