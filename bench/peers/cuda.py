"""The peers of bench/h200.ts: the tutorial's run and faster variants of it in transformers + peft, Qwen2-VL-2B shape,
random weights. Prints one JSON row per variant: samples/s of an optimiser step, peak memory, step time.

  python bench/peers/cuda.py TOKENIZER.json FORMULAS.txt [seed tuned4 tuned tunedbf big gen1 gen16 vision …]
"""
import json, sys, time, random, os
import torch
from tokenizers import Tokenizer
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from peft import LoraConfig, TaskType, get_peft_model

tok = Tokenizer.from_file(sys.argv[1])
formulas = [l.strip() for l in open(sys.argv[2]) if l.strip()]
variants = sys.argv[3:] or ["seed", "tuned"]
dev = "cuda"
PROMPT = "你是一个LaText OCR助手,目标是读取用户输入的照片，转换成LaTex公式。"

def config():
    import inspect
    text = dict(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768, rms_norm_eps=1e-6,
                tie_word_embeddings=True, bos_token_id=151643, eos_token_id=151645,
                rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]}, rope_theta=1000000.0)
    vision = dict(depth=32, embed_dim=1280, hidden_size=1536, num_heads=16, mlp_ratio=4, patch_size=14,
                  spatial_merge_size=2, temporal_patch_size=2, in_channels=3)
    try:
        return Qwen2VLConfig(text_config=text, vision_config=vision, image_token_id=151655, video_token_id=151656,
                             vision_start_token_id=151652, vision_end_token_id=151653, tie_word_embeddings=True)
    except TypeError:
        return Qwen2VLConfig(**text, vision_config=vision, image_token_id=151655, video_token_id=151656)

GRID = (1, 36, 8)
NIMG = GRID[1] * GRID[2] // 4

def sample(i):
    pre = tok.encode("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>").ids
    post = tok.encode("<|vision_end|>" + PROMPT + "<|im_end|>\n<|im_start|>assistant\n").ids
    inst = pre + [151655] * NIMG + post
    resp = tok.encode(formulas[i % len(formulas)]).ids + [151643]
    return inst + resp, [-100] * len(inst) + resp

def batch(idx):
    xs = [sample(i) for i in idx]
    n = max(len(x[0]) for x in xs)
    ids = torch.full((len(xs), n), 151643); lab = torch.full((len(xs), n), -100); att = torch.zeros((len(xs), n), dtype=torch.long)
    for r, (a, b) in enumerate(xs):
        ids[r, :len(a)] = torch.tensor(a); lab[r, :len(b)] = torch.tensor(b); att[r, :len(a)] = 1
    pix = torch.randn(len(xs) * GRID[1] * GRID[2], 3 * 2 * 14 * 14)
    g = torch.tensor([GRID] * len(xs))
    types = (ids == 151655).int()
    return dict(input_ids=ids.to(dev), labels=lab.to(dev), attention_mask=att.to(dev), pixel_values=pix.to(dev, torch.bfloat16), image_grid_thw=g.to(dev), mm_token_type_ids=types.to(dev))

def build(attn):
    torch.manual_seed(0)
    cfg = config(); cfg._attn_implementation = attn
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(dev):
        m = Qwen2VLForConditionalGeneration._from_config(cfg) if hasattr(Qwen2VLForConditionalGeneration, "_from_config") else Qwen2VLForConditionalGeneration(cfg)
    torch.set_default_dtype(torch.float32)
    return m

def lora(m, fp32):
    c = LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
                   r=64, lora_alpha=16, lora_dropout=0.05, bias="none")
    return get_peft_model(m, c, autocast_adapter_dtype=fp32)

def call(m, b):
    try:
        return m(**b)
    except TypeError:
        b = {k: v for k, v in b.items() if k != "mm_token_type_ids"}
        return m(**b)

def bench(name, attn, fp32, ckpt, autocast, micro, accum, steps=6, compile=False):
    m = build(attn)
    if ckpt:
        m.enable_input_require_grads()
    m = lora(m, fp32)
    if ckpt:
        m.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    m.train()
    fn = torch.compile(m, dynamic=True) if compile else m
    params = [p for p in m.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=1e-4, fused=not ckpt)
    torch.cuda.reset_peak_memory_stats()
    times = []; toks = 0
    for s in range(steps):
        bs = [batch(range((s * accum + a) * micro, (s * accum + a + 1) * micro)) for a in range(accum)]
        torch.cuda.synchronize(); t = time.time()
        for b in bs:
            with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
                loss = call(fn, b).loss / accum
            loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step(); opt.zero_grad()
        torch.cuda.synchronize(); times.append(time.time() - t)
        toks = sum(int(b["attention_mask"].sum()) for b in bs)
    t = sorted(times[2:])[len(times[2:]) // 2]
    print(json.dumps(dict(variant=name, step_s=round(t, 4), samples_per_s=round(micro * accum / t, 2), tokens_per_s=round(toks / t, 1), peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2),
          trainable=sum(p.numel() for p in params), loss=float(loss) * accum, first_step_s=round(times[0], 2))), flush=True)
    del m, opt, params, fn; torch.cuda.empty_cache()

def gen(name, attn, n, bs):
    m = build(attn); m.eval()
    b = batch(range(bs)); keep = NIMG + 60
    ids = sample(0)[0]; cut = ids[: len(ids) - len(tok.encode(formulas[0]).ids) - 1]
    ids = torch.tensor([cut] * bs).to(dev)
    kw = dict(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=b["pixel_values"], image_grid_thw=b["image_grid_thw"], mm_token_type_ids=(ids == 151655).int())
    for rep in range(2):
        torch.cuda.synchronize(); t = time.time()
        try:
            out = m.generate(**kw, max_new_tokens=n, min_new_tokens=n, do_sample=False)
        except (TypeError, ValueError):
            kw.pop("mm_token_type_ids", None)
            out = m.generate(**kw, max_new_tokens=n, min_new_tokens=n, do_sample=False)
        torch.cuda.synchronize(); d = time.time() - t
    print(json.dumps(dict(variant=name, batch=bs, new_tokens=n, tokens_per_s=round(bs * n / d, 1), s=round(d, 3))), flush=True)
    del m; torch.cuda.empty_cache()

def vision(name):
    m = build("sdpa"); m.eval()
    b = batch(range(16))
    v = m.model.visual if hasattr(m.model, "visual") else m.visual
    with torch.no_grad():
        for rep in range(3):
            torch.cuda.synchronize(); t = time.time(); v(b["pixel_values"], grid_thw=b["image_grid_thw"]); torch.cuda.synchronize(); d = time.time() - t
    print(json.dumps(dict(variant=name, images=16, s=round(d, 4))), flush=True)

for v in variants:
    try:
        if v == "seed": bench("seed: ckpt, fp32 LoRA, 4x4, sdpa", "sdpa", True, True, False, 4, 4)
        if v == "tuned4": bench("bf16 LoRA, no ckpt, 4x4, sdpa", "sdpa", False, False, False, 4, 4)
        if v == "tuned": bench("bf16 autocast, fp32 LoRA, no ckpt, 16x1, sdpa", "sdpa", True, False, True, 16, 1)
        if v == "tunedbf": bench("bf16 LoRA, no ckpt, 16x1, sdpa", "sdpa", False, False, False, 16, 1)
        if v == "big": bench("bf16 LoRA, no ckpt, 64x1, sdpa", "sdpa", False, False, False, 64, 1)
        if v == "compile": bench("bf16 LoRA, no ckpt, 16x1, compile", "sdpa", False, False, False, 16, 1, compile=True)
        if v == "compile64": bench("bf16 LoRA, no ckpt, 64x1, compile", "sdpa", False, False, False, 64, 1, steps=8, compile=True)
        if v == "nodrop": bench("bf16 LoRA, 16x1, flash_attention_2 if present", "flash_attention_2", False, False, False, 16, 1)
        if v == "gen1": gen("generate bs1", "sdpa", 64, 1)
        if v == "gen16": gen("generate bs16", "sdpa", 64, 16)
        if v == "vision": vision("vision tower 16 images")
    except Exception as e:
        print(json.dumps(dict(variant=v, error=repr(e)[:600])), flush=True)
        import traceback; traceback.print_exc()
