"""Plausible wrong answers to the gpt assignment, each with the message that it must draw."""

import math
import re

import torch
import torch.nn.functional as F
from einops import rearrange

import solutions.gpt
from course.banks.bank import wrong
from solutions.gpt import GPT2_NAMES

# ------------------------------------------------------------------------------------------------------ layer-norm


@wrong("layer-norm", mistake="divides the variance by n - 1", says="divide by n and not by n - 1")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="adds eps outside the root", says="under the square root")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        deviation = x.std(-1, correction=0, keepdim=True)
        return (x - x.mean(-1, keepdim=True)) / (deviation + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="normalises over positions too", says="over the last axis")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        axes = (-2, -1) if x.ndim > 1 else (-1,)
        centred = x - x.mean(axes, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(axes, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="leaves weight and bias out", says="weight should multiply")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + self.eps)


@wrong("layer-norm", mistake="adds the bias before the weight multiplies", says="bias be added after")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return (centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + self.eps) + self.bias) * self.weight


@wrong("layer-norm", mistake="only scales, as RMSNorm does", says="should get mean 0")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="detaches the statistics", says="do not detach them")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x.detach(), -1, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="works in place", says="changed its input in place")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        x -= x.mean(-1, keepdim=True)
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="calls the oracle", says="asks you to write what that call does")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


# ------------------------------------------------------------------------------------------------ attention-pattern


def future(n):
    return torch.ones(n, n, dtype=torch.bool).triu(1)


@wrong("attention-pattern", mistake="has no mask", says="a key that comes after it")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


@wrong("attention-pattern", mistake="does not scale", says="square root of the width")
def attention_pattern(q, k):
    return (q @ k.mT).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="scales by the number of positions", says="square root of the width")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-2])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="masks after the softmax", says="should sum to 1")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).tril()


@wrong("attention-pattern", mistake="takes the softmax over the queries", says="over the keys")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-2)


@wrong("attention-pattern", mistake="masks a position from itself", says="must be allowed to see itself")
def attention_pattern(q, k):
    n = q.shape[-2]
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(n) | torch.eye(n).bool(), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="masks the past", says="a key that comes after it")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]).T, -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="masks with 0 in place of minus infinity", says="a key that comes after it")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).tril().softmax(-1)


@wrong("attention-pattern", mistake="masks with -1000, which a large score outweighs", says="large scores")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1]) - 1000.0 * future(q.shape[-2])).softmax(-1)


@wrong("attention-pattern", mistake="takes exp of large scores", says="exp of a large number is infinite")
def attention_pattern(q, k):
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).exp().tril()
    return weights / weights.sum(-1, keepdim=True)


@wrong("attention-pattern", mistake="counts axes from the first", says="count axes from the last")
def attention_pattern(q, k):
    scores = q @ k.transpose(2, 3) if q.ndim == 4 else q @ k.transpose(0 if q.ndim == 2 else 1, q.ndim - 1)
    masked = (scores / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf)
    return masked.softmax(-1) if q.ndim > 2 else masked.softmax(0)


@wrong("attention-pattern", mistake="calls the oracle", says="asks you to write what that call does")
def attention_pattern(q, k):
    n = q.shape[-2]
    return F.scaled_dot_product_attention(q, k, torch.eye(n).expand(*q.shape[:-2], n, n), is_causal=True)


# -------------------------------------------------------------------------------------------- multi-head-attention


def pattern_of(q, k):
    return solutions.gpt.attention_pattern(q, k)


@wrong("multi-head-attention", mistake="forgets the output projection", says="output projection is missing")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return rearrange(pattern_of(q, k) @ v, "b h n w -> b n (h w)")


@wrong("multi-head-attention", mistake="joins the heads without swapping axes", says="side by side in order")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection((pattern_of(q, k) @ v).reshape(x.shape))


@wrong("multi-head-attention", mistake="cuts the heads without swapping axes", says="of head 0 should be columns")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        batch, n, d_model = x.shape
        parts = self.qkv(x).view(batch, n, 3, d_model).permute(2, 0, 1, 3)
        return parts.reshape(3, batch, self.n_head, n, d_model // self.n_head)


@wrong("multi-head-attention", mistake="interleaves the heads", says="of head 0 should be columns")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return rearrange(self.qkv(x), "b n (p w h) -> p b h n w", p=3, h=self.n_head)

    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k) @ v, "b h n w -> b n (w h)"))


@wrong("multi-head-attention", mistake="takes keys for queries", says="queries of head 0")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return super().heads(x)[[1, 0, 2]]


@wrong("multi-head-attention", mistake="uses one pattern for all heads", says="by their own patterns")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        pattern = pattern_of(q, k).mean(1, keepdim=True)
        return self.projection(rearrange(pattern @ v, "b h n w -> b n (h w)"))


@wrong("multi-head-attention", mistake="calls the oracle", says="asks you to write what that call does")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        mixed = F.scaled_dot_product_attention(*self.heads(x), is_causal=True)
        return self.projection(rearrange(mixed, "b h n w -> b n (h w)"))


# ------------------------------------------------------------------------------------------------------------ gelu


@wrong("gelu", mistake="uses erf", says="exact gelu")
def gelu(x):
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


@wrong("gelu", mistake="uses the sigmoid form with 1.702", says="check each constant")
def gelu(x):
    return x * torch.sigmoid(1.702 * x)


@wrong("gelu", mistake="leaves the cube outside the tanh", says="x cubed is inside")
def gelu(x):
    return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * x) + 0.044715 * x**3)


@wrong("gelu", mistake="writes tanh with exp", says="stay finite")
def gelu(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x / 2 * (1 + (u.exp() - (-u).exp()) / (u.exp() + (-u).exp()))


@wrong("gelu", mistake="calls the oracle", says="asks you to write what that call does")
def gelu(x):
    return F.gelu(x, approximate="tanh")


# ------------------------------------------------------------------------------------------------------------- mlp


def gelu_of(x):
    return solutions.gpt.gelu(x)


@wrong("mlp", mistake="leaves gelu out", says="through gelu once")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(self.up(x))


@wrong("mlp", mistake="applies gelu at the end too", says="through gelu once")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return gelu_of(self.down(gelu_of(self.up(x))))


@wrong("mlp", mistake="uses relu", says="through gelu once")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(self.up(x).relu())


@wrong("mlp", mistake="adds its input", says="left to the block")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return x + self.down(gelu_of(self.up(x)))


# ----------------------------------------------------------------------------------------------------------- block


@wrong("block", mistake="normalises after adding, as the first transformer did", says="come out unchanged")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = self.attention_norm(x + self.attention(x))
        return self.mlp_norm(x + self.mlp(x))


@wrong("block", mistake="has no residual connections", says="do not replace it")
class Block(solutions.gpt.Block):
    def forward(self, x):
        return self.mlp(self.mlp_norm(self.attention(self.attention_norm(x))))


@wrong("block", mistake="runs attention and MLP side by side", says="reads what attention has written")
class Block(solutions.gpt.Block):
    def forward(self, x):
        return x + self.attention(self.attention_norm(x)) + self.mlp(self.mlp_norm(x))


@wrong("block", mistake="uses the first norm twice", says="not torch's layer")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.attention_norm(x))


@wrong("block", mistake="forgets the norms", says="reads a normalised copy")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


@wrong("block", mistake="adds in place", says="changed in place")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x += self.attention(self.attention_norm(x.clone()))
        return x + self.mlp(self.mlp_norm(x))


@wrong("block", mistake="calls the oracle", says="asks you to write what that call does")
class Block(solutions.gpt.Block):
    def forward(self, x):
        layer = torch.nn.TransformerEncoderLayer(x.shape[-1], self.attention.n_head, norm_first=True, batch_first=True)
        return layer(x)


# ------------------------------------------------------------------------------------------------------- load-gpt2


@wrong("load-gpt2", mistake="does not transpose", says="is to be transposed")
def load_gpt2(state_dict):
    turned = re.compile(r"(qkv|projection|up|down)\.weight$")
    ours = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if turned.search(name) else value for name, value in ours.items()}


@wrong("load-gpt2", mistake="transposes only what is not square", says="a square matrix is to be transposed too")
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if "projection.weight" in name else value for name, value in right.items()}


@wrong("load-gpt2", mistake="transposes the embeddings too", says="is no Conv1D")
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if "embedding" in name else value for name, value in right.items()}


@wrong("load-gpt2", mistake="keeps the head's matrix", says="no place for")
def load_gpt2(state_dict):
    head = {"lm_head.weight": state_dict["lm_head.weight"]} if "lm_head.weight" in state_dict else {}
    return solutions.gpt.load_gpt2(state_dict) | head


@wrong("load-gpt2", mistake="knows only names with the prefix", says="with and without the prefix")
def load_gpt2(state_dict):
    return solutions.gpt.load_gpt2({name: v for name, v in state_dict.items() if name.startswith("transformer.")})


@wrong("load-gpt2", mistake="pops from its argument", says="has lost or gained names")
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    state_dict.pop("lm_head.weight", None)
    for name in [name for name in state_dict if name.endswith("attn.bias")]:
        del state_dict[name]
    return right


@wrong("load-gpt2", mistake="keeps the mask buffers of old files", says="no place for")
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    masks = {name: value for name, value in state_dict.items() if name.endswith((".attn.bias", ".attn.masked_bias"))}
    for theirs, own in GPT2_NAMES.items():
        masks = {re.sub(rf"\b{re.escape(theirs)}\b", own, name): value for name, value in masks.items()}
    return ours | masks


@wrong("load-gpt2", mistake="takes the bias of c_attn for an old mask", says="of our weights are missing")
def load_gpt2(state_dict):
    return solutions.gpt.load_gpt2({name: v for name, v in state_dict.items() if not name.endswith("attn.bias")})


@wrong("load-gpt2", mistake="asks the oracle", says="asks you to write what that call does")
def load_gpt2(state_dict):
    import transformers

    transformers.GPT2LMHeadModel(transformers.GPT2Config()).load_state_dict(state_dict)
    return solutions.gpt.load_gpt2(state_dict)


# ------------------------------------------------------------------------------------------------------------- gpt


@wrong("gpt", mistake="forgets the positions", says="add positions")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        return self.token_embedding(ids)


@wrong("gpt", mistake="counts positions from 1", says="the first position is number 0")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        positions = torch.arange(1, ids.shape[1] + 1).clamp(max=self.config.context - 1)
        return self.token_embedding(ids) + self.position_embedding(positions)


@wrong("gpt", mistake="forgets the final norm", says="the final norm")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return x @ self.token_embedding.weight.T


@wrong("gpt", mistake="runs the blocks in reverse", says="all blocks in order")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in reversed(self.blocks):
            x = block(x)
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong("gpt", mistake="gives every block the embeddings", says="all blocks in order")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        start = x = self.embed(ids)
        for block in self.blocks:
            x = block(start)
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong("gpt", mistake="returns probabilities", says="not GPT-2's logits")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids).softmax(-1)


@wrong("gpt", mistake="cuts a text that is too long", says="should raise a ValueError")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids[:, : self.config.context])


@wrong("gpt", mistake="detaches the residual stream between blocks", says="gradients do not reach")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x.detach())
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong("gpt", mistake="calls the oracle", says="asks you to write what that call does")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        import transformers

        return transformers.GPT2LMHeadModel(transformers.GPT2Config())(ids).logits


# ------------------------------------------------------------------------------------------------- next-token-loss


@wrong("next-token-loss", mistake="judges logits by the token they have just read", says="is one shifted?")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten())


@wrong("next-token-loss", mistake="shifts the other way", says="is one shifted?")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, :-1].flatten())


@wrong("next-token-loss", mistake="sums", says="ln 5")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


@wrong("next-token-loss", mistake="measures in bits", says="ln 5")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()) / math.log(2)


@wrong("next-token-loss", mistake="returns one loss a token", says="no axes")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")


@wrong("next-token-loss", mistake="scores only the last token", says="every text and every token")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, -2], ids[:, -1])


# -------------------------------------------------------------------------------------------------------- generate


def continued(model, ids, n_tokens, choose):
    for _ in range(n_tokens):
        ids = torch.cat([ids, choose(model(ids[:, -model.config.context :]))], dim=1)
    return ids


@wrong("generate", mistake="returns only the new tokens", says="make shape")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)[:, ids.shape[1] :]


@wrong("generate", mistake="always takes the likeliest", says="five other seeds all gave the same text")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 0.0, seed)


@wrong("generate", mistake="draws from torch's global generator", says="draw from a generator with this seed")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature == 0:
        return solutions.gpt.generate(model, ids, n_tokens, 0.0)
    return continued(model, ids, n_tokens, lambda x: torch.multinomial((x[:, -1] / temperature).softmax(-1), 1))


@wrong("generate", mistake="multiplies by the temperature", says="softmax(logits / temperature)")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 1 / temperature if temperature else 0.0, seed)


@wrong("generate", mistake="ignores the temperature", says="softmax(logits / temperature)")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 1.0 if temperature else 0.0, seed)


@wrong("generate", mistake="reads the first logits", says="should be the likeliest")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    return continued(model, ids, n_tokens, lambda x: x[:, 0].argmax(-1, keepdim=True))


@wrong("generate", mistake="reads only the newest token", says="should be the likeliest")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids[:, -1:])[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong("generate", mistake="reads the first `context` tokens of a long text", says="only the last `context` tokens")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids[:, : model.config.context])[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong("generate", mistake="starts the generator afresh for every token", says="drawn again and again")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    for _ in range(n_tokens):
        ids = solutions.gpt.generate(model, ids, 1, temperature, seed)
    return ids


@wrong("generate", mistake="asks the oracle", says="asks you to write what that call does")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, max_new_tokens=n_tokens)
