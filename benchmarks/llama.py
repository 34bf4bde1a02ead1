"""Our LLaMA2 beside transformers' LlamaForCausalLM: a training step, and cached generation.

    python benchmarks/llama.py [--size small|laptop|book] [--rounds 5] [--threads N] [--clock cpu]

The same configuration, weights, tokens and threads; the two take turns, so that a busy machine
slows both alike, and each ratio is the median of the rounds' own ratios. Above 1 ours is faster.
With one thread, --clock cpu counts the processor time, which other programs hardly change.
The step is forward, backward, clipping and AdamW: ours by happyllm.train, theirs with SDPA,
torch.nn.utils.clip_grad_norm_ and torch.optim.AdamW. Generation is that of the `happyllm` command,
by FastDecoder; the two must write the same tokens. Exits 1 where a ratio is below its limit.
Where there is a GPU, tokens/s and the share of its peak are told as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from happyllm.llama import FastDecoder, ModelConfig, Transformer, generate, hf_config, to_hf
from happyllm.train import AdamW, decay_groups, train_step
from happyllm.train.hardware import InPrecision

SIZES = {  # width, layers, heads, key/value heads, vocabulary, tokens a row, rows, new tokens
    "small": (64, 2, 4, 2, 512, 64, 4, 32),
    "laptop": (128, 5, 4, 2, 2048, 256, 8, 64),
    "book": (768, 12, 16, 8, 6144, 512, 4, 128),
}
LIMITS = {"training step": 1.0, "generation, batch 1": 2.0, "generation, batch 8": 2.0}
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "4090": 165e12}  # dense bf16 FLOP/s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    gpu = torch.cuda.is_available()
    dim, layers, heads, kv_heads, vocab, T, B, new = SIZES[options.size]
    args = ModelConfig(
        dim=dim,
        n_layers=layers,
        n_heads=heads,
        n_kv_heads=kv_heads,
        vocab_size=vocab,
        max_seq_len=T + new,
    )
    device = torch.device("cuda" if gpu else "cpu")
    torch.manual_seed(0)
    ours = Transformer(args)
    theirs = LlamaForCausalLM(LlamaConfig(**hf_config(args), attn_implementation="sdpa"))
    theirs.load_state_dict(to_hf(ours.state_dict(), args))
    ours.to(device)
    theirs.to(device)
    print(
        f"{ours.num_params() / 1e6:.2f} M parameters, {B} rows of {T} tokens, {new} new tokens; "
        f"{device.type}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}; "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )
    pairs = {"training step": steps(ours, theirs, B, T, vocab, device)}
    for rows in (1, 8):
        pairs[f"generation, batch {rows}"] = writing(ours, theirs, rows, T, new, vocab, device)

    below = False
    print(f"{'':22}{'ours':>11}{'theirs':>11}{'ratio':>7}  {'rounds':>13}  limit")
    for name, (our, their) in pairs.items():
        times = [
            (measure(our, gpu, clock), measure(their, gpu, clock))
            for _ in range(options.rounds + 1)
        ][1:]
        ratios = [b / a for a, b in times]
        ratio = statistics.median(ratios)
        mine, other = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        below = below or ratio < LIMITS[name]
        mark = "  BELOW" if ratio < LIMITS[name] else ""
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        limit = f"{LIMITS[name]:.0f} x"
        print(f"{name:22}{mine:8.1f} ms{other:8.1f} ms{ratio:7.2f}  {spread}  {limit}{mark}")
        if name == "training step":
            speed = B * T / (mine / 1e3)
            print(f"{'':22}{speed:,.0f} tokens/s{of_peak(ours, args, speed) if gpu else ''}")
    return int(below)


def steps(
    ours: Transformer, theirs: LlamaForCausalLM, B: int, T: int, vocab: int, device: torch.device
) -> tuple[Callable[[], object], Callable[[], object]]:
    """One update of each, on a batch of the same size."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    tokens = torch.randint(vocab, (B, T + 1), device=device)
    batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}
    model = InPrecision(ours, dtype)
    optimizer = AdamW(decay_groups(ours, 0.1), lr=1e-4)
    theirs_optimizer = torch.optim.AdamW(decay_groups(theirs, 0.1), lr=1e-4)

    def our_step() -> None:
        train_step(model, optimizer, [batch], lr=1e-4, max_norm=1.0)

    def their_step() -> None:
        theirs.train()
        theirs_optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16):
            logits = theirs(input_ids=batch["tokens"], use_cache=False).logits
        targets = batch["targets"].flatten()
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        theirs_optimizer.step()
        loss.item()

    return our_step, their_step


def writing(
    ours: Transformer,
    theirs: LlamaForCausalLM,
    rows: int,
    T: int,
    new: int,
    vocab: int,
    device: torch.device,
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Greedy generation with the cache from the same prompts, none of which stops early."""
    prompts = torch.randint(vocab, (rows, T // 4), device=device)
    options = {"max_new_tokens": new, "do_sample": False, "use_cache": True, "pad_token_id": 0}
    mask = torch.ones_like(prompts)
    theirs.generation_config.eos_token_id = None

    fast = FastDecoder(ours)

    def our_text() -> torch.Tensor:
        return generate(fast, prompts, new)

    def their_text() -> torch.Tensor:
        theirs.eval()
        return theirs.generate(prompts, attention_mask=mask, **options)

    if not our_text().equal(their_text()):
        raise RuntimeError("the two did not write the same tokens")
    return our_text, their_text


def measure(action: Callable[[], object], gpu: bool, clock: Callable[[], float]) -> float:
    if gpu:
        torch.cuda.synchronize()
    started = clock()
    action()
    if gpu:
        torch.cuda.synchronize()
    return clock() - started


def of_peak(model: Transformer, args: ModelConfig, speed: float) -> str:
    """The share of the GPU's peak: 6 FLOPs a parameter and token, 6 L D T for causal attention."""
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    if peak is None:
        return f", {name}"
    work = 6 * model.num_params() + 6 * args.n_layers * args.dim * args.max_seq_len
    return f", {work * speed / peak:.1%} of the peak of {name}"


if __name__ == "__main__":
    sys.exit(main())
