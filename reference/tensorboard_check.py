"""Does TensorBoard read from our event files what texlens recorded?

  npm run build && python reference/tensorboard_check.py             # needs: pip install tensorboard pillow
  python reference/tensorboard_check.py --golden test/golden/tracker # writes the fixture of the byte format instead

TensorBoard's own EventAccumulator must give every scalar (as float32), text and image; finished, killed by `kill -9`, and
with the file cut short. The outcome seen, with versions, stands in reference/README.md."""
import argparse, json, math, shutil, sys, tempfile
from pathlib import Path

from swanlab_check import lines, make_images, write_run


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def same(a, b):
    import numpy as np
    return np.float32(a) == np.float32(b) or (math.isnan(float(a)) and math.isnan(float(b)))


def check_scalars(folder, accumulator):
    recorded = {}
    for line in lines(folder / "scalars.jsonl"):
        for key, value in line["values"].items():
            recorded.setdefault(key, []).append((line["step"], line["time"] / 1000, value))
    found = {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}
    assert set(found) == set(recorded), (set(found), set(recorded))
    for key, points in recorded.items():
        assert [p.step for p in found[key]] == [step for step, _, _ in points], key
        assert all(same(p.value, value) and p.wall_time == time for p, (_, time, value) in zip(found[key], points)), key
    return sum(map(len, found.values()))


def check():
    from tensorboard import version
    home = Path(tempfile.mkdtemp(prefix="tensorboard-check-"))
    try:
        images = make_images(home / "images")
        for mode in ["finished", "killed"]:
            folder = home / mode
            write_run(folder, images, mode, "tensorboard")
            scalars = read(folder / "tensorboard")
            count = check_scalars(folder, scalars)
            evaluations = [event for event in lines(folder / "events.jsonl") if event["type"] == "evaluation"]
            texts = scalars.Tensors("eval/predictions/text_summary")
            assert [t.step for t in texts] == [e["step"] for e in evaluations]
            for text, evaluation in zip(texts, evaluations):
                table = text.tensor_proto.string_val[0].decode()
                assert all(row["truth"] in table and row["prediction"] in table for row in evaluation["rows"])
            assert scalars.PluginTagToContent("text").keys() == {"config/text_summary", "eval/predictions/text_summary"}
            pictures = read(folder / "tensorboard" / "images")
            for i in range(len(images)):
                shown = pictures.Images(f"eval/predictions/{i}")
                assert [(p.step, p.width, p.height) for p in shown] == [(e["step"], 40 + i, 20) for e in evaluations]
                for picture, evaluation in zip(shown, evaluations):
                    if not evaluation["rows"][i]["image"].endswith(".webp"):
                        file = folder / "media" / evaluation["rows"][i]["image"]
                        assert picture.encoded_image_string == file.read_bytes()
            print(f"{mode}: {count} scalars, {len(texts)} tables, {len(evaluations) * len(images)} images, as recorded")
        [file] = (home / "finished" / "tensorboard").glob("events.*")
        data, counts = file.read_bytes(), []
        for cut in [len(data) // 3, len(data) // 2, len(data) - 5]:
            (home / "cut").mkdir()
            (home / "cut" / file.name).write_bytes(data[:cut])
            counts.append(len(read(home / "cut").Scalars("train/loss")))
            shutil.rmtree(home / "cut")
        assert counts == sorted(counts) and 0 < counts[0] < 400, counts
        print(f"cut at a third, a half, and 5 bytes before the end: {counts} of 400 losses")
        print(json.dumps({"tensorboard": version.VERSION, "python": sys.version.split()[0], "passed": True}))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def golden(folder):
    """tensorboard.json: events; tensorboard.tfevents: the same as TensorBoard's own protobuf and record writer write them."""
    import base64
    from tensorboard import version
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [{"wallTime": 1795546062.656, "fileVersion": "brain.Event:2"}]
    for step, value in enumerate([0.0, -0.5, 0.1, 1e-30, 3e38, 16777217.0]):
        events.append({"wallTime": 1795546062.656 + step / 7, "step": step, "summary": {"value": [
            {"tag": "train/loss", "simpleValue": value}, {"tag": "größe", "simpleValue": -value}]}})
    events.append({"wallTime": 1.5, "step": 2**40, "text": {"key": "eval/predictions", "text": "| a | ж |\n"}})
    events.append({"wallTime": 2.5, "step": 3, "summary": {"value": [{"tag": "eval/predictions/0", "image": {
        "height": 20, "width": 300, "colorspace": 3, "encodedImageString": base64.b64encode(bytes(range(256))).decode()}}]}})
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "tensorboard.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            message = event_pb2.Event(wall_time=event["wallTime"], step=event.get("step", 0))
            if "fileVersion" in event:
                message.file_version = event["fileVersion"]
            if "text" in event:
                value = message.summary.value.add(tag=event["text"]["key"] + "/text_summary")
                value.tensor.dtype = 7
                value.tensor.tensor_shape.SetInParent()
                value.tensor.string_val.append(event["text"]["text"].encode())
                value.metadata.plugin_data.plugin_name = "text"
            for entry in event.get("summary", {}).get("value", []):
                value = message.summary.value.add(tag=entry["tag"])
                if "simpleValue" in entry:
                    value.simple_value = entry["simpleValue"]
                else:
                    image = entry["image"]
                    value.image.CopyFrom(summary_pb2.Summary.Image(
                        height=image["height"], width=image["width"], colorspace=image["colorspace"],
                        encoded_image_string=base64.b64decode(image["encodedImageString"])))
            writer.write(message.SerializeToString())
        writer.flush()
    (folder / "tensorboard.json").write_text(json.dumps(
        {"made_by": f"tensorboard {version.VERSION}", "events": events}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, help="folder to write the fixture to")
    args = parser.parse_args()
    golden(args.golden) if args.golden else check()
