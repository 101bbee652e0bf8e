"""The transformers + peft side of bench/fidelity.ts, in its folder. Prints a JSON row a part; a part that fails prints its
error and the others go on.

  python bench/peers/fidelity.py FOLDER [weights gradients greedy curve] [--device cuda] [--tiny] [--steps 200] …

weights    random bf16 weights of the Qwen2-VL-2B shape as FOLDER/model, and a LoRA adapter with B ≠ 0 as FOLDER/adapter
gradients  FOLDER/truth.safetensors: loss, logits at the label rows and every LoRA gradient of the first samples in float32;
           FOLDER/peer.json: the errors of the ways that bench/peers/cuda.py trains in bfloat16
greedy     FOLDER/greedy.json: greedy ids after the prompts, in float32 and in bfloat16
curve      FOLDER/curve.SEED.json: losses of LoRA runs whose seed makes the adapter, dropout and order, all at once
FOLDER holds samples.json (ids, labelStart, grid of each) and patches.f32 already.
"""
import sys
sys.path.pop(0)  # or torch takes cuda.py beside this file for the package of that name
import argparse, contextlib, copy, json, os, re, time, traceback
import multiprocessing as mp
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.utils import logging

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IMAGE, PAD = 151655, 151643
TEXT = dict(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
            num_key_value_heads=2)
VISION = dict(depth=32, embed_dim=1280, num_heads=16)
SECTION = [16, 24, 24]
TINY_TEXT = dict(TEXT, hidden_size=128, intermediate_size=320, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
TINY_VISION = dict(depth=2, embed_dim=64, num_heads=2)
TINY_SECTION = [4, 6, 6]
# The ways that bench/peers/cuda.py trains: is LoRA kept in float32, and does autocast run its products in bfloat16?
WAYS = {
    "autocast": dict(lora32=True, autocast=True),   # "tuned"
    "bf16": dict(lora32=False, autocast=False),     # "tunedbf", "big"
    "lora32": dict(lora32=True, autocast=False),    # "seed", the tutorial
}


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("folder")
    a.add_argument("parts", nargs="*")
    a.add_argument("--device", default="cuda")
    a.add_argument("--tiny", action="store_true")
    a.add_argument("--count", type=int, default=4, help="samples of the gradients")
    a.add_argument("--prompts", type=int, default=3)
    a.add_argument("--new-tokens", type=int, default=16)
    a.add_argument("--steps", type=int, default=200)
    a.add_argument("--per-step", type=int, default=8)
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--rank", type=int, default=64)
    a.add_argument("--seeds", type=int, nargs="*", default=[11, 12, 13])
    out = a.parse_args()
    out.parts = out.parts or ["weights", "gradients", "greedy", "curve"]
    return out


def at(o, name):
    return os.path.join(o.folder, name)


def say(part, **row):
    print(json.dumps(dict(part=part, **row)), flush=True)


def config(o):
    text, vision, section = (TINY_TEXT, TINY_VISION, TINY_SECTION) if o.tiny else (TEXT, VISION, SECTION)
    text = dict(text, max_position_embeddings=32768, rms_norm_eps=1e-6, bos_token_id=PAD, eos_token_id=151645, rope_theta=1e6,
                rope_scaling={"type": "mrope", "mrope_section": section}, tie_word_embeddings=True)
    vision = dict(vision, hidden_size=text["hidden_size"], mlp_ratio=4, patch_size=14, spatial_merge_size=2,
                  temporal_patch_size=2, in_channels=3)
    made = Qwen2VLConfig(text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=151656,
                         vision_start_token_id=151652, vision_end_token_id=151653, tie_word_embeddings=True)
    made.architectures = ["Qwen2VLForConditionalGeneration"]
    made._attn_implementation = "sdpa"
    return made


def lora(o, dropout):
    return LoraConfig(task_type="CAUSAL_LM", target_modules=TARGETS, r=o.rank, lora_alpha=16, lora_dropout=dropout, bias="none")


def deviation(name, width):
    """Of 0.02, as initialisation has it, at the real width; the products into attention twice that, or it would be nearly flat."""
    return (1280 / width) ** 0.5 * 0.02 * (2 if re.search(r"(q_proj|k_proj|qkv)\.weight", name) else 1)


def weights(o):
    os.makedirs(at(o, "model"), exist_ok=True)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(o.device):
        model = Qwen2VLForConditionalGeneration._from_config(config(o))
    torch.set_default_dtype(torch.float32)
    g = torch.Generator(device=o.device).manual_seed(1)
    tensors = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("weight") and ("norm" in name or "ln_q" in name):
                p.fill_(1)
            elif p.dim() == 1 or "embed_tokens" in name:
                p.normal_(0, 0.02, generator=g)
            else:
                p.normal_(0, deviation(name, p[0].numel() if o.tiny else 1280), generator=g)
            tensors[name] = p.detach()
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, t in tensors.items():
        header[name] = dict(dtype="BF16", shape=list(t.shape), data_offsets=[offset, offset + 2 * t.numel()])
        offset += 2 * t.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(at(o, "model/model.safetensors"), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            t.contiguous().view(torch.int16).cpu().numpy().tofile(f)
    model.config.save_pretrained(at(o, "model"))
    model = get_peft_model(model, lora(o, 0.05))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.05, generator=g)
    model.save_pretrained(at(o, "adapter"))
    say("weights", parameters=sum(t.numel() for t in tensors.values()), bytes=offset)


class Data:
    def __init__(self, o):
        with open(at(o, "samples.json")) as f:
            self.samples = json.load(f)
        self.patches = [s["grid"][0] * s["grid"][1] * s["grid"][2] for s in self.samples]
        self.starts = np.concatenate([[0], np.cumsum(self.patches)])
        self.pixels = np.memmap(at(o, "patches.f32"), np.float32, "r").reshape(-1, 1176)
        if len(self.pixels) != self.starts[-1]:
            raise SystemExit(f"patches.f32 has {len(self.pixels)} patches, samples.json says {self.starts[-1]}")
        self.longest = max(len(s["ids"]) for s in self.samples)
        self.device = o.device

    def batch(self, chosen, labels=True, width=0):
        """Samples padded on the right, to `width` tokens at least; without labels, the prompt of one."""
        xs = [self.samples[i] for i in chosen]
        ids = [x["ids"] if labels else x["ids"][: x["labelStart"]] for x in xs]
        n = max(width, *map(len, ids))
        table = torch.full((len(xs), n), PAD)
        mask = torch.zeros((len(xs), n), dtype=torch.long)
        targets = torch.full((len(xs), n), -100)
        for r, (x, row) in enumerate(zip(xs, ids)):
            table[r, : len(row)] = torch.tensor(row)
            mask[r, : len(row)] = 1
            targets[r, x["labelStart"] : len(row)] = table[r, x["labelStart"] : len(row)]
        pixels = np.concatenate([self.pixels[self.starts[i] : self.starts[i + 1]] for i in chosen])
        made = dict(input_ids=table, attention_mask=mask, pixel_values=torch.from_numpy(pixels),
                    image_grid_thw=torch.tensor([x["grid"] for x in xs]), mm_token_type_ids=(table == IMAGE).int())
        if labels:
            made["labels"] = targets
        return {key: value.to(self.device, non_blocking=True) for key, value in made.items()}


def base(o):
    model = Qwen2VLForConditionalGeneration.from_pretrained(at(o, "model"), dtype=torch.bfloat16, attn_implementation="sdpa")
    model.config.use_cache = False
    return model.to(o.device)


def adapted(o, model, dtype, lora32):
    model = copy.deepcopy(model).to(dtype)
    return PeftModel.from_pretrained(model, at(o, "adapter"), is_trainable=True, autocast_adapter_dtype=lora32).eval()


def cast(o, on):
    return torch.autocast(o.device, torch.bfloat16) if on else contextlib.nullcontext()


def exact_float32():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def plain_attention(on):
    """Attention as products, which have no shortcuts in float32."""
    return sdpa_kernel(SDPBackend.MATH) if on else contextlib.nullcontext()


def step(o, data, model, autocast):
    """Loss, logits [labels, V] that predict the label tokens and gradients by name of the first samples as one batch."""
    batch = data.batch(range(o.count))
    with cast(o, autocast):
        out = model(**batch)
    out.loss.backward()
    rows = (batch["labels"] != -100)[:, 1:]
    logits = out.logits[:, :-1][rows].detach().float()
    grads = {n: p.grad.detach().float() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return out.loss.item(), logits, grads


def relative(x, truth):
    return ((x - truth).norm() / truth.norm()).item()


def gradients(o):
    exact_float32()
    data, model = Data(o), base(o)
    with plain_attention(True):
        loss, logits, grads = step(o, data, adapted(o, model, torch.float32, True), False)
    if len(grads) != 2 * len(TARGETS) * (2 if o.tiny else 28):
        raise SystemExit(f"{len(grads)} gradients: not those of every LoRA module")
    keep = {"logits": logits, "loss": torch.tensor([loss])} | {"grad." + n.replace(".default.", "."): g for n, g in grads.items()}
    save_file({n: t.cpu().contiguous() for n, t in keep.items()}, at(o, "truth.safetensors"))
    say("gradients", way="float32", loss=loss, tensors=len(grads))
    found = {}
    for name, way in WAYS.items():
        try:
            other, some, own = step(o, data, adapted(o, model, torch.bfloat16, way["lora32"]), way["autocast"])
            errors = {n.replace(".default.", "."): relative(g, grads[n]) for n, g in own.items()}
            found[name] = dict(loss=other, logits=relative(some, logits), same_token=(some.argmax(1) == logits.argmax(1)).float().mean().item(),
                               gradients=errors)
            with open(at(o, "peer.json"), "w") as f:
                json.dump(found, f)
            values = sorted(errors.values())
            say("gradients", way=name, loss=other, loss_error=abs(other - loss) / loss, logits=found[name]["logits"],
                same_token=found[name]["same_token"], median=values[len(values) // 2], worst=values[-1])
        except Exception as e:
            say("gradients", way=name, error=repr(e)[:600])
            traceback.print_exc()


def greedy(o):
    exact_float32()
    data, plain, found = Data(o), base(o), {}
    for name, dtype in [("float32", torch.float32), ("bfloat16", torch.bfloat16)]:
        model = adapted(o, plain, dtype, dtype == torch.float32)
        found[name] = []
        for i in range(o.prompts):
            prompt = data.batch([i], labels=False)
            with plain_attention(dtype == torch.float32):
                out = model.generate(**prompt, max_new_tokens=o.new_tokens, do_sample=False, eos_token_id=None, pad_token_id=PAD,
                                     use_cache=True)
            found[name].append(out[0, prompt["input_ids"].shape[1] :].tolist())
        with open(at(o, "greedy.json"), "w") as f:
            json.dump(found, f)
        say("greedy", dtype=name, first=found[name][0])
        del model


def curve(o, seed):
    data = Data(o)
    torch.manual_seed(seed)
    model = get_peft_model(base(o), lora(o, 0.05)).train()
    params = [p for p in model.parameters() if p.requires_grad]
    if any(p.dtype != torch.float32 for p in params):
        raise SystemExit("LoRA is not in float32")
    optimiser = torch.optim.AdamW(params, lr=o.lr, weight_decay=0.0, fused=o.device == "cuda")
    random, order, losses, started = np.random.default_rng(seed), [], [], time.time()
    for k in range(o.steps):
        for group in optimiser.param_groups:
            group["lr"] = o.lr * (1 - k / o.steps)
        if len(order) < o.per_step:
            order = random.permutation(len(data.samples)).tolist()
        chosen, order = order[: o.per_step], order[o.per_step :]
        with cast(o, True):
            # Batches of one size, for three processes share the card's memory.
            loss = model(**data.batch(chosen, width=data.longest)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.detach())
        if (k + 1) % 20 == 0 or k + 1 == o.steps:
            with open(at(o, f"curve.{seed}.json"), "w") as f:
                json.dump(torch.stack(losses).tolist(), f)
    say("curve", seed=seed, seconds=round(time.time() - started, 1), first=losses[0].item(), last=losses[-1].item())


def guarded(name, work, *args):
    started = time.time()
    try:
        work(*args)
        say(name, done_in_s=round(time.time() - started, 1))
    except BaseException as e:
        say(name, error=repr(e)[:600])
        traceback.print_exc()


def main():
    logging.disable_progress_bar()
    # One import for all; the device is first touched in children, whose memory then goes back.
    o = arguments()
    fork = mp.get_context("fork")
    for part, work in [("weights", weights), ("gradients", gradients), ("greedy", greedy)]:
        if part in o.parts:
            child = fork.Process(target=guarded, args=(part, work, o))
            child.start()
            child.join()
    if "curve" in o.parts:
        runs = [fork.Process(target=guarded, args=("curve", curve, o, seed)) for seed in o.seeds]
        for run in runs:
            run.start()
        for run in runs:
            run.join()


main()
