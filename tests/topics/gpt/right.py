"""Other right answers to the gpt assignment, which must keep all points."""

import math
import re

import torch
import torch.nn.functional as F

import solutions.gpt
from course.banks.bank import right

# ------------------------------------------------------------------------------------------------------ layer-norm


@right("layer-norm", differs="var with correction 0, and a division by the root")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        deviation = torch.sqrt(x.var(dim=-1, keepdim=True, correction=0) + self.eps)
        return self.weight * ((x - x.mean(dim=-1, keepdim=True)) / deviation) + self.bias


@right("layer-norm", differs="the centring is a matrix")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        n = x.shape[-1]
        centred = x @ (torch.eye(n) - torch.ones(n, n) / n)
        length = torch.einsum("...i,...i->...", centred, centred)[..., None]
        return torch.addcmul(self.bias, centred / (length / n + self.eps) ** 0.5, self.weight)


# ------------------------------------------------------------------------------------------------ attention-pattern


@right("attention-pattern", differs="einsum, and a mask filled in by comparing positions")
def attention_pattern(q, k):
    scores = torch.einsum("...id,...jd->...ij", q, k) * q.shape[-1] ** -0.5
    positions = torch.arange(q.shape[-2])
    return torch.where(positions[:, None] >= positions, scores, float("-inf")).softmax(-1)


@right("attention-pattern", differs="writes the softmax out, and masks between exp and sum")
def attention_pattern(q, k):
    n = q.shape[-2]
    scores = (q @ k.transpose(-1, -2)).div(math.sqrt(q.shape[-1]))
    seen = torch.ones(n, n).tril()
    largest = scores.masked_fill(seen == 0, -math.inf).amax(-1, keepdim=True).detach()
    weights = (scores - largest).clamp(max=0).exp() * seen
    return weights / weights.sum(-1, keepdim=True)


@right("attention-pattern", differs="a query at a time")
def attention_pattern(q, k):
    n, width = q.shape[-2:]
    rows = []
    for i in range(n):
        scores = (k[..., : i + 1, :] * q[..., i : i + 1, :]).sum(-1) / math.sqrt(width)
        rows.append(F.pad(scores.softmax(-1), (0, n - i - 1)))
    return torch.stack(rows, dim=-2)


@right("attention-pattern", differs="the mask is the least number that there is")
def attention_pattern(q, k):
    scores = q @ k.mT / k.shape[-1] ** 0.5
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, torch.finfo(scores.dtype).min).softmax(-1)


# -------------------------------------------------------------------------------------------- multi-head-attention


@right("multi-head-attention", differs="view and transpose in place of einops")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        batch, n, d_model = x.shape
        return self.qkv(x).view(batch, n, 3, self.n_head, d_model // self.n_head).permute(2, 0, 3, 1, 4)

    def forward(self, x):
        q, k, v = self.heads(x).unbind(0)
        return self.projection((solutions.gpt.attention_pattern(q, k) @ v).transpose(1, 2).flatten(2))


@right("multi-head-attention", differs="a head at a time, each adding its share of the projection")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        parts = self.qkv(x).chunk(3, dim=-1)
        return torch.stack([torch.stack(part.chunk(self.n_head, dim=-1), dim=1) for part in parts])

    def forward(self, x):
        q, k, v = self.heads(x)
        result = self.projection.bias.expand(x.shape)
        for head, columns in enumerate(self.projection.weight.chunk(self.n_head, dim=1)):
            result = result + solutions.gpt.attention_pattern(q[:, head], k[:, head]) @ v[:, head] @ columns.T
        return result


# ----------------------------------------------------------------------------------------------- block: its MLP


@right("block", differs="matrix products in place of the layers")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        inner = solutions.gpt.gelu(x @ self.up.weight.T + self.up.bias)
        return inner @ self.down.weight.T + self.down.bias


@right("block", differs="one hidden half at a time")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        halves = zip(self.up.weight.chunk(2), self.up.bias.chunk(2), self.down.weight.chunk(2, dim=1), strict=True)
        return self.down.bias + sum(solutions.gpt.gelu(F.linear(x, up, bias)) @ down.T for up, bias, down in halves)


# ----------------------------------------------------------------------------------------------------------- block


@right("block", differs="names each step")
class Block(solutions.gpt.Block):
    def forward(self, x):
        normalised = self.attention_norm(x)
        middle = torch.add(x, self.attention(normalised))
        written = self.mlp(self.mlp_norm(middle))
        return torch.add(middle, written)


@right("block", differs="collects what is written and adds it at the end")
class Block(solutions.gpt.Block):
    def forward(self, x):
        written = self.attention(self.attention_norm(x))
        written = written + self.mlp(self.mlp_norm(x + written))
        return x + written


# ------------------------------------------------------------------------------------------------------- load-gpt2


@right("load-gpt2", differs="plain replacements on names that keep a dot in front")
def load_gpt2(state_dict):
    pairs = {
        ".wte.": ".token_embedding.",
        ".wpe.": ".position_embedding.",
        ".h.": ".blocks.",
        ".ln_1.": ".attention_norm.",
        ".attn.c_attn.": ".attention.qkv.",
        ".attn.c_proj.": ".attention.projection.",
        ".ln_2.": ".mlp_norm.",
        ".mlp.c_fc.": ".mlp.up.",
        ".mlp.c_proj.": ".mlp.down.",
        ".ln_f.": ".final_norm.",
    }
    ours = {}
    for name, value in state_dict.items():
        name = "." + name.removeprefix("transformer.")
        if "lm_head" in name or name.endswith((".attn.bias", ".masked_bias")):
            continue
        for old, new in pairs.items():
            name = name.replace(old, new)
        turned = name.endswith(("qkv.weight", "projection.weight", "up.weight", "down.weight"))
        ours[name[1:]] = value.t().clone() if turned else value.clone()
    return ours


@right("load-gpt2", differs="takes each name apart")
def load_gpt2(state_dict):
    ours = {}
    for name, value in state_dict.items():
        found = re.fullmatch(r"(?:transformer\.)?(h\.(\d+)\.)?(ln_\w|wte|wpe|(?:attn|mlp)\.c_\w+)\.(weight|bias)", name)
        if not found:
            continue
        _, layer, part, kind = found.groups()
        prefix = f"blocks.{layer}." if layer else ""
        turned = kind == "weight" and ".c_" in part
        ours[f"{prefix}{solutions.gpt.GPT2_NAMES[part]}.{kind}"] = value.T if turned else value
    return ours


# ------------------------------------------------------------------------------------------------------------- gpt


@right("gpt", differs="looks positions up, and unembeds with F.linear")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        if ids.size(1) > self.config.context:
            raise ValueError(f"{ids.size(1)} tokens are more than the context of {self.config.context}")
        return self.position_embedding(torch.arange(ids.size(1))) + self.token_embedding(ids)

    def forward(self, ids):
        stream = torch.nn.Sequential(*self.blocks)(self.embed(ids))
        return F.linear(self.final_norm(stream), self.token_embedding.weight)


@right("gpt", differs="picks embeddings by one-hot vectors")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        n, context = ids.shape[-1], self.config.context
        if n > context:
            raise ValueError("the text is too long for the context")
        tokens = F.one_hot(ids, self.config.vocab_size).to(self.token_embedding.weight.dtype)
        return tokens @ self.token_embedding.weight + torch.eye(n, context) @ self.position_embedding.weight

    def forward(self, ids):
        stream = self.embed(ids)
        for layer in range(self.config.n_layer):
            stream = self.blocks[layer](stream)
        return torch.einsum("bnd,vd->bnv", self.final_norm(stream), self.token_embedding.weight)


@right("gpt", differs="keeps a causal mask as a buffer, as nanoGPT does")
class GPT(solutions.gpt.GPT):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mask", torch.ones(config.context, config.context).tril())


# ------------------------------------------------------------------------------------------------- next-token-loss


@right("next-token-loss", differs="log_softmax and gather")
def next_token_loss(logits, ids):
    return -logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]).mean()


@right("next-token-loss", differs="logsumexp minus the right logit")
def next_token_loss(logits, ids):
    before, after = logits[:, :-1], ids[:, 1:]
    right_ones = torch.take_along_dim(before, after.unsqueeze(-1), dim=-1).squeeze(-1)
    return (before.logsumexp(-1) - right_ones).sum() / after.numel()


# -------------------------------------------------------------------------------------------------------- generate


@right("generate", differs="the Gumbel trick in place of multinomial")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_tokens):
        logits = model(ids[:, -model.config.context :])[:, -1].detach()
        if temperature:
            logits = logits / temperature - torch.empty_like(logits).exponential_(generator=generator).log()
        ids = torch.cat([ids, logits.argmax(-1)[:, None]], dim=1)
    return ids


@right("generate", differs="inverts the cumulative distribution in float64")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    generator, n = torch.Generator().manual_seed(seed), ids.shape[1]
    text = torch.cat([ids, ids.new_zeros(len(ids), n_tokens)], dim=1)
    with torch.inference_mode():
        for end in range(n, n + n_tokens):
            logits = model(text[:, max(0, end - model.config.context) : end])[:, -1].double()
            if temperature == 0:
                text[:, end] = logits.argmax(-1)
                continue
            cumulative = (logits / temperature).softmax(-1).cumsum(-1)
            drawn = torch.rand(len(ids), 1, generator=generator, dtype=torch.float64)
            text[:, end] = torch.searchsorted(cumulative, drawn).clamp(max=logits.shape[-1] - 1)[:, 0]
    return text


@right("generate", differs="borrows torch's global generator and puts it back")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for _ in range(n_tokens):
            logits = model(ids[:, -model.config.context :])[:, -1]
            chosen = (
                logits.argmax(-1)
                if temperature == 0
                else torch.distributions.Categorical(logits=logits / temperature).sample()
            )
            ids = torch.hstack((ids, chosen[:, None]))
    return ids
