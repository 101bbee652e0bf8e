"""The peer of the CPU benchmark: transformers + peft on the same snapshot, data and settings as texlens.

  python bench/peers/cpu.py MODEL_FOLDER DATA_JSON --threads 2 --mode step --samples-per-step 16 --lora-r 16
  python bench/peers/cpu.py MODEL_FOLDER DATA_JSON --threads 2 --mode generate --new-tokens 32

MODEL_FOLDER is any snapshot of the Qwen2-VL architecture with its tokenizer and chat template; DATA_JSON is a
conversation JSON as `texlens prepare` writes it. Images are read and sized with Pillow and numpy before the clock starts (`prepare_s`).
Needs torch, transformers, peft, pillow, numpy. The last line printed is one JSON object."""
import argparse, json, math, os, platform, resource, statistics, time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("data")
parser.add_argument("--mode", choices=["step", "generate"], default="step")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the base weights")
parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
parser.add_argument("--prompt", default="LaTeX")
parser.add_argument("--min-pixels", type=int, default=3136, help="of an image after sizing")
parser.add_argument("--max-pixels", type=int, default=47040)
parser.add_argument("--samples-per-step", type=int, default=16)
parser.add_argument("--micro", type=int, default=16, help="samples of a padded micro-batch")
parser.add_argument("--lora-r", type=int, default=16)
parser.add_argument("--lora-alpha", type=float, default=16)
parser.add_argument("--lora-dropout", type=float, default=0.05)
parser.add_argument("--lr", type=float, default=1e-4)
parser.add_argument("--steps", type=int, default=5, help="steps timed")
parser.add_argument("--warmup", type=int, default=1, help="steps before them")
parser.add_argument("--new-tokens", type=int, default=32)
parser.add_argument("--batches", type=lambda text: list(map(int, text.split(","))), default=[1, 16],
                    help="batch sizes of generate, as 1,16")
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)  # read when torch is imported

import numpy as np
import peft, torch, transformers
from PIL import Image
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

torch.set_num_threads(args.threads)
transformers.utils.logging.disable_progress_bar()
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
PATCH, MERGE, FRAMES = 14, 2, 2


def smart_resize(height, width, low, high, factor=PATCH * MERGE):
    """Both sides as multiples of `factor`, the ratio kept as nearly as the pixel limits allow."""
    if max(height, width) > 200 * min(height, width):
        raise SystemExit(f"{width}x{height} pixels: the aspect ratio is over 200")
    h, w = (max(factor, round(side / factor) * factor) for side in (height, width))
    if h * w > high:
        beta = math.sqrt(height * width / high)
        h, w = (max(factor, math.floor(side / beta / factor) * factor) for side in (height, width))
    elif h * w < low:
        beta = math.sqrt(low / (height * width))
        h, w = (math.ceil(side * beta / factor) * factor for side in (height, width))
    return h, w


def patches_of(path):
    """Patch rows [h·w, 1176] in the order of the vision tower, and the grid (1, h, w)."""
    with Image.open(path) as image:
        if image.mode in ("RGBA", "LA", "P"):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    h, w = smart_resize(image.height, image.width, args.min_pixels, args.max_pixels)
    pixels = np.asarray(image.resize((w, h), Image.Resampling.BICUBIC)).astype(np.float64) * (1 / 255)
    pixels = (pixels.astype(np.float32) - MEAN) / STD
    rows, columns = h // PATCH, w // PATCH
    frames = np.stack([pixels.transpose(2, 0, 1)] * FRAMES)  # frame, channel, y, x
    blocks = frames.reshape(FRAMES, 3, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH)
    return blocks.transpose(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, -1), (1, rows, columns)


def prepare(tokenizer, image_id, count):
    """Token ids, first supervised token, patches and grid of `count` samples; a shorter data set is repeated."""
    with open(args.data, encoding="utf8") as f:
        rows = json.load(f)[:count]
    content = [{"type": "image"}, {"type": "text", "text": args.prompt}]
    text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False,
                                         add_generation_prompt=True)
    head, tail = text.split("<|image_pad|>")
    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)
    samples = []
    for row in rows:
        user, assistant = (turn["value"] for turn in row["conversations"])
        patches, grid = patches_of(os.path.join(os.path.dirname(args.data), user))
        prompt = encode(head) + [image_id] * (len(patches) // MERGE**2) + encode(tail)
        samples.append((prompt + encode(f"{assistant}<|im_end|>"), len(prompt), torch.from_numpy(patches), grid))
    return [samples[i % len(samples)] for i in range(count)]


def batch_of(samples, pad, image_id, prompts=False):
    """A padded batch: on the right with labels for training, on the left for generation."""
    rows = [ids[:first] if prompts else ids for ids, first, _, _ in samples]
    width = max(map(len, rows))
    ids, mask = torch.full((len(rows), width), pad), torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if prompts else slice(len(row))
        ids[i, place], mask[i, place] = torch.tensor(row), 1
        if not prompts:
            first = samples[i][1]
            labels[i, first:len(row)] = torch.tensor(row[first:])
    batch = dict(input_ids=ids, attention_mask=mask, pixel_values=torch.cat([s[2] for s in samples]),
                 image_grid_thw=torch.tensor([s[3] for s in samples]), mm_token_type_ids=(ids == image_id).int())
    return batch if prompts else dict(batch, labels=labels)


def run_steps(model, samples, pad, image_id):
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=args.lora_r, lora_alpha=args.lora_alpha,
                                             lora_dropout=args.lora_dropout, target_modules=TARGETS)).train()
    params = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(params, lr=args.lr, weight_decay=0.0, fused=True)
    times, cpu, tokens, losses = [], [], [], []
    for k in range(args.warmup + args.steps):
        chosen = samples[k * args.samples_per_step:(k + 1) * args.samples_per_step]
        began, busy = time.perf_counter(), time.process_time()
        parts = [batch_of(chosen[i:i + args.micro], pad, image_id) for i in range(0, len(chosen), args.micro)]
        supervised = sum(int((part["labels"] != -100).sum()) for part in parts)
        loss = 0.0
        for part in parts:
            share = model(**part, num_items_in_batch=supervised, use_cache=False).loss
            share.backward()
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
        losses.append(loss)
        tokens.append(sum(len(ids) for ids, *_ in chosen))
    step = statistics.median(times[args.warmup:])
    return dict(step_s=round(step, 4),
                cpu_s_per_sample=round(statistics.median(cpu[args.warmup:]) / args.samples_per_step, 5),
                samples_per_s=round(args.samples_per_step / step, 3),
                tokens_per_s=round(statistics.mean(tokens[args.warmup:]) / step, 1), first_step_s=round(times[0], 4),
                step_times_s=[round(t, 4) for t in times], samples_per_step=args.samples_per_step,
                micro=args.micro, lora_r=args.lora_r, lora_dropout=args.lora_dropout, first_loss=round(losses[0], 5),
                trainable=sum(p.numel() for p in params))


@torch.inference_mode()
def run_generate(model, samples, pad, image_id):
    model.eval()
    model.generation_config = GenerationConfig(do_sample=False, use_cache=True, pad_token_id=pad)  # no end token

    def seconds(batch, count):
        began, busy = time.perf_counter(), time.process_time()
        out = model.generate(**batch, max_new_tokens=count)
        elapsed = time.perf_counter() - began, time.process_time() - busy
        if out.shape[1] != batch["input_ids"].shape[1] + count:
            raise SystemExit("generation ended early; the figures would be wrong")
        return elapsed

    results = []
    for size in args.batches:
        batch = batch_of(samples[:size], pad, image_id, prompts=True)
        seconds(batch, 2)  # warm-up
        wholes, firsts = zip(*((seconds(batch, args.new_tokens), seconds(batch, 1)) for _ in range(3)))
        (whole, whole_cpu), (first, first_cpu) = ([statistics.median(part) for part in zip(*runs)]
                                                  for runs in (wholes, firsts))
        results.append(dict(batch=size, s=round(whole, 4), cpu_s=round(whole_cpu, 4), new_tokens_per_s=round(size * args.new_tokens / whole, 2),
                            first_token_s=round(first, 4),  # vision tower and prompt
                            first_token_cpu_s=round(first_cpu, 4),
                            decode_tokens_per_s=round(size * (args.new_tokens - 1) / (whole - first), 2),
                            prompt_tokens=int(batch["attention_mask"].sum())))
    return dict(new_tokens=args.new_tokens, generate=results)


def main():
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        args.model, dtype=getattr(torch, args.dtype), attn_implementation=args.attention)
    with open(os.path.join(args.model, "tokenizer_config.json"), encoding="utf8") as f:
        template = json.load(f)["chat_template"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(args.model, "tokenizer.json"),
                                        chat_template=template)
    image_id = model.config.image_token_id
    if tokenizer.convert_tokens_to_ids("<|image_pad|>") != image_id:
        raise SystemExit(f"tokenizer.json and config.json disagree about <|image_pad|> ({image_id} in config.json)")
    pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    count = (args.warmup + args.steps) * args.samples_per_step if args.mode == "step" else max(args.batches)
    began = time.perf_counter()
    samples = prepare(tokenizer, image_id, count)
    prepared = time.perf_counter() - began
    parameters = sum(p.numel() for p in model.parameters())
    result = (run_steps if args.mode == "step" else run_generate)(model, samples, pad, image_id)
    print(json.dumps(dict(
        side="transformers+peft", mode=args.mode, threads=args.threads, dtype=args.dtype, attention=args.attention,
        parameters=parameters, mean_tokens=round(statistics.mean(len(s[0]) for s in samples), 1), **result,
        prepare_s=round(prepared, 3), peak_rss_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__,
        machine=platform.machine())))


main()
