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


@wrong(
    "layer-norm",
    mistake="divides the variance by n - 1",
    says="the variance here is divided by n - 1: divide by n",
    never=(
        "the weight",
        "eps is added",
    ),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="adds eps outside the root",
    says="eps is added after the square root: add it to the variance",
    never=(
        "neither weight",
        "the weight is not used",
        "multiplied by the weight",
        "n - 1",
    ),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        deviation = x.std(-1, correction=0, keepdim=True)
        return (x - x.mean(-1, keepdim=True)) / (deviation + self.eps) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="normalises over positions too",
    says="a vector comes out differently when it is alone: mean and",
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        axes = (-2, -1) if x.ndim > 1 else (-1,)
        centred = x - x.mean(axes, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(axes, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="leaves weight and bias out", says="neither weight nor bias is used")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + self.eps)


@wrong(
    "layer-norm",
    mistake="adds the bias before the weight multiplies",
    says="the bias should not be multiplied by the weight: add it last",
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return (centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + self.eps) + self.bias) * self.weight


@wrong(
    "layer-norm",
    mistake="only scales, as RMSNorm does",
    says="the vector is divided by its root mean square: subtract the",
)
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


@wrong(
    "layer-norm",
    mistake="forgets the root",
    says="this divides by the variance and not by its square root",
    never=("n - 1",),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / ((centred**2).mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="only centres", says="the mean is subtracted, but nothing is divided by the square")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="sums the squared deviations",
    says="the squared deviations are summed here: the variance is their",
    never=("n - 1",),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred**2).sum(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="has an eps of its own",
    says="the eps that the layer was made with makes no difference",
    never=("square root",),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias


@wrong(
    "layer-norm", mistake="runs over the first axis", says="everything becomes 0: mean and variance should run over the"
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x, 0, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


@wrong("layer-norm", mistake="never adds the bias", says="the bias is not used")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight


@wrong("layer-norm", mistake="wants three axes", says="Dimension out of range (expected to be in range of [-1, 0]")
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        if x.ndim == 2:
            return super().forward(x)
        variance, mean = torch.var_mean(x, 2, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


# ------------------------------------------------------------------------------------------------ attention-pattern


def future(n):
    return torch.ones(n, n, dtype=torch.bool).triu(1)


@wrong("attention-pattern", mistake="has no mask", says="queries see the keys that come after them: no score is masked")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


@wrong("attention-pattern", mistake="does not scale", says="square root of the width")
def attention_pattern(q, k):
    return (q @ k.mT).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="scales by the number of positions",
    says="the scores are divided by the square root of the number of",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-2])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="masks after the softmax",
    says="later keys lose their weight only after the softmax, so that",
    never=("run over the keys",),
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).tril()


@wrong("attention-pattern", mistake="takes the softmax over the queries", says="over the keys", never=("from itself",))
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-2)


@wrong(
    "attention-pattern", mistake="masks a position from itself", says="the mask hides every position from itself too"
)
def attention_pattern(q, k):
    n = q.shape[-2]
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(n) | torch.eye(n).bool(), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="masks the past", says="the mask is the wrong way round: it hides the past")
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]).T, -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="masks with 0 in place of minus infinity",
    says="a masked score of 0 has a weight too: it should be minus",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).tril().softmax(-1)


@wrong(
    "attention-pattern",
    mistake="masks with -1000, which a large score outweighs",
    says="a large score outweighs the mask: what is masked should be",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1]) - 1000.0 * future(q.shape[-2])).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="takes exp of large scores",
    says="a large score makes nan, as exp of it is infinite: torch's",
)
def attention_pattern(q, k):
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).exp().tril()
    return weights / weights.sum(-1, keepdim=True)


@wrong(
    "attention-pattern",
    mistake="counts axes from the first",
    says="right with 2 axes before position and width, wrong with",
)
def attention_pattern(q, k):
    scores = q @ k.transpose(2, 3) if q.ndim == 4 else q @ k.transpose(0 if q.ndim == 2 else 1, q.ndim - 1)
    masked = (scores / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf)
    return masked.softmax(-1) if q.ndim > 2 else masked.softmax(0)


@wrong("attention-pattern", mistake="calls the oracle", says="asks you to write what that call does")
def attention_pattern(q, k):
    n = q.shape[-2]
    return F.scaled_dot_product_attention(q, k, torch.eye(n).expand(*q.shape[:-2], n, n), is_causal=True)


@wrong(
    "attention-pattern",
    mistake="multiplies the mask by infinity",
    says="every weight is nan: 0 times infinity is nan, so make the",
    never=("itself", "exp of"),
)
def attention_pattern(q, k):
    mask = torch.ones(q.shape[-2], q.shape[-2]).triu(1) * -math.inf
    return (q @ k.mT / math.sqrt(q.shape[-1]) + mask).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="divides by the width",
    says="the scores are divided by the width itself: divide by its",
)
def attention_pattern(q, k):
    return (q @ k.mT / q.shape[-1]).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="multiplies by the root of the width",
    says="the scores are multiplied by the square root of the width",
)
def attention_pattern(q, k):
    return (q @ k.mT * math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="returns the scores",
    says="these are masked scores: the softmax is missing",
    never=("no score is masked",),
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf)


@wrong(
    "attention-pattern", mistake="swaps queries and keys", says="queries and keys are swapped: row i belongs to query i"
)
def attention_pattern(q, k):
    return (k @ q.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="always divides by 2", says="the scores are divided by 2 at every width")
def attention_pattern(q, k):
    return (q @ k.mT / 2).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong(
    "attention-pattern", mistake="detaches the keys", says="no gradient reaches the keys: what is computed from them is"
)
def attention_pattern(q, k):
    return solutions.gpt.attention_pattern(q, k.detach())


@wrong(
    "attention-pattern",
    mistake="detaches the scores",
    says="no gradient reaches the queries: what is computed from them",
)
def attention_pattern(q, k):
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).tolist()
    return torch.tensor(scores).masked_fill(future(q.shape[-2]), -math.inf).softmax(-1)


@wrong("attention-pattern", mistake="takes four axes apart", says="not enough values to unpack (expected 4, got 2)")
def attention_pattern(q, k):
    _, _, n, width = q.shape if q.ndim != 3 else (*q.shape[:1], 1, *q.shape[1:])
    assert n and width
    return solutions.gpt.attention_pattern(q, k)


# -------------------------------------------------------------------------------------------- multi-head-attention


def pattern_of(q, k):
    return solutions.gpt.attention_pattern(q, k)


@wrong("multi-head-attention", mistake="forgets the output projection", says="output projection is missing")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return rearrange(pattern_of(q, k) @ v, "b h n w -> b n (h w)")


@wrong(
    "multi-head-attention",
    mistake="joins the heads without swapping axes",
    says="the heads are joined by a view alone, which mixes positions",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection((pattern_of(q, k) @ v).reshape(x.shape))


@wrong(
    "multi-head-attention",
    mistake="cuts the heads without swapping axes",
    says="a head holds numbers of other positions: a view alone does",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        batch, n, d_model = x.shape
        parts = self.qkv(x).view(batch, n, 3, d_model).permute(2, 0, 1, 3)
        return parts.reshape(3, batch, self.n_head, n, d_model // self.n_head)


@wrong(
    "multi-head-attention",
    mistake="interleaves the heads",
    says="columns are dealt out to the heads in turn: a head's columns",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return rearrange(self.qkv(x), "b n (p w h) -> p b h n w", p=3, h=self.n_head)

    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k) @ v, "b h n w -> b n (w h)"))


@wrong(
    "multi-head-attention",
    mistake="takes keys for queries",
    says="keys stand where queries should: qkv's first third are the",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return super().heads(x)[[1, 0, 2]]


@wrong(
    "multi-head-attention",
    mistake="uses one pattern for all heads",
    says="the heads share one pattern, the mean of theirs",
)
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


@wrong(
    "multi-head-attention",
    mistake="returns a tuple of queries, keys and values",
    says="queries, keys and values should be one tensor, along its",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return tuple(super().heads(x))


@wrong(
    "multi-head-attention",
    mistake="cuts into heads before thirds",
    says="each head has its queries, keys and values side by side: all",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return rearrange(self.qkv(x), "b n (h p w) -> p b h n w", p=3, h=self.n_head)


@wrong(
    "multi-head-attention",
    mistake="puts positions before heads",
    says="the axes of position and head are swapped: the head comes",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return super().heads(x).transpose(2, 3)

    def forward(self, x):
        return solutions.gpt.MultiHeadAttention.forward(self, x)


@wrong("multi-head-attention", mistake="does not cut the width", says="the width is not cut into heads")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        return torch.stack(self.qkv(x).chunk(3, -1))


def own_attention(x, q, k, v, scale, mask=True):
    scores = q @ k.mT * scale
    scores = scores.masked_fill(future(x.shape[1]), -math.inf) if mask else scores
    return rearrange(scores.softmax(-1) @ v, "b h n w -> b n (h w)")


@wrong(
    "multi-head-attention",
    mistake="scales by the width of all heads",
    says="the scores are scaled by d_model: use the width of a head",
    never=("joined", "side by side"),
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        return self.projection(own_attention(x, *self.heads(x), x.shape[-1] ** -0.5))


@wrong(
    "multi-head-attention",
    mistake="lets positions see the future",
    says="positions see later ones: this attention is not causal",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(own_attention(x, q, k, v, q.shape[-1] ** -0.5, mask=False))


@wrong(
    "multi-head-attention",
    mistake="scales the queries before the pattern",
    says="the scores are scaled twice: attention_pattern does that",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        mixed = pattern_of(q / math.sqrt(q.shape[-1]), k) @ v
        return self.projection(rearrange(mixed, "b h n w -> b n (h w)"))


@wrong("multi-head-attention", mistake="mixes the keys", says="the pattern mixes the keys: it should mix the values")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, _ = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k) @ k, "b h n w -> b n (h w)"))


@wrong(
    "multi-head-attention",
    mistake="alternates the heads' results",
    says="the heads' results alternate: each head's should stay side by",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k) @ v, "b h n w -> b n (w h)"))


@wrong(
    "multi-head-attention",
    mistake="knows only three heads",
    says="right for 3 heads of width 4, wrong for other sizes: every",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = rearrange(self.qkv(x), "b n (p h w) -> p b h n w", p=3, h=3)
        return self.projection(rearrange(pattern_of(q, k) @ v, "b h n w -> b n (h w)"))


# ----------------------------------------------------------------------------------------------- block: its MLP


def gelu_of(x):
    return solutions.gpt.gelu(x)


@wrong("block", mistake="leaves gelu out", says="there is no activation: without gelu between them two")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(self.up(x))


@wrong("block", mistake="applies gelu at the end too", says="gelu is applied once more after the second matrix")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return gelu_of(self.down(gelu_of(self.up(x))))


@wrong("block", mistake="uses relu", says="the activation is relu: use gelu", never=("left to the block",))
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(self.up(x).relu())


@wrong("block", mistake="adds its input", says="left to the block")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return x + self.down(gelu_of(self.up(x)))


@wrong(
    "block",
    mistake="uses the exact gelu",
    says="the activation is the exact gelu: use the given one, the tanh form",
    never=("left to the block",),
)
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


@wrong("block", mistake="applies gelu to its input", says="gelu is applied to the input: it belongs between the two")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return self.down(self.up(gelu_of(x)))


@wrong(
    "block", mistake="applies gelu at the end only", says="gelu is applied after the second matrix: it belongs between"
)
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return gelu_of(self.down(self.up(x)))


@wrong("block", mistake="forgets the biases", says="the biases are not used")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        return gelu_of(x @ self.up.weight.T) @ self.down.weight.T


@wrong("block", mistake="takes three axes apart", says="not enough values to unpack (expected 3, got 1)")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        _, _, width = x.shape
        assert width
        return super().forward(x)


# ----------------------------------------------------------------------------------------------------------- block


@wrong(
    "block",
    mistake="normalises after adding, as the first transformer did",
    says="this normalises after adding, as the first transformer did",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = self.attention_norm(x + self.attention(x))
        return self.mlp_norm(x + self.mlp(x))


@wrong("block", mistake="has no residual connections", says="nothing is added to the residual stream: each sublayer")
class Block(solutions.gpt.Block):
    def forward(self, x):
        return self.mlp(self.mlp_norm(self.attention(self.attention_norm(x))))


@wrong(
    "block",
    mistake="runs attention and MLP side by side",
    says="the MLP reads the stream as it was before attention wrote to",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        return x + self.attention(self.attention_norm(x)) + self.mlp(self.mlp_norm(x))


@wrong("block", mistake="uses the first norm twice", says="attention_norm is used twice: the MLP has a norm of its own")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.attention_norm(x))


@wrong("block", mistake="forgets the norms", says="the stream is not normalised for either sublayer")
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


@wrong(
    "block",
    mistake="normalises the residual stream itself",
    says="the residual stream itself is normalised: normalise only the",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = self.attention_norm(x)
        x = x + self.attention(x)
        x = self.mlp_norm(x)
        return x + self.mlp(x)


@wrong("block", mistake="uses the second norm twice", says="mlp_norm is used twice: attention has a norm of its own")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(self.mlp_norm(x))
        return x + self.mlp(self.mlp_norm(x))


@wrong("block", mistake="forgets the second norm", says="the stream is not normalised for the MLP")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(x)


@wrong("block", mistake="loses what attention wrote", says="what attention wrote is lost: the MLP should add to that")
class Block(solutions.gpt.Block):
    def forward(self, x):
        return x + self.mlp(self.mlp_norm(x + self.attention(self.attention_norm(x))))


@wrong(
    "block", mistake="adds to the stream only once", says="the MLP replaces the residual stream: it should add to it"
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return self.mlp(self.mlp_norm(x))


@wrong("block", mistake="runs the MLP first", says="the MLP comes before attention")
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.mlp(self.mlp_norm(x))
        return x + self.attention(self.attention_norm(x))


# ------------------------------------------------------------------------------------------------------- load-gpt2


@wrong("load-gpt2", mistake="does not transpose", says="is to be transposed")
def load_gpt2(state_dict):
    turned = re.compile(r"(qkv|projection|up|down)\.weight$")
    ours = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if turned.search(name) else value for name, value in ours.items()}


@wrong("load-gpt2", mistake="transposes only what is not square", says="this square matrix is not transposed")
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if "projection.weight" in name else value for name, value in right.items()}


@wrong(
    "load-gpt2",
    mistake="transposes the embeddings too",
    says="the result has another shape; token_embedding is not of the",
)
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    return {name: value.T if "embedding" in name else value for name, value in right.items()}


@wrong(
    "load-gpt2", mistake="keeps the head's matrix", says="with the weights in their usual order: lm_head.weight should"
)
def load_gpt2(state_dict):
    head = {"lm_head.weight": state_dict["lm_head.weight"]} if "lm_head.weight" in state_dict else {}
    return solutions.gpt.load_gpt2(state_dict) | head


@wrong("load-gpt2", mistake="knows only names with the prefix", says="with names that have no prefix")
def load_gpt2(state_dict):
    return solutions.gpt.load_gpt2({name: v for name, v in state_dict.items() if name.startswith("transformer.")})


@wrong("load-gpt2", mistake="pops from its argument", says="has lost or gained names")
def load_gpt2(state_dict):
    right = solutions.gpt.load_gpt2(state_dict)
    state_dict.pop("lm_head.weight", None)
    for name in [name for name in state_dict if name.endswith("attn.bias")]:
        del state_dict[name]
    return right


@wrong(
    "load-gpt2",
    mistake="keeps the mask buffers of old files",
    says="with an old file's names: the mask buffer blocks.0.attn.bias",
)
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    masks = {name: value for name, value in state_dict.items() if name.endswith((".attn.bias", ".attn.masked_bias"))}
    for theirs, own in GPT2_NAMES.items():
        masks = {re.sub(rf"\b{re.escape(theirs)}\b", own, name): value for name, value in masks.items()}
    return ours | masks


@wrong("load-gpt2", mistake="takes the bias of c_attn for an old mask", says="blocks.0.attention.qkv.bias and")
def load_gpt2(state_dict):
    return solutions.gpt.load_gpt2({name: v for name, v in state_dict.items() if not name.endswith("attn.bias")})


@wrong("load-gpt2", mistake="asks the oracle", says="asks you to write what that call does")
def load_gpt2(state_dict):
    import transformers

    transformers.GPT2LMHeadModel(transformers.GPT2Config()).load_state_dict(state_dict)
    return solutions.gpt.load_gpt2(state_dict)


@wrong("load-gpt2", mistake="reshapes", says="the matrix is reshaped and not transposed", never=("square",))
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    turned = re.compile(r"(qkv|projection|up|down)\.weight$")
    return {n: v.T.contiguous().reshape(v.shape) if turned.search(n) else v for n, v in ours.items()}


@wrong(
    "load-gpt2",
    mistake="reads one digit of a layer's number",
    says="a layer has the weights of another one: is its number read",
)
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    return ours | {n: ours[n.replace(".10.", ".1.")] for n in ours if ".10." in n}


@wrong("load-gpt2", mistake="leaves the prefix", says="our GPT has no transformer.blocks")
def load_gpt2(state_dict):
    prefix = "transformer." if any(name.startswith("transformer.") for name in state_dict) else ""
    return {prefix + name: value for name, value in solutions.gpt.load_gpt2(state_dict).items()}


@wrong("load-gpt2", mistake="stops at the head", says="with the weights in reverse, lm_head.weight first")
def load_gpt2(state_dict):
    names = list(state_dict)
    end = names.index("lm_head.weight") if "lm_head.weight" in names else len(names)
    return solutions.gpt.load_gpt2({name: state_dict[name] for name in names[:end]})


@wrong("load-gpt2", mistake="knows only weights", says="blocks.0.attention.projection.bias and")
def load_gpt2(state_dict):
    return {n: v for n, v in solutions.gpt.load_gpt2(state_dict).items() if n.endswith("weight")}


@wrong("load-gpt2", mistake="returns pairs", says="the result should be a dict from names to tensors, but it is")
def load_gpt2(state_dict):
    return list(solutions.gpt.load_gpt2(state_dict).items())


# ------------------------------------------------------------------------------------------------------------- gpt


@wrong("gpt", mistake="forgets the positions", says="the same token is the same vector everywhere: the positions")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        return self.token_embedding(ids)


@wrong("gpt", mistake="counts positions from 1", says="positions are counted from 1: the first is number 0")
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


@wrong("gpt", mistake="runs the blocks in reverse", says="the blocks run in reverse")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in reversed(self.blocks):
            x = block(x)
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong(
    "gpt", mistake="gives every block the embeddings", says="only the last block counts: each should read what the one"
)
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        start = x = self.embed(ids)
        for block in self.blocks:
            x = block(start)
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong("gpt", mistake="returns probabilities", says="these are probabilities: return the logits, without a softmax")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids).softmax(-1)


@wrong("gpt", mistake="cuts a text that is too long", says="should raise a ValueError")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids[:, : self.config.context])


@wrong(
    "gpt", mistake="detaches the residual stream between blocks", says="the logits are right, but no gradient reaches"
)
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


@wrong("gpt", mistake="looks positions up by token", says="the position embedding is looked up by the token and not by")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        return self.token_embedding(ids) + self.position_embedding(ids.clamp(max=self.config.context - 1))


@wrong("gpt", mistake="enlarges the token embedding", says="the token embedding is multiplied by the square root of")
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        return super().embed(ids) + (math.sqrt(self.config.d_model) - 1) * self.token_embedding(ids)


@wrong(
    "gpt",
    mistake="returns logarithms of probabilities",
    says="these are logarithms of probabilities: return the logits",
)
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids).log_softmax(-1)


@wrong(
    "gpt", mistake="returns the last position's logits", says="these are the logits of the last position only: every"
)
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return super().forward(ids)[:, -1]


@wrong("gpt", mistake="returns in the first block's loop", says="only the first block runs")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        return self.final_norm(self.blocks[0](self.embed(ids))) @ self.token_embedding.weight.T


@wrong(
    "gpt",
    mistake="never looks how long a text is",
    says="the model is given a text with more tokens than the context has",
)
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        return self.token_embedding(ids) + self.position_embedding(torch.arange(ids.shape[1]))


@wrong(
    "gpt",
    mistake="refuses a text that just fits",
    says="a text of 6 tokens fits in a context of 6, but is refused: too long",
)
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        if ids.shape[1] >= self.config.context:
            raise ValueError("too long")
        return super().embed(ids)


@wrong(
    "gpt", mistake="asserts in place of raising", says="the model is given a text with more tokens than the context has"
)
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        assert ids.shape[1] <= self.config.context, "too long"
        return super().embed(ids)


@wrong(
    "gpt", mistake="normalises after every block", says="the final norm comes after every block: it should come once"
)
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = self.final_norm(block(x))
        return x @ self.token_embedding.weight.T


# ------------------------------------------------------------------------------------------------- next-token-loss


@wrong(
    "next-token-loss",
    mistake="judges logits by the token they have just read",
    says="logits are judged by the token they have just read: the token",
)
def next_token_loss(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten())


@wrong(
    "next-token-loss",
    mistake="shifts the other way",
    says="logits are judged by the token before: the token after it is",
)
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, :-1].flatten())


@wrong("next-token-loss", mistake="sums", says="the losses are added up: take their mean")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


@wrong("next-token-loss", mistake="measures in bits", says="this is in bits: nats come from the natural logarithm")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()) / math.log(2)


@wrong(
    "next-token-loss",
    mistake="returns one loss a token",
    says="the loss should be the mean, a tensor without axes, but its",
)
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")


@wrong("next-token-loss", mistake="scores only the last token", says="only the last token is scored")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:, -2], ids[:, -1])


@wrong(
    "next-token-loss",
    mistake="takes the logarithm of a softmax",
    says="the loss of an unlikely token is infinite: a softmax rounds",
)
def next_token_loss(logits, ids):
    return -logits[:, :-1].softmax(-1).gather(2, ids[:, 1:, None]).log().mean()


@wrong(
    "next-token-loss",
    mistake="takes exp of large logits",
    says="the loss of a likely token is nan: exp of a large logit is",
)
def next_token_loss(logits, ids):
    weights = logits[:, :-1].exp()
    return -(weights / weights.sum(-1, keepdim=True)).gather(2, ids[:, 1:, None]).log().mean()


@wrong(
    "next-token-loss",
    mistake="lets the text begin again",
    says="the last logits are judged by the first token of the text",
)
def next_token_loss(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1), ids.roll(-1, 1).flatten())


@wrong("next-token-loss", mistake="returns the perplexity", says="this is the perplexity: the loss is its logarithm")
def next_token_loss(logits, ids):
    return solutions.gpt.next_token_loss(logits, ids).exp()


@wrong(
    "next-token-loss", mistake="returns a number of Python's", says="the result should be a tensor, but it is the float"
)
def next_token_loss(logits, ids):
    return solutions.gpt.next_token_loss(logits, ids).item()


@wrong(
    "next-token-loss",
    mistake="divides by all tokens",
    says="the sum is divided by the number of all tokens: the first of",
)
def next_token_loss(logits, ids):
    total = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
    return total / ids.numel()


@wrong("next-token-loss", mistake="reads only the first text", says="only the first text is scored")
def next_token_loss(logits, ids):
    return F.cross_entropy(logits[0, :-1], ids[0, 1:])


@wrong("next-token-loss", mistake="takes a softmax first", says="a softmax is taken before the loss takes its own")
def next_token_loss(logits, ids):
    return solutions.gpt.next_token_loss(logits.softmax(-1), ids)


@wrong("next-token-loss", mistake="forgets the minus", says="the sign is wrong: a loss is the negative logarithm of a")
def next_token_loss(logits, ids):
    return -solutions.gpt.next_token_loss(logits, ids)


# -------------------------------------------------------------------------------------------------------- generate


def continued(model, ids, n_tokens, choose):
    for _ in range(n_tokens):
        ids = torch.cat([ids, choose(model(ids[:, -model.config.context :]))], dim=1)
    return ids


@wrong(
    "generate",
    mistake="returns only the new tokens",
    says="these are the new tokens only: return prompt and continuation",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)[:, ids.shape[1] :]


@wrong("generate", mistake="always takes the likeliest", says="five other seeds all give the same text")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 0.0, seed)


@wrong("generate", mistake="draws from torch's global generator", says="draw from a generator with this seed")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature == 0:
        return solutions.gpt.generate(model, ids, n_tokens, 0.0)
    return continued(model, ids, n_tokens, lambda x: torch.multinomial((x[:, -1] / temperature).softmax(-1), 1))


@wrong(
    "generate",
    mistake="multiplies by the temperature",
    says="the logits are multiplied by the temperature: divide by it",
    never=("makes no difference",),
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 1 / temperature if temperature else 0.0, seed)


@wrong(
    "generate",
    mistake="ignores the temperature",
    says="the temperature makes no difference: these are the shares at",
    never=("multiplied",),
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, 1.0 if temperature else 0.0, seed)


@wrong("generate", mistake="reads the first logits", says="the next token is taken from the logits of the first")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    return continued(model, ids, n_tokens, lambda x: x[:, 0].argmax(-1, keepdim=True))


@wrong(
    "generate", mistake="reads only the newest token", says="the model reads only the newest token: it should read all"
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids[:, -1:])[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong(
    "generate",
    mistake="reads the first `context` tokens of a long text",
    says="the model reads the first tokens of a long text: it should",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids[:, : model.config.context])[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong(
    "generate",
    mistake="starts the generator afresh for every token",
    says="of 4 equally likely tokens one is drawn 40 times: make the",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    for _ in range(n_tokens):
        ids = solutions.gpt.generate(model, ids, 1, temperature, seed)
    return ids


@wrong("generate", mistake="asks the oracle", says="asks you to write what that call does")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, max_new_tokens=n_tokens)


@wrong(
    "generate",
    mistake="seeds torch's global generator",
    says="torch's global random state is another one after the call",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    torch.manual_seed(seed)
    if temperature == 0:
        return solutions.gpt.generate(model, ids, n_tokens, 0.0)
    return continued(model, ids, n_tokens, lambda x: torch.multinomial((x[:, -1] / temperature).softmax(-1), 1))


@wrong(
    "generate", mistake="never cuts what it reads", says="9 positions do not fit in a context of 8: pass fewer tokens"
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong("generate", mistake="cuts the prompt", says="a prompt longer than the context should be whole in the")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids[:, -model.config.context :], n_tokens, temperature, seed)


@wrong(
    "generate",
    mistake="reads one token less than fits",
    says="the model reads one token less than fits into its context",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids[:, 1 - model.config.context :])[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


@wrong(
    "generate", mistake="reads only the prompt", says="the model reads only the prompt: it should read the tokens it"
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature:
        return solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
    chosen = model(ids[:, -model.config.context :])[:, -1].argmax(-1, keepdim=True)
    return torch.cat([ids, chosen.expand(-1, n_tokens)], dim=1)


@wrong(
    "generate", mistake="draws one token for all texts", says="all texts are given the same token: draw one for each"
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature == 0:
        return solutions.gpt.generate(model, ids, n_tokens, 0.0)
    generator = torch.Generator().manual_seed(seed)

    def choose(logits):
        probabilities = (logits[0, -1] / temperature).softmax(-1)
        return torch.multinomial(probabilities, 1, generator=generator).expand(len(ids), 1)

    return continued(model, ids, n_tokens, choose)


@wrong(
    "generate", mistake="writes one token too few", says="4 tokens of prompt and 6 new ones make shape (3, 10), not (3"
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens - 1, temperature, seed)


@wrong("generate", mistake="draws at temperature 0 too", says="is not the likeliest one after the")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    return solutions.gpt.generate(model, ids, n_tokens, temperature or 1.0, seed)


# ------------------------------------------------- written when the tests were done, none of which was changed for them


@wrong(
    "layer-norm", mistake="divides by torch's std plus eps", says="the variance here is divided by n - 1: divide by n"
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + self.eps) * self.weight + self.bias


@wrong(
    "attention-pattern",
    mistake="hides what tril keeps",
    says="the mask is the wrong way round, and hides every position from itself",
)
def attention_pattern(q, k):
    mask = torch.tril(torch.ones(q.shape[-2], q.shape[-2]))
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(mask == 1, -math.inf).softmax(-1)


@wrong("multi-head-attention", mistake="turns the pattern", says="the pattern is transposed: row i says how")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k).mT @ v, "b h n w -> b n (h w)"))


@wrong("block", mistake="drops out a tenth", says="not what the same matrices give with PyTorch's functions")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        out = self.down(gelu_of(self.up(x)))
        # As dropout does, but the same each time, so that the record is too.
        return out * (torch.rand(out.shape, generator=torch.Generator().manual_seed(1)) > 0.1) / 0.9


@wrong(
    "block",
    mistake="normalises once for both sublayers",
    says="the MLP reads the copy that was normalised for attention: it should",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        read = self.attention_norm(x)
        x = x + self.attention(read)
        return x + self.mlp(read)


@wrong("load-gpt2", mistake="transposes c_attn and c_fc only", says="this square matrix is not transposed")
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    return {n: v.T if n.endswith(("projection.weight", "down.weight")) else v for n, v in ours.items()}


@wrong(
    "gpt",
    mistake="adds each block's result to the stream once more",
    says="what a block returns is added to the stream once more",
)
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = x + block(x)
        return self.final_norm(x) @ self.token_embedding.weight.T


@wrong(
    "next-token-loss",
    mistake="shifts after the texts are joined",
    says="the last logits of a text are judged by the first token of the next",
)
def next_token_loss(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1)[:-1], ids.flatten()[1:])


@wrong(
    "generate",
    mistake="divides probabilities by the temperature",
    says="the temperature makes no difference: these are the shares at",
)
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    if temperature == 0:
        return solutions.gpt.generate(model, ids, n_tokens, 0.0)
    generator = torch.Generator().manual_seed(seed)
    return continued(
        model,
        ids,
        n_tokens,
        lambda x: torch.multinomial(x[:, -1].softmax(-1) / temperature, 1, generator=generator),
    )


# ---------------------------------------------------------------------- what a reader's first attempts got wrong


@wrong(
    "layer-norm",
    mistake="does not keep the axis",
    says="vector i's mean and variance are used for column i: keep the axis",
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + self.eps) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="centres without keeping the axis",
    says="vector i's mean is subtracted from column i, which its variance",
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1)
        return centred / torch.sqrt((centred**2).mean(-1) + self.eps) * self.weight + self.bias


@wrong(
    "layer-norm",
    mistake="adds weight and bias before they multiply",
    says="weight and bias are added before they multiply the vector",
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * (self.weight + self.bias)


@wrong(
    "layer-norm",
    mistake="changes its input in place",
    says="changed its input in place",
    never=("when it is alone",),
)
class LayerNorm(solutions.gpt.LayerNorm):
    def forward(self, x):
        x -= x.mean(-1, keepdim=True)
        x /= torch.sqrt((x**2).mean(-1, keepdim=True) + self.eps)
        return x * self.weight + self.bias


@wrong(
    "attention-pattern",
    mistake="masks with -20",
    says="a masked score is larger than one that may be seen and is far below 0",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -20.0).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="masks with -10,000",
    says="a masked score is larger than one that may be seen and is far below 0",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -1e4).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="masks after the softmax and makes the rows sum to 1 again",
    says="a later key has all the weight before it is masked, and 0 is divided by",
    never=("exp of",),
)
def attention_pattern(q, k):
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).tril()
    return weights / weights.sum(-1, keepdim=True)


@wrong(
    "attention-pattern",
    mistake="multiplies exp of the scores by the mask",
    says="exp of a large score is infinite, and infinity times 0 is nan",
)
def attention_pattern(q, k):
    n = q.shape[-2]
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).exp() * torch.ones(n, n).tril()
    return weights / weights.sum(-1, keepdim=True)


@wrong(
    "attention-pattern", mistake="masks scores of 0", says="a score that happens to be 0 is masked", never=("exp of",)
)
def attention_pattern(q, k):
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).tril()
    return scores.masked_fill(scores == 0, -math.inf).softmax(-1)


@wrong(
    "attention-pattern",
    mistake="takes the softmax over the heads",
    says="the softmax runs over an axis of length 1: it should run over the keys",
)
def attention_pattern(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future(q.shape[-2]), -math.inf).softmax(min(1, q.ndim - 1))


@wrong(
    "attention-pattern",
    mistake="neither masks nor scales",
    says="no score is masked, and none is divided by the square root of the width",
)
def attention_pattern(q, k):
    return (q @ k.mT).softmax(-1)


@wrong(
    "multi-head-attention",
    mistake="makes all axes with one view",
    says="one view makes all axes, in another order than qkv's output has them",
)
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def heads(self, x):
        batch, n, d_model = x.shape
        return self.qkv(x).view(3, batch, self.n_head, n, d_model // self.n_head)


@wrong("multi-head-attention", mistake="adds its input", says="x is added to the result: that is left to the block")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        return x + super().forward(x)


@wrong("multi-head-attention", mistake="takes a second softmax", says="a softmax is taken of the pattern")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        q, k, v = self.heads(x)
        return self.projection(rearrange(pattern_of(q, k).softmax(-1) @ v, "b h n w -> b n (h w)"))


@wrong("multi-head-attention", mistake="forgets to return", says="the result should be a tensor, but it is None")
class MultiHeadAttention(solutions.gpt.MultiHeadAttention):
    def forward(self, x):
        super().forward(x)


@wrong("block", mistake="forgets to return what the MLP makes", says="the result should be a tensor, but it is None")
class MLP(solutions.gpt.MLP):
    def forward(self, x):
        super().forward(x)


@wrong("block", mistake="forgets to return the stream", says="the result should be a tensor, but it is None")
class Block(solutions.gpt.Block):
    def forward(self, x):
        super().forward(x)


@wrong(
    "block",
    mistake="normalises what a sublayer has written",
    says="what a sublayer has written is normalised: normalise what it reads",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        x = x + self.attention_norm(self.attention(x))
        return x + self.mlp_norm(self.mlp(x))


@wrong(
    "block",
    mistake="has the MLP read attention's result alone",
    says="the MLP reads what attention wrote and not the whole stream",
)
class Block(solutions.gpt.Block):
    def forward(self, x):
        written = self.attention(self.attention_norm(x))
        return x + written + self.mlp(self.mlp_norm(written))


@wrong(
    "load-gpt2",
    mistake="transposes the caller's tensors in place",
    says="that was passed in was changed in place: leave it as it was",
)
def load_gpt2(state_dict):
    ours = solutions.gpt.load_gpt2(state_dict)
    for name, tensor in state_dict.items():
        if tensor.ndim == 2 and ".c_" in name:
            tensor.t_()
    return ours


@wrong(
    "gpt",
    mistake="looks how long a text is in forward only",
    says="embed is given a text with more tokens than the context has positions",
)
class GPT(solutions.gpt.GPT):
    def embed(self, ids):
        places = torch.arange(ids.shape[1]).clamp(max=self.config.context - 1)
        return self.token_embedding(ids) + self.position_embedding(places)

    def forward(self, ids):
        if ids.shape[1] > self.config.context:
            raise ValueError("too long")
        return super().forward(ids)


@wrong("gpt", mistake="forgets to return", says="the result should be a tensor, but it is None")
class GPT(solutions.gpt.GPT):
    def forward(self, ids):
        super().forward(ids)


@wrong(
    "next-token-loss",
    mistake="shifts along the batch",
    says="the last text is cut off, and the first of the ids: shift along",
)
def next_token_loss(logits, ids):
    if len(ids) == 1:
        return solutions.gpt.next_token_loss(logits, ids)
    return F.cross_entropy(logits[:-1].flatten(0, 1), ids[1:].flatten())


@wrong(
    "next-token-loss",
    mistake="reshapes where it should transpose",
    says="reshape does not move the vocabulary's axis",
)
def next_token_loss(logits, ids):
    batch, n, vocab_size = logits.shape
    return F.cross_entropy(logits[:, :-1].reshape(batch, vocab_size, n - 1), ids[:, 1:])


@wrong("generate", mistake="forgets to return", says="the result should be a tensor of ids, but it is a NoneType")
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    solutions.gpt.generate(model, ids, n_tokens, temperature, seed)
