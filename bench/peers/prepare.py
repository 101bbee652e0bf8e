"""The peer of bench/prepare.ts: the loop that tutorials prepare LaTeX_OCR with, on the same Parquet file.

  python bench/peers/prepare.py FILE.parquet OUT_FOLDER --rows 5000 --format jpg

Rows are read by pyarrow batch by batch (kinder to memory than a whole pandas frame), images decoded and saved by Pillow,
paths and labels listed by pandas as CSV, and read back into the conversation JSON. Needs pandas, pyarrow, pillow.
The last line printed is one JSON object."""
import argparse, io, json, os, resource, time

import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("parquet")
parser.add_argument("out")
parser.add_argument("--rows", type=int, default=None)
parser.add_argument("--format", choices=["jpg", "png"], default="jpg", help="the tutorial saves JPEG")
args = parser.parse_args()

started = time.perf_counter()
os.makedirs(os.path.join(args.out, "images"), exist_ok=True)
paths, texts = [], []
for batch in pq.ParquetFile(args.parquet).iter_batches(batch_size=1000):
    if args.rows is not None and len(paths) == args.rows:
        break
    for row in batch.to_pylist():
        if args.rows is not None and len(paths) == args.rows:
            break
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        path = os.path.abspath(os.path.join(args.out, "images", f"{len(paths)}.{args.format}"))
        image.save(path)
        paths.append(path)
        texts.append(row["text"])
pd.DataFrame({"image_path": paths, "text": texts}).to_csv(os.path.join(args.out, "data.csv"), index=False)

frame = pd.read_csv(os.path.join(args.out, "data.csv"))
conversations = [
    {
        "id": f"identity_{i + 1}",
        "conversations": [{"role": "user", "value": path}, {"role": "assistant", "value": text}],
    }
    for i, (path, text) in enumerate(zip(frame["image_path"], frame["text"]))
]
for name, part in [("train", conversations[:-4]), ("val", conversations[-4:])]:
    with open(os.path.join(args.out, f"{name}.json"), "w", encoding="utf-8") as file:
        json.dump(part, file, ensure_ascii=False, indent=2)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": len(paths), "seconds": round(seconds, 2), "rowsPerSecond": round(len(paths) / seconds, 1), "peakMiB": round(peak)}))
