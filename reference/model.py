"""Golden values of two small random Qwen2-VL models from transformers and peft (float32, eager attention, CPU).

For each configuration it writes a snapshot as the hub publishes it, a LoRA adapter as peft saves it (and the same one
under the older key names), the expected values in expected.safetensors and what they mean in meta.json.
Run: python reference/model.py test/golden/model
The last step loads what was written back into transformers and peft and compares, so a broken fixture is not written
silently. Every tensor is float32, ids and positions too, so that one reader serves all."""
import json, math, os, shutil, sys
import peft, safetensors, torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

EOS, START, END, IMAGE, VIDEO = 2, 152, 153, 155, 156
MARKERS = dict(image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END)
CONFIGS = {
    # Flat config.json, hub key names, two shards, tied head.
    "tiny": dict(
        text=dict(vocab_size=200, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_window_layers=2),
        section=[2, 3, 3], vision=dict(depth=2, embed_dim=32, num_heads=2, mlp_ratio=4), tied=True, flat=True),
    # Head and rope dimensions of the 2B model; nested config.json, newer key names, one file, a head of its own.
    "real_dims": dict(
        text=dict(vocab_size=200, hidden_size=256, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
                  num_key_value_heads=1, max_window_layers=1),
        section=[16, 24, 24], vision=dict(depth=1, embed_dim=160, num_heads=2, mlp_ratio=4), tied=False, flat=False),
}
SAMPLES = [  # ids, grids, index of the first supervised token
    ([5, START] + [IMAGE] * 6 + [END, 7, 8, 30, 31, 32, EOS], [(1, 4, 6)], 11),
    ([9, START] + [IMAGE] * 2 + [END, 7, START] + [IMAGE] * 4 + [END, 40, 41, 42, 43, EOS], [(1, 2, 4), (1, 4, 4)], 12),
    ([6, 11, START] + [IMAGE] * 2 + [END, 12, 50, 51, EOS], [(1, 2, 4)], 7),
]
STEP = [0, 1]  # the samples of an optimiser step, each a micro-batch of its own
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LORA = dict(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
LR, NEW_TOKENS = 1e-3, 16
CURVES = {  # optimiser steps, weight decay, whether the LoRA (else every parameter) is trained
    "lora_curve": (20, 0.01, True), "lora_curve_no_decay": (20, 0.0, True),
    "full_curve": (5, 0.0, False), "full_curve_decay": (5, 0.01, False),
}


def text_fields(spec):
    rope = dict(rope_theta=1e6, rope_scaling={"type": "mrope", "mrope_section": spec["section"]})
    return dict(spec["text"], rms_norm_eps=1e-6, bos_token_id=1, eos_token_id=EOS, **rope)


def build(name):
    spec = CONFIGS[name]
    torch.manual_seed(0)
    config = Qwen2VLConfig(text_config=dict(text_fields(spec), tie_word_embeddings=spec["tied"]),
                           vision_config=dict(spec["vision"], hidden_size=spec["text"]["hidden_size"]),
                           tie_word_embeddings=spec["tied"], **MARKERS)
    config._attn_implementation = "eager"
    model = Qwen2VLForConditionalGeneration(config).eval()
    for key, p in model.named_parameters():
        p.data.normal_(0, 0.1)
        if key.endswith("weight") and ("norm" in key or "ln_q" in key):
            p.data.add_(1.0)
    return model


def with_lora(model, rslora=False):
    """peft's own A; B, which peft leaves zero, is filled so that A has gradients."""
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(use_rslora=rslora, **LORA)).eval()
    for key, p in model.named_parameters():
        if "lora_B" in key:
            p.data.normal_(0, 0.05)
    return model


def inputs_of(sample, pixels):
    ids, grids, first = sample
    ids = torch.tensor([ids])
    labels = ids.clone()
    labels[:, :first] = -100
    return dict(input_ids=ids, pixel_values=pixels, image_grid_thw=torch.tensor(grids),
                attention_mask=torch.ones_like(ids), mm_token_type_ids=(ids == IMAGE).int()), labels


def normalised(levels):
    """Patches of random bytes as the processor gives them: each channel normalised, a still image in both frames."""
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
    return ((levels.reshape(-1, 3, 1, 196) / 255 - mean) / std).expand(-1, 3, 2, 196).reshape(-1, 1176)


def step_losses(model, batches):
    """Each micro-batch's share of the loss: the mean over all label tokens of the step."""
    total = sum(int((labels[:, 1:] != -100).sum()) for _, labels in batches)
    for inputs, labels in batches:
        logits = model(**inputs).logits[0, :-1]
        yield torch.nn.functional.cross_entropy(logits, labels[0, 1:], ignore_index=-100, reduction="sum") / total


def train(model, batches, steps, decay):
    """Rows (loss, gradient norm before clipping), one a step; the schedule decays linearly and has no warm-up."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(params, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    schedule = transformers.get_linear_schedule_with_warmup(optimiser, 0, steps)
    rows = []
    for k in range(steps):
        assert math.isclose(optimiser.param_groups[0]["lr"], LR * (steps - k) / steps)
        optimiser.zero_grad()
        loss = 0.0
        for part in step_losses(model, batches):
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
        schedule.step()
        rows.append((loss, norm.item()))
    return torch.tensor(rows)


def forward(model, batches, prefix, expected):
    """Logits and loss of every sample alone; a packed batch must give the same."""
    for i, (inputs, labels) in enumerate(batches):
        out = model(**inputs, labels=labels)
        ours = next(step_losses(model, [(inputs, labels)]))
        torch.testing.assert_close(out.loss, ours)  # transformers' loss is the mean over the shifted labels
        expected[f"{prefix}logits.{i}"], expected[f"{prefix}loss.{i}"] = out.logits[0], out.loss.reshape(1)


def greedy(model, batches, prefix, expected):
    """Ids that follow the prompt, the end token ignored. Returns the smallest lead of a best logit over the second."""
    lead = math.inf
    for i, (inputs, _) in enumerate(batches):
        cut = SAMPLES[i][2]
        prompt = {k: v[:, :cut] if v.shape == inputs["input_ids"].shape else v for k, v in inputs.items()}
        out = model.generate(**prompt, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0,
                             return_dict_in_generate=True, output_logits=True)
        expected[f"{prefix}greedy.{i}"] = out.sequences[0, cut:]
        best = torch.stack(out.logits)[:, 0].topk(2).values
        lead = min(lead, (best[:, 0] - best[:, 1]).min().item())
    return lead


def activations(model, batches, expected):
    """Outputs of every module on the way, caught by hooks."""
    caught = {}
    def catch(key):
        return lambda _module, _args, out: caught.__setitem__(key, (out[0] if isinstance(out, tuple) else out).detach())
    visual, text = model.model.visual, model.model.language_model
    places = [("patch_embed", visual.patch_embed), ("vision", visual.merger), ("norm", text.norm)]
    places += [(f"vision_block.{l}", block) for l, block in enumerate(visual.blocks)]
    places += [(f"hidden.{l}", layer) for l, layer in enumerate(text.layers)]
    hooks = [module.register_forward_hook(catch(key)) for key, module in places]
    deltas = []
    for i, (inputs, labels) in enumerate(batches):
        model(**inputs)
        for key, value in caught.items():
            expected[f"{key}.{i}"] = value.reshape(-1, value.shape[-1])
        positions, delta = model.model.get_rope_index(inputs["input_ids"], image_grid_thw=inputs["image_grid_thw"],
                                                      mm_token_type_ids=inputs["mm_token_type_ids"])
        deltas.append(int(delta))
        expected[f"ids.{i}"], expected[f"labels.{i}"] = inputs["input_ids"][0], labels[0]
        expected[f"grids.{i}"] = inputs["image_grid_thw"]
        expected[f"positions.{i}"] = positions[:, 0]
    for hook in hooks:
        hook.remove()
    return deltas


def write_json(path, value):
    with open(path, "w") as f:
        f.write(json.dumps(value, indent=2) + "\n")


def hub_name(key):
    return key.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def save_tensors(path, tensors):
    tensors = {k: v.detach().float().contiguous().clone() for k, v in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return sum(t.numel() * 4 for t in tensors.values())


def write_snapshot(folder, model, spec):
    state = {k: v for k, v in model.state_dict().items() if not (spec["tied"] and k == "lm_head.weight")}
    if spec["flat"]:  # as published on the hub in 2024
        state = {hub_name(k): v for k, v in state.items()}
        keys = list(state)
        weight_map, total = {}, 0
        for part, names in enumerate([keys[:len(keys) // 2], keys[len(keys) // 2:]], 1):
            file = f"model-{part:05}-of-00002.safetensors"
            total += save_tensors(os.path.join(folder, file), {k: state[k] for k in names})
            weight_map |= {k: file for k in names}
        write_json(os.path.join(folder, "model.safetensors.index.json"),
                   dict(metadata=dict(total_size=total), weight_map=dict(sorted(weight_map.items()))))
        vision = dict(spec["vision"], in_chans=3, hidden_size=spec["text"]["hidden_size"], patch_size=14,
                      spatial_merge_size=2, spatial_patch_size=14, temporal_patch_size=2)
        write_json(os.path.join(folder, "config.json"), dict(
            architectures=["Qwen2VLForConditionalGeneration"], attention_dropout=0.0, **MARKERS, hidden_act="silu",
            initializer_range=0.02, max_position_embeddings=32768, model_type="qwen2_vl", sliding_window=32768,
            tie_word_embeddings=spec["tied"], torch_dtype="float32", transformers_version="4.41.2", use_cache=True,
            use_sliding_window=False, vision_config=vision, **text_fields(spec)))
    else:  # as transformers 4.52 and later name things
        save_tensors(os.path.join(folder, "model.safetensors"), state)
        model.config.architectures = ["Qwen2VLForConditionalGeneration"]
        model.config.save_pretrained(folder)
    write_json(os.path.join(folder, "generation_config.json"), dict(
        bos_token_id=1, pad_token_id=0, do_sample=True, eos_token_id=[EOS, 1], repetition_penalty=1.0,
        temperature=0.01, top_p=0.001, top_k=1, transformers_version="4.37.0"))
    write_json(os.path.join(folder, "preprocessor_config.json"), dict(
        min_pixels=3136, max_pixels=12845056, patch_size=14, temporal_patch_size=2, merge_size=2,
        image_mean=MEAN, image_std=STD,
        image_processor_type="Qwen2VLImageProcessor", processor_class="Qwen2VLProcessor"))


def write_adapters(folder, model):
    """adapter/ is peft's own but for its model card; adapter_hub_keys/ has the names of transformers before 4.52."""
    new, old = (os.path.join(folder, n) for n in ("adapter", "adapter_hub_keys"))
    model.save_pretrained(new)
    os.remove(os.path.join(new, "README.md"))
    config = os.path.join(new, "adapter_config.json")
    with open(config) as f:
        settings = json.load(f)
    settings["target_modules"].sort()  # a set: its order changes from run to run
    with open(config, "w") as f:
        json.dump(settings, f, indent=2, sort_keys=True)
    shutil.copytree(new, old)
    weights = load_file(os.path.join(new, "adapter_model.safetensors"))
    save_tensors(os.path.join(old, "adapter_model.safetensors"), {hub_name(k): v for k, v in weights.items()})


def check(folder, batches, expected):
    """What was written gives the expected logits when transformers and peft read it."""
    model = Qwen2VLForConditionalGeneration.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    logits = [model(**inputs).logits[0] for inputs, _ in batches]
    model = PeftModel.from_pretrained(model, os.path.join(folder, "adapter")).eval()
    for i, (inputs, _) in enumerate(batches):
        torch.testing.assert_close(logits[i], expected[f"logits.{i}"])
        torch.testing.assert_close(model(**inputs).logits[0], expected[f"lora_logits.{i}"])


def make(root, name):
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model, expected = build(name), {}
    g = torch.Generator().manual_seed(2)
    levels = [torch.randint(256, (sum(t * h * w for t, h, w in grids), 588), generator=g) for _, grids, _ in SAMPLES]
    expected |= {f"bytes.{i}": own.float() for i, own in enumerate(levels)}
    pixels = [normalised(own) for own in levels]
    batches = [inputs_of(s, p) for s, p in zip(SAMPLES, pixels)]
    step = [batches[i] for i in STEP]
    leads = {}
    with torch.no_grad():
        deltas = activations(model, batches, expected)
        forward(model, batches, "", expected)
        expected["loss"] = sum(step_losses(model, step)).reshape(1)
        leads["greedy"] = greedy(model, batches, "", expected)
        write_snapshot(folder, model, CONFIGS[name])
    tuned = with_lora(model)
    sum(step_losses(tuned, step)).backward()
    expected |= {"grad." + key: p.grad.clone() for key, p in tuned.named_parameters() if p.grad is not None}
    with torch.no_grad():
        forward(tuned, batches, "lora_", expected)
        leads["lora_greedy"] = greedy(tuned, batches, "lora_", expected)
        write_adapters(folder, tuned)
        forward(with_lora(build(name), rslora=True), batches, "rslora_", expected)
        check(folder, batches, expected)
    for key, (steps, decay, lora) in CURVES.items():
        fresh = build(name)
        expected[key] = train(with_lora(fresh) if lora else fresh, step, steps, decay)
    save_tensors(os.path.join(folder, "expected.safetensors"), expected)
    write_json(os.path.join(folder, "meta.json"), dict(
        samples=[dict(ids=i, grids=g, labelStart=f, ropeDelta=d) for (i, g, f), d in zip(SAMPLES, deltas)], step=STEP,
        lora=LORA, learningRate=LR, clip=1.0, betas=[0.9, 0.999], eps=1e-8, newTokens=NEW_TOKENS,
        curves={k: dict(steps=s, weightDecay=d, trained="lora" if l else "all") for k, (s, d, l) in CURVES.items()},
        smallestLead=leads, tensors={k: list(v.shape) for k, v in expected.items()}))


def main(root):
    torch.set_num_threads(1)  # sums in one order
    for name in CONFIGS:
        make(root, name)
    write_json(os.path.join(root, "meta.json"), dict(
        torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__,
        safetensors=safetensors.__version__, python=sys.version.split()[0],
        samples=[dict(ids=SAMPLES[i][0], grids=SAMPLES[i][1], labelStart=SAMPLES[i][2]) for i in STEP]))
    for place, _, files in os.walk(root):
        for file in files:
            os.chmod(os.path.join(place, file), 0o644)  # safetensors writes 0600


main(sys.argv[1])
