"""Hidden suite of ch5/model."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama import model as reference
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer

SIZES = {
    "dim": 16,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 19,
    "hidden_dim": 12,
    "norm_eps": 1e-2,
    "max_seq_len": 8,
    "rope_theta": 50.0,
}
TERMS = 16 * 12 * 2


def config(student, **changes):
    return student.lib("ch5.config").ModelConfig(**(SIZES | changes))


ONE = {"n_layers": 1}  # where depth decides nothing, a shallow model is soon made


def pair(student, **changes):
    """The reference with random weights, and the learner's model with the same."""
    ours = Transformer(ModelConfig(**(SIZES | changes))).eval()
    for weight in ours.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    theirs = student.Transformer(config(student, **changes))
    theirs.load_state_dict(dict(ours.state_dict()), strict=False)
    theirs.eval()
    return ours.requires_grad_(False), theirs


def in_chunks(m, model, tokens, mask, chunks, n_caches):
    """The logits of tokens that come bit by bit, with a plain cache for each layer

    token 分段输入、每层一个普通缓存时的 logits
    """

    class Cache:
        def __init__(self):
            self.length = 0
            self.k = self.v = None

        def update(self, k, v):
            self.k = k if self.k is None else torch.cat([self.k, k], 1)
            self.v = v if self.v is None else torch.cat([self.v, v], 1)
            self.length += k.size(1)
            return self.k, self.v

    cache = [Cache() for _ in range(n_caches or len(model.layers))]
    parts = []
    with torch.no_grad():
        for part in tokens.split(chunks, dim=1):
            so_far = sum(p.size(1) for p in parts) + part.size(1)
            seen = None if mask is None else mask[:, :so_far]
            parts.append(model(part, attention_mask=seen, cache=cache)[0])
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_the_parts_are_there_by_name(student, tied):
    """Embedding, layers, final norm and output are parameters under the names of the task.

    嵌入、各层、最后的归一化和输出层都是参数，名字与题目一致。
    """

    def shapes(m, args):
        """The shapes of the parameters of Transformer(args)

        Transformer(args) 各参数的形状
        """
        named = m.Transformer(args).named_parameters(remove_duplicate=False)
        return {name: tuple(weight.shape) for name, weight in named}

    expected = shapes(reference, ModelConfig(**SIZES, tie_word_embeddings=tied))
    check.equal(student.run(shapes, config(student, tie_word_embeddings=tied)), expected)


@pytest.mark.parametrize("T", [5, 1, 8])
def test_every_position_scores_every_next_token(student, T):
    """Logits (B, T, V) come back, and no loss where there are no targets.

    返回 (B, T, V) 的 logits；没有 targets 时损失为 None。
    """
    ours, theirs = pair(student, n_layers=3)
    tokens = torch.randint(19, (2, T))
    check.close(theirs(tokens), ours(tokens), terms=TERMS)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_tied_output_is_the_embedding_itself(student, tied):
    """With tie_word_embeddings one Parameter has both names; without it, each has its own.

    tie_word_embeddings 为真时，一个 Parameter 有两个名字；否则各有各的。
    """
    model = student.Transformer(config(student, tie_word_embeddings=tied))

    def is_shared(m, model):
        """model.output.weight is model.tok_embeddings.weight"""
        return model.output.weight is model.tok_embeddings.weight

    check.equal(student.run(is_shared, model), tied)


def test_the_matrices_that_write_into_the_stream_start_smaller(student):
    """Matrices start as N(0, 0.02), wo and w2 as N(0, 0.02 / sqrt(2 * n_layers)); norms at one.

    矩阵初值服从 N(0, 0.02)，wo 和 w2 服从 N(0, 0.02 / sqrt(2 * n_layers))；归一化权重为 1。
    """

    def deviations(m, args):
        """The standard deviation of each kind of parameter of Transformer(args)

        Transformer(args) 各类参数的标准差
        """
        values = {}
        for name, weight in m.Transformer(args).named_parameters(remove_duplicate=False):
            kind = ".".join(part for part in name.split(".") if not part.isdigit())
            values.setdefault(kind, []).append(weight.detach().flatten())
        found = {}
        for kind, parts in values.items():
            drawn = torch.cat(parts)
            if "norm" in kind:
                found[kind] = drawn.mean().item()
                continue
            halves = torch.log2(drawn.square().mean().sqrt() / 0.02).item() * 2
            found[kind] = round(0.02 * 2 ** (round(halves) / 2), 4)  # to the nearest half power
        return found

    args = {"n_layers": 8, "vocab_size": 64, "tie_word_embeddings": False}
    got = student.run(deviations, config(student, **args))
    check.equal(got, deviations(reference, ModelConfig(**(SIZES | args))))


def test_every_matrix_is_drawn_anew_from_a_normal_distribution(student):
    """Normal numbers have tails, and no two matrices or models start alike.

    正态分布有尾部；任何两个矩阵、两个模型的初值都不相同。
    """

    def drawn(m, args):
        """Transformer(args), made twice: how the numbers in its weights are drawn

        创建两次 Transformer(args)：权重里的数是怎样抽取的
        """
        one, other = m.Transformer(args), m.Transformer(args)
        first, second = (one.layers[i].attention.wq.weight for i in range(2))
        numbers = torch.cat([first, second, one.tok_embeddings.weight]).flatten()
        return {
            "some lie beyond two deviations": bool((numbers.abs() > 2 * numbers.std()).any()),
            "layers differ": not torch.equal(first, second),
            "models differ": not torch.equal(first, other.layers[0].attention.wq.weight),
        }

    args = {"vocab_size": 64, "tie_word_embeddings": False}
    got = student.run(drawn, config(student, **args))
    check.equal(got, drawn(reference, ModelConfig(**(SIZES | args))))


def test_the_rotary_tables_are_buffers_that_are_not_saved(student):
    """freqs_cos and freqs_sin cover max_seq_len positions, move with the model, and are not saved.

    freqs_cos 和 freqs_sin 覆盖 max_seq_len 个位置，随模型移动，但不写入保存的权重。
    """

    def tables(m, args):
        """The buffers of Transformer(args) called freqs…, and those that are saved

        Transformer(args) 中名为 freqs… 的 buffer，以及其中会被保存的
        """
        model = m.Transformer(args)
        saved = [name for name in model.state_dict() if "freqs" in name]
        return {name: table for name, table in model.named_buffers() if "freqs" in name}, saved

    expected = tables(reference, ModelConfig(**(SIZES | {"max_seq_len": 11})))
    check.close(student.run(tables, config(student, max_seq_len=11)), expected)


def test_the_loss_is_the_mean_cross_entropy_of_the_targets(student):
    """targets stand where they are predicted already; every id counts, 0 too.

    targets 已经对齐到预测它的位置；每个编号都计入，0 也不例外。
    """
    ours, theirs = pair(student, **ONE)
    tokens, targets = torch.randint(19, (3, 6)), torch.randint(19, (3, 6))
    targets[:, 2] = 0
    check.close(theirs(tokens, targets), ours(tokens, targets), terms=TERMS)


def test_targets_of_minus_100_are_left_out_of_the_mean(student):
    """-100 marks what is not to be learned: it adds nothing, and is not counted either.

    -100 标记不需要学习的位置：既不计入损失，也不计入个数。
    """
    ours, theirs = pair(student, **ONE)
    tokens, some = torch.randint(19, (2, 6)), torch.randint(19, (2, 6))
    some[0, :4] = some[1, 5] = -100
    one = some.clone()
    one[0], one[1, 1:] = -100, -100
    for targets in (some, one):
        check.close(theirs(tokens, targets)[1], ours(tokens, targets)[1], terms=TERMS)


def test_nothing_to_learn_is_a_loss_of_zero(student):
    """A batch whose targets are all -100 has the loss 0, not 0/0 = NaN.

    targets 全是 -100 时损失为 0，而不是 0/0 = NaN。
    """
    _, theirs = pair(student, **ONE)
    loss = theirs(torch.randint(19, (2, 3)), torch.full((2, 3), -100))[1]
    check.equal(loss, torch.tensor(0.0))


def test_the_loss_is_computed_in_float32(student):
    """A bfloat16 model has bfloat16 logits, but its loss is summed in float32.

    bfloat16 模型的 logits 是 bfloat16，损失却要用 float32 计算。
    """
    _, theirs = pair(student, **ONE)
    theirs.to(torch.bfloat16)
    tokens, targets = torch.randint(19, (2, 7)), torch.randint(19, (2, 7))
    logits, loss = theirs(tokens, targets)
    right = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
    check.close((logits, loss), (logits.to(torch.bfloat16), right))


def test_every_weight_learns_from_the_loss(student):
    """The gradient of the loss reaches every parameter, the shared one from both its places.

    损失的梯度到达每个参数；共享的那个从两处都得到梯度。
    """

    def gradients(m, args, state, tokens, targets):
        """The gradients of the loss Transformer(args)(tokens, targets)[1] for every parameter

        损失 Transformer(args)(tokens, targets)[1] 对每个参数的梯度
        """
        model = m.Transformer(args)
        model.load_state_dict(state, strict=False)
        model(tokens, targets)[1].backward()
        named = model.named_parameters(remove_duplicate=False)
        return {name: weight.grad for name, weight in named}

    ours, _ = pair(student)
    args, state = config(student), dict(ours.state_dict())
    tokens, targets = torch.randint(19, (2, 5)), torch.randint(19, (2, 5))
    got = student.run(gradients, args, state, tokens, targets)
    expected = gradients(reference, ours.args, state, tokens, targets)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    check.gradients(got, expected, terms=4 * TERMS, scale=largest)


def test_the_logits_can_be_learned_from_too(student):
    """A loss of one's own, as in distillation or RLHF, finds the graph behind the logits.

    蒸馏、RLHF 等自定义的损失也能从 logits 找到计算图。
    """

    def carry_a_graph(m, args, tokens):
        """Transformer(args)(tokens)[0].requires_grad, without targets and with

        Transformer(args)(tokens)[0].requires_grad，不给 targets 和给出 targets 时
        """
        model = m.Transformer(args)
        without, with_targets = model(tokens)[0], model(tokens, tokens)[0]
        return {"without targets": without.requires_grad, "with": with_targets.requires_grad}

    got = student.run(carry_a_graph, config(student), torch.randint(19, (2, 3)))
    check.equal(got, {"without targets": True, "with": True})


def test_embedded_tokens_drop_out_in_training_only(student):
    """In training some embedded numbers become zero; in evaluation the model repeats itself.

    训练时，嵌入中的一些数变为零；评估时，结果每次相同。
    """

    def varies(m, args, tokens):
        """Transformer(args)(tokens), twice: are the logits different?

        调用两次 Transformer(args)(tokens)：logits 是否不同？
        """
        model = m.Transformer(args)
        for name, weight in model.named_parameters():
            if name.endswith(("wo.weight", "w2.weight")):
                weight.data.zero_()  # the layers add nothing: what varies is the embedding
        found = {}
        for mode in (True, False):
            model.train(mode)
            one, other = (model(tokens)[0] for _ in range(2))
            found["training" if mode else "evaluation"] = not torch.equal(one, other)
        return found

    args, tokens = config(student, dropout=0.5), torch.randint(19, (2, 8))
    check.equal(student.run(varies, args, tokens), {"training": True, "evaluation": False})


@pytest.mark.parametrize(
    ("n_layers", "chunks"), [(2, [4, 1, 1]), (1, [1, 3, 2])], ids=["4-1-1", "1-3-2"]
)
def test_with_a_cache_positions_go_on_from_the_cached_length(student, n_layers, chunks):
    """Tokens that come bit by bit, each layer with its cache, get the logits of the whole text.

    token 一点一点输入、每层用自己的缓存时，logits 与一次输入全文相同。
    """
    ours, theirs = pair(student, n_layers=n_layers)
    tokens = torch.randint(19, (2, 6))
    got = student.run(in_chunks, theirs, tokens, None, chunks, None)
    check.close(got, ours(tokens)[0], terms=TERMS)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("chunks", [[6], [4, 1, 1]], ids=["at once", "cached"])
def test_padding_changes_nothing_for_the_real_tokens(student, side, chunks):
    """Real tokens get the logits that they would get alone; those of padding are finite at least.

    真实 token 的 logits 与没有填充时相同；填充处的 logits 至少是有限的数。
    """
    ours, theirs = pair(student, max_seq_len=6)
    short, long = torch.randint(19, (1, 4)), torch.randint(19, (1, 6))
    left = side == "left"
    empty = torch.randint(19, (1, 2))
    row = torch.cat([empty, short] if left else [short, empty], 1)
    mask = torch.ones(2, 6, dtype=torch.int64)
    mask[0, slice(0, 2) if left else slice(4, 6)] = 0
    got = student.run(in_chunks, theirs, torch.cat([row, long]), mask, chunks, None)
    check.shape(got, (2, 6, 19))
    alone = ours(short)[0]
    check.close(got[:1, 2:] if left else got[:1, :4], alone, terms=TERMS)
    check.close(got[1:], ours(long)[0], terms=TERMS)
    check.that(
        bool(got.isfinite().all()),
        en="Logits at the padding are not finite: softmax over a row with nothing to see is NaN.",
        zh="填充处的 logits 不是有限的数：对什么都看不见的一行做 softmax 会得到 NaN。",
        got=got,
    )


def test_only_the_last_logits_are_made_where_no_more_are_wanted(student):
    """logits_to_keep=n gives the logits of the last n positions.

    logits_to_keep=n 只给出最后 n 个位置的 logits。
    """
    ours, theirs = pair(student, **ONE)
    tokens = torch.randint(19, (2, 6))
    whole = ours(tokens)[0]
    for n in (1, 4):
        check.close(theirs(tokens, logits_to_keep=n), (whole[:, -n:], None), terms=TERMS)


@pytest.mark.parametrize(
    "wrong",
    [
        "too long",
        "too long with the cache",
        "targets",
        "attention_mask",
        "cache",
        "logits_to_keep",
        "logits_to_keep with targets",
    ],
)
def test_what_does_not_fit_is_refused(student, wrong):
    """A text over max_seq_len, and arguments that do not fit the tokens, raise ValueError.

    文本超过 max_seq_len，或参数与 token 不符，都要抛出 ValueError。
    """
    _, theirs = pair(student, **ONE)
    tokens, mask = torch.randint(19, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    refused = {
        "too long": lambda: theirs(tokens),
        "too long with the cache": lambda: student.run(
            in_chunks, theirs, tokens, None, [7, 2], None
        ),
        "targets": lambda: theirs(tokens[:, :4], tokens[:, :4].reshape(4, 2)),
        "attention_mask": lambda: theirs(tokens[:, :4], attention_mask=mask[:, :3]),
        "cache": lambda: student.run(in_chunks, theirs, tokens[:, :4], None, [4], 3),
        "logits_to_keep": lambda: theirs(tokens[:, :4], logits_to_keep=0),
        "logits_to_keep with targets": lambda: theirs(tokens[:, :4], mask[:, :4], logits_to_keep=4),
    }
    match = "max_seq_len" if wrong.startswith("too long") else ""
    check.raises(ValueError, refused[wrong], match=match)


# ---- other right ways


@also_right("Transformer", en="in one piece: an explicit mask, tied the other way, its own loss")
class InOnePiece(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.args = args
        cos, sin = reference.precompute_freqs_cis(args.head_dim, args.max_seq_len, args.rope_theta)
        self.register_buffer("freqs_sin", sin, persistent=False)
        self.register_buffer("freqs_cos", cos, persistent=False)
        self.output = nn.Linear(args.dim, args.vocab_size, bias=False)
        self.norm = reference.RMSNorm(args.dim, args.norm_eps)
        self.layers = nn.ModuleList()
        for number in range(args.n_layers):
            self.layers.append(reference.DecoderLayer(number, args))
        self.tok_embeddings = nn.Embedding(args.vocab_size, args.dim)
        if args.tie_word_embeddings:
            self.tok_embeddings.weight = self.output.weight
        self.apply(self.draw)
        for layer in self.layers:
            for linear in (layer.attention.wo, layer.feed_forward.w2):
                linear.weight.data /= (2 * args.n_layers) ** 0.5

    @staticmethod
    def draw(part):
        if isinstance(part, nn.Linear | nn.Embedding):
            part.weight.data.normal_(0, 0.02)

    def forward(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
        B, T = tokens.shape
        past = cache[0].length if cache else 0
        S = past + T
        if cache and len(cache) != len(self.layers):
            raise ValueError("cache does not fit")
        if past + T > self.args.max_seq_len:
            raise ValueError("longer than max_seq_len")
        if attention_mask is not None and tuple(attention_mask.shape) != (B, S):
            raise ValueError("attention_mask does not fit")
        if targets is not None and (targets.shape != (B, T) or logits_to_keep is not None):
            raise ValueError("targets do not fit")
        if logits_to_keep is not None and logits_to_keep <= 0:
            raise ValueError("logits_to_keep is below 1")
        places = torch.arange(past, S)
        mask = (places[:, None] >= torch.arange(S)).expand(B, 1, T, S)
        if attention_mask is not None:  # a shift of all positions of a row changes nothing
            mask = mask & (attention_mask[:, None, None] != 0) | (
                places[:, None] == torch.arange(S)
            )
        h = F.dropout(self.tok_embeddings(tokens), self.args.dropout, self.training)
        for number, layer in enumerate(self.layers):
            kept = cache[number] if cache else None
            h = layer(h, self.freqs_cos[places], self.freqs_sin[places], mask=mask, cache=kept)
        logits = self.output(self.norm(h))
        if targets is None:
            return [logits[:, -(logits_to_keep or T) :], None]
        counted = targets >= 0
        scores = logits[counted].float().log_softmax(-1)
        losses = -scores.gather(-1, targets[counted][:, None])
        return [logits, losses.mean() if counted.any() else 0.0 * logits.float().sum()]


_DRAWN = "std=residual_std if writes_to_stream else 0.02)"
_TABLES = "return self.freqs_cos[{0}]{1}, self.freqs_sin[{0}]{2}, {3}"
_POSITIONS = "positions = (real.cumsum(dim=1) - 1){}[:, past:]"

EQUIVALENT = (
    equivalent_mutant(
        "Transformer.forward",
        "if self.training:",
        "if True:",
        because="outside training nn.Dropout hands on what it is given; the branch saves the call",
    ),
    equivalent_mutant(
        "Transformer.init_weights",
        f"nn.init.normal_(weight, mean=0.0, {_DRAWN}",
        f"nn.init.normal_(weight, {_DRAWN}",
        because="0 is the default",
    ),
    equivalent_mutant(
        "Transformer.forward",
        'logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100, reduction="sum"',
        'logits.flatten(0, 1).float(), targets.flatten(), reduction="sum"',
        because="-100 is the default",
    ),
    equivalent_mutant(
        "Transformer.positions_and_mask",
        "past = 0 if cache is None else cache[0].length",
        "past = 0 if cache is None else cache[-1].length",
        because="before the layers run, all caches hold equally many tokens",
    ),
    *(
        equivalent_mutant(
            "Transformer.positions_and_mask",
            _TABLES.format(places, "", "", mask),
            _TABLES.format(places, *cut, mask + last),
            because="tables are buffers and masks are boolean: neither carries a gradient",
        )
        for places, mask in (("past:S", "None"), ("positions", "mask"))
        for *cut, last in ((".detach()", "", ""), ("", ".detach()", ""), ("", "", ".detach()"))
        if not (last and mask == "None")
    ),
    *(
        equivalent_mutant(
            "Transformer.positions_and_mask",
            _POSITIONS.format(".clamp(min=0)"),
            _POSITIONS.format(instead),
            because="only padding before the first real token stands below 0, and nobody reads it",
        )
        for instead in ("", ".clamp(min=-1)")
    ),
)


@also_right("Transformer.init_weights", en="module by module, standard normals scaled")
def module_by_module(self):
    into_stream = 0.02 * (2 * len(self.layers)) ** -0.5
    for name, part in self.named_modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            std = into_stream if name.split(".")[-1] in ("wo", "w2") else 0.02
            part.weight.data = std * torch.randn_like(part.weight)
    if self.args.tie_word_embeddings:
        self.tok_embeddings.weight = self.output.weight


@also_right("Transformer.forward", en="the loss by log_softmax and gather, in float64")
def loss_by_hand(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
    if targets is not None and tuple(targets.shape) != tuple(tokens.shape):
        raise ValueError("targets do not fit")
    if logits_to_keep is not None and (targets is not None or logits_to_keep <= 0):
        raise ValueError("logits_to_keep does not fit")
    cos, sin, mask = self.positions_and_mask(tokens, attention_mask, cache)
    h = self.dropout(self.tok_embeddings(tokens))
    for layer, kept in zip(self.layers, cache or [None] * len(self.layers), strict=True):
        h = layer(h, freqs_cos=cos, freqs_sin=sin, mask=mask, cache=kept)
    if logits_to_keep is not None:
        h = h[:, -logits_to_keep:]
    logits = self.output(self.norm(h))
    if targets is None:
        return logits, None
    counted = targets != -100
    of_target = targets.clamp(min=0).unsqueeze(-1)
    nats = -logits.double().log_softmax(-1).gather(-1, of_target).squeeze(-1)
    return logits, (nats[counted].sum() / max(int(counted.sum()), 1)).float()


# ---- mistakes that people make


@known_wrong(
    "Transformer",
    en="The output layer does not share the embedding's weight: with tie_word_embeddings set "
    "self.output.weight = self.tok_embeddings.weight (the Parameter itself, not a copy).",
    zh="输出层没有共享嵌入的权重：tie_word_embeddings 为真时，应写 "
    "self.output.weight = self.tok_embeddings.weight（是 Parameter 本身，不是副本）。",
)
class NotTied(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.output.weight = nn.Parameter(self.output.weight.detach().clone())


@known_wrong(
    "Transformer",
    en="The output is tied whatever tie_word_embeddings says: ask it first.",
    zh="不管 tie_word_embeddings 是什么，输出层都绑定了：应先判断它。",
)
class AlwaysTied(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.output.weight = self.tok_embeddings.weight


def _draw(model, std, small, residual):
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=residual if name.endswith(small) else std)


@known_wrong(
    "Transformer.init_weights",
    en="The smaller start is on w3. It belongs on what writes into the stream: wo and w2.",
    zh="较小的初值用在了 w3 上。应当用在写入残差流的矩阵上：wo 和 w2。",
)
def residual_scale_on_w3(self):
    residual = 0.02 / math.sqrt(2 * self.args.n_layers)
    _draw(self, 0.02, ("wo.weight", "w3.weight"), residual)


@known_wrong(
    "Transformer.init_weights",
    en="All matrices start alike. wo and w2 write into the stream 2 * n_layers times, so they need "
    "0.02 / sqrt(2 * n_layers).",
    zh="所有矩阵的初值都一样。wo 和 w2 共向残差流写入 2 * n_layers 次，应取 "
    "0.02 / sqrt(2 * n_layers)。",
)
def no_residual_scale(self):
    _draw(self, 0.02, (), 0.02)


@known_wrong(
    "Transformer.init_weights",
    en="You divided by sqrt(n_layers). Each layer writes twice, attention and MLP: "
    "sqrt(2 * n_layers).",
    zh="你除以了 sqrt(n_layers)。每层写入两次（注意力和 MLP），应为 sqrt(2 * n_layers)。",
)
def one_write_a_layer(self):
    residual = 0.02 / math.sqrt(self.args.n_layers)
    _draw(self, 0.02, ("wo.weight", "w2.weight"), residual)


@known_wrong(
    "Transformer.init_weights",
    en="The weights keep PyTorch's own start: draw every matrix with "
    "nn.init.normal_(weight, std=0.02), the embedding too.",
    zh="权重保留了 PyTorch 的默认初值：每个矩阵（包括嵌入）都应用 "
    "nn.init.normal_(weight, std=0.02) 重新抽取。",
)
def as_pytorch_draws(self):
    return None


@known_wrong(
    "Transformer.init_weights",
    en="The norms' weights were drawn too, close to zero: leave what has one dimension at one.",
    zh="归一化的权重也被重新抽取，变得接近零：一维的权重应保持为 1。",
)
def norms_drawn_too(self):
    residual = 0.02 / math.sqrt(2 * self.args.n_layers)
    for name, weight in self.named_parameters():
        small = name.endswith(("wo.weight", "w2.weight"))
        nn.init.normal_(weight, std=residual if small else 0.02)


@known_wrong(
    "Transformer",
    en="The rotary tables are saved with the weights: register_buffer(..., persistent=False).",
    zh="旋转位置表被写进了保存的权重：应当 register_buffer(..., persistent=False)。",
)
class TablesSaved(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.register_buffer("freqs_cos", self.freqs_cos)
        self.register_buffer("freqs_sin", self.freqs_sin)


@known_wrong(
    "Transformer",
    en="The rotary tables are plain attributes, which stay behind when the model moves to a GPU: "
    "use register_buffer(..., persistent=False).",
    zh="旋转位置表只是普通属性，模型搬到 GPU 时不会跟着走：应当 "
    "register_buffer(..., persistent=False)。",
)
class TablesAsAttributes(Transformer):
    def __init__(self, args):
        super().__init__(args)
        for name in ("freqs_cos", "freqs_sin"):
            table = getattr(self, name)
            delattr(self, name)
            setattr(self, name, table)


@known_wrong(
    "Transformer",
    en="rope_theta never reaches precompute_freqs_cis, so 10000 is used whatever the config says.",
    zh="rope_theta 没有传给 precompute_freqs_cis，于是不管配置如何都用了 10000。",
)
class DefaultTheta(Transformer):
    def __init__(self, args):
        super().__init__(args)
        tables = reference.precompute_freqs_cis(args.head_dim, args.max_seq_len)
        self.freqs_cos, self.freqs_sin = tables


@known_wrong(
    "Transformer",
    en="The last norm is left out: normalise once more after the layers, before the output.",
    zh="漏了最后的归一化：各层之后、输出之前还要再归一化一次。",
)
class NoFinalNorm(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.norm.forward = lambda h: h


@known_wrong(
    "Transformer",
    en="The norm after the layers has the default eps: give it args.norm_eps.",
    zh="最后的归一化用了默认的 eps：应传入 args.norm_eps。",
)
class DefaultEps(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.norm = reference.RMSNorm(args.dim)


@known_wrong(
    "Transformer",
    en="Embedded tokens never drop out: apply self.dropout to them.",
    zh="嵌入后没有 dropout：应对嵌入用 self.dropout。",
)
class NoDropout(Transformer):
    def __init__(self, args):
        super().__init__(args)
        self.dropout = nn.Identity()


class Relossed(Transformer):
    """The reference with another loss."""

    def forward(self, tokens, targets=None, *rest, **more):
        logits, _ = super().forward(tokens, targets, *rest, **more)
        return logits, None if targets is None else self.loss(logits, targets)

    @staticmethod
    def mean(logits, targets, ignore_index=-100):
        total = F.cross_entropy(
            logits.flatten(0, -2).float(),
            targets.flatten(),
            ignore_index=ignore_index,
            reduction="sum",
        )
        return total / (targets != ignore_index).sum().clamp(min=1)


@known_wrong(
    "Transformer",
    en="You shifted once more. targets[:, t] follows tokens[:, t] already: compare them in place.",
    zh="你又错位了一次。targets[:, t] 已经是 tokens[:, t] 的下一个：原位比较即可。",
)
class ShiftedTwice(Relossed):
    def loss(self, logits, targets):
        return self.mean(logits[:, :-1], targets[:, 1:])


@known_wrong(
    "Transformer",
    en="Id 0 is left out of the loss as if it were padding. Only -100 is: ignore_index=-100.",
    zh="编号 0 被当作填充排除在损失之外。只有 -100 才排除：ignore_index=-100。",
)
class IgnoresZero(Relossed):
    def loss(self, logits, targets):
        padded = targets.masked_fill(targets == -100, 0)
        return self.mean(logits, padded, ignore_index=0)


@known_wrong(
    "Transformer",
    en="Where every target is -100 the mean is 0/0 = NaN: divide the sum by at least 1.",
    zh="targets 全是 -100 时，平均是 0/0 = NaN：求和之后至少除以 1。",
)
class NothingToLearn(Relossed):
    def loss(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@known_wrong(
    "Transformer",
    en="The sum is divided by all positions. Divide by those that count, targets != -100.",
    zh="总和除以了所有位置数。应除以计入的个数，即 targets != -100 的个数。",
)
class MeanOverAll(Relossed):
    def loss(self, logits, targets):
        kept = targets != -100
        return self.mean(logits, targets) * kept.sum() / kept.numel()


@known_wrong(
    "Transformer",
    en="Each row's mean is averaged, so a token in a short reply counts for more. Sum over the "
    "whole batch and divide once.",
    zh="先按行平均再平均，短回复中的 token 分量就更重。应对整批求和，只除一次。",
)
class MeanOfRows(Relossed):
    def loss(self, logits, targets):
        rows = [self.mean(row, target) for row, target in zip(logits, targets, strict=True)]
        return torch.stack(rows).mean()


@known_wrong(
    "Transformer",
    en="The loss is computed in the model's half precision: call logits.float() before it.",
    zh="损失是在模型的半精度下计算的：先调用 logits.float()。",
)
class HalfPrecisionLoss(Relossed):
    def loss(self, logits, targets):
        return self.mean(logits, targets).to(logits.dtype)


@known_wrong(
    "Transformer",
    en="With a cache the positions start at 0 again. They go on from the cached length: "
    "freqs[past : past + T].",
    zh="有缓存时位置又从 0 开始了。应从缓存长度接着数：freqs[past : past + T]。",
)
class PositionsFromZero(Transformer):
    def positions_and_mask(self, tokens, attention_mask, cache):
        _, _, mask = super().positions_and_mask(tokens, attention_mask, cache)
        T = tokens.size(1)
        return self.freqs_cos[:T], self.freqs_sin[:T], mask


@known_wrong(
    "Transformer",
    en="All layers write into the first cache: layer i takes cache[i].",
    zh="所有层都写进了第一个缓存：第 i 层应使用 cache[i]。",
)
class OneCacheForAll(Transformer):
    def forward(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
        same = None if cache is None else cache[:1] * len(cache)
        return super().forward(tokens, targets, attention_mask, same, logits_to_keep)


@known_wrong(
    "Transformer",
    en="The cache never reaches the layers, so nothing before the new tokens is seen.",
    zh="缓存没有交给各层，新 token 之前的内容都看不到。",
)
class NoCache(Transformer):
    def forward(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
        tables = self.positions_and_mask(tokens, attention_mask, cache)
        if cache is None:
            return super().forward(tokens, targets, attention_mask, None, logits_to_keep)
        h = self.dropout(self.tok_embeddings(tokens))
        for layer in self.layers:
            h = layer(h, *tables)
        return self.output(self.norm(h)), None


@known_wrong(
    "Transformer",
    en="attention_mask is ignored: padding is read as if it were text.",
    zh="没有理会 attention_mask：填充被当作文本读进去了。",
)
class MaskIgnored(Transformer):
    def positions_and_mask(self, tokens, attention_mask, cache):
        super().positions_and_mask(tokens, attention_mask, cache)
        return super().positions_and_mask(tokens, None, cache)


@known_wrong(
    "Transformer",
    en="With an attention_mask every token sees the future: combine it with the causal mask (&).",
    zh="有 attention_mask 时，每个 token 都能看到未来：要与因果掩码相与（&）。",
)
class NotCausal(Transformer):
    def positions_and_mask(self, tokens, attention_mask, cache):
        cos, sin, mask = super().positions_and_mask(tokens, attention_mask, cache)
        if attention_mask is not None:
            mask = attention_mask.bool()[:, None, None, :].expand(mask.shape)
        return cos, sin, mask


@known_wrong(
    "Transformer",
    en="logits_to_keep is ignored: project only h[:, -logits_to_keep:].",
    zh="没有理会 logits_to_keep：只需投影 h[:, -logits_to_keep:]。",
)
class KeepsAllLogits(Transformer):
    def forward(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
        return super().forward(tokens, targets, attention_mask, cache)


@known_wrong(
    "Transformer",
    en="logits_to_keep takes the first positions; text goes on from the last, h[:, -n:].",
    zh="logits_to_keep 取了最前面的位置；续写要用最后的，即 h[:, -n:]。",
)
class KeepsTheFirst(Transformer):
    def forward(self, tokens, targets=None, attention_mask=None, cache=None, logits_to_keep=None):
        if logits_to_keep is not None and logits_to_keep < 1:
            raise ValueError("logits_to_keep")
        logits, loss = super().forward(tokens, targets, attention_mask, cache)
        return logits[:, :logits_to_keep], loss


@known_wrong(
    "Transformer",
    en="A text over max_seq_len is not refused: raise ValueError, counting the cached tokens too.",
    zh="文本超过 max_seq_len 时没有拒绝：应抛出 ValueError，缓存里的 token 也要算上。",
)
class AnyLength(Transformer):
    def positions_and_mask(self, tokens, attention_mask, cache):
        past = 0 if not cache else cache[0].length
        if past + tokens.size(1) <= self.args.max_seq_len:
            return super().positions_and_mask(tokens, attention_mask, cache)
        return self.freqs_cos[past:], self.freqs_sin[past:], None
