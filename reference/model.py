"""Golden values of a tiny Qwen2-VL from transformers and peft (float32, eager attention, CPU).
Writes a hub-layout snapshot, a peft adapter and expected.safetensors into a folder.
Run: python reference/model.py test/golden/model (versions are recorded in meta.json)."""
import json, os, sys, shutil
import torch, transformers, peft
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from peft import LoraConfig, get_peft_model

IMAGE, START, END, EOS = 155, 152, 153, 2
CONFIGS = {
    "tiny": dict(
        text_config=dict(vocab_size=200, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_window_layers=2, rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True,
            rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]}, bos_token_id=1, eos_token_id=EOS),
        vision_config=dict(depth=2, embed_dim=32, num_heads=2, hidden_size=64, mlp_ratio=4)),
    # The head and rope dimensions of the 2B model, fewer of everything else.
    "real_dims": dict(
        text_config=dict(vocab_size=200, hidden_size=256, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_window_layers=1, rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True,
            rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]}, bos_token_id=1, eos_token_id=EOS),
        vision_config=dict(depth=1, embed_dim=160, num_heads=2, hidden_size=256, mlp_ratio=1)),
}
SAMPLES = [  # ids, grids, first supervised token
    ([5, START] + [IMAGE] * 6 + [END, 7, 8, 30, 31, 32, EOS], [(1, 4, 6)], 11),
    ([9, START] + [IMAGE] * 2 + [END, 7, START] + [IMAGE] * 4 + [END, 40, 41, 42, 43, EOS], [(1, 2, 4), (1, 4, 4)], 12),
]

def build(name):
    torch.manual_seed(0)
    config = Qwen2VLConfig(**CONFIGS[name], tie_word_embeddings=True, image_token_id=IMAGE, video_token_id=156, vision_start_token_id=START, vision_end_token_id=END)
    config._attn_implementation = "eager"
    model = Qwen2VLForConditionalGeneration(config).eval()
    for key, p in model.named_parameters():
        p.data.normal_(0, 0.1)
        if "norm" in key or "ln_q" in key:
            if key.endswith("weight"): p.data.add_(1.0)
    return model

def batch(sample, pixels):
    ids, grids, first = sample
    ids = torch.tensor([ids])
    labels = ids.clone(); labels[:, :first] = -100
    return dict(input_ids=ids, pixel_values=pixels, image_grid_thw=torch.tensor(grids), attention_mask=torch.ones_like(ids),
                mm_token_type_ids=(ids == IMAGE).int()), labels

def losses(model, batches, total):
    out = []
    for inputs, labels in batches:
        logits = model(**inputs).logits[0, :-1]
        out.append(torch.nn.functional.cross_entropy(logits, labels[0, 1:], ignore_index=-100, reduction="sum") / total)
    return out

def lora(model, rslora=False):
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, use_rslora=rslora, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    g = torch.Generator().manual_seed(1)
    for key, p in model.named_parameters():
        if "lora_" in key: p.data.copy_(torch.randn(p.shape, generator=g) * 0.1)
    return model

def train(model, batches, total, steps, lr, decay):
    params = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    curve = []
    for k in range(steps):
        for group in optimiser.param_groups: group["lr"] = lr * (steps - k) / steps
        optimiser.zero_grad()
        loss = 0.0
        for part in losses(model, batches, total):
            part.backward(); loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        curve.append((loss, norm.item()))
    return torch.tensor(curve)

def main(root):
    for name in CONFIGS:
        folder = os.path.join(root, name)
        shutil.rmtree(folder, ignore_errors=True); os.makedirs(folder)
        model = build(name)
        g = torch.Generator().manual_seed(2)
        pixels = [torch.randn(sum(t * h * w for t, h, w in s[1]), 1176, generator=g) for s in SAMPLES]
        batches = [batch(s, p) for s, p in zip(SAMPLES, pixels)]
        total = sum((l[:, 1:] != -100).sum().item() for _, l in batches)
        expected = {}
        with torch.no_grad():
            for i, (inputs, labels) in enumerate(batches):
                expected[f"logits.{i}"] = model(**inputs).logits[0]
                pos, delta = model.model.get_rope_index(inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"])
                expected[f"positions.{i}"] = pos[:, 0].float()
                expected[f"pixels.{i}"] = pixels[i]
                cut = SAMPLES[i][2]
                prompt = {**inputs, "input_ids": inputs["input_ids"][:, :cut], "attention_mask": inputs["attention_mask"][:, :cut], "mm_token_type_ids": inputs["mm_token_type_ids"][:, :cut]}
                expected[f"greedy.{i}"] = model.generate(**prompt, max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0)[0, cut:].float()
            expected["loss"] = torch.stack(losses(model, batches, total)).sum().reshape(1)
        model.save_pretrained(folder, max_shard_size="150KB" if name == "tiny" else "1GB")
        tuned = lora(build(name))
        sum(losses(tuned, batches, total)).backward()
        for key, p in tuned.named_parameters():
            if p.grad is not None: expected["grad." + key] = p.grad.clone()
        with torch.no_grad():
            for i, (inputs, _) in enumerate(batches): expected[f"lora_logits.{i}"] = tuned(**inputs).logits[0]
            for i, (inputs, _) in enumerate(batches): expected[f"rslora_logits.{i}"] = lora(build(name), True)(**inputs).logits[0]
        tuned.save_pretrained(os.path.join(folder, "adapter"))
        expected["lora_curve"] = train(lora(build(name)), batches, total, 20, 1e-3, 0.01)
        full = build(name)
        expected["full_curve"] = train(full, batches, total, 5, 1e-3, 0.0)
        save_file({k: v.contiguous().float() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
        for extra in ("README.md",):
            path = os.path.join(folder, "adapter", extra)
            if os.path.exists(path): os.remove(path)
    meta = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__,
                samples=[dict(ids=i, grids=g, labelStart=f) for i, g, f in SAMPLES])
    json.dump(meta, open(os.path.join(root, "meta.json"), "w"), indent=2)

main(sys.argv[1])
