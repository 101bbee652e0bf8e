"""Does the real `swanlab sync` take what texlens writes, and does the cloud exporter send the same?

  npm run build && python reference/swanlab_check.py            # needs: pip install swanlab pillow
  python reference/swanlab_check.py --golden test/golden/tracker # writes the fixture of the byte format instead

It records runs with texlens (dist/), uploads them with `swanlab sync` to a stand-in server on this machine
(swanlab_server.py; the real cloud was never tried) and compares every scalar, image, log line, system column,
configuration value and run state with the run's own store: after a finish, after `kill -9`, after a failure, and with
a file cut short at many lengths. The outcomes seen, with versions, stand in reference/README.md."""
import argparse, gzip, hashlib, json, math, os, random, shutil, signal, subprocess, sys, tempfile
from pathlib import Path

from swanlab_server import KEY, USER, Server

ROOT = Path(__file__).resolve().parent.parent

WRITER = r"""
import { createRun } from '%(index)s';
const [folder, images, mode, exporter] = process.argv.slice(2);
const run = await createRun({
  folder, name: 'a/run: ünïcode', project: 'formulas', tags: ['a', 'b c'], notes: 'notes\nof two lines',
  config: { lr: 1e-7, big: 1e21, text: '1e-7', yes: 'yes', nested: { list: [1, 2.5, null, true], 'ключ': 'значение: "x" \u0085' } },
  exporters: [exporter], systemEverySeconds: 0.5,
});
for (let step = 1; step <= 400; step++) {
  run.log({ 'train/loss': 3 / step + 1 / 3, 'train/grad_norm': step === 7 ? NaN : step === 8 ? Infinity : step * 1e-9, plain: -step }, step);
  if (step %% 100 === 0) {
    await run.evaluation({ step, metrics: { loss: 1 / step, exact_match: 0.5 }, rows: JSON.parse(images).map((image, i) => ({
      image, truth: `\\frac{${i}}{${step}}`, prediction: 'x^{' + step + '}', metrics: { edit_distance: 0.25 } })) });
    console.log(`step ${step} – fünf`);
    console.error('a warning');
    await new Promise((next) => setTimeout(next, 300));
  }
}
if (mode === 'killed') {
  await run.flush();
  await new Promise((next) => setTimeout(next, 1200));
  process.kill(process.pid, 'SIGKILL');
}
await run.finish(mode === 'failed' ? { error: new Error('the loss is NaN') } : { summary: { train_loss: 0.75, output: 'x' } });
"""


def write_run(folder, images, mode, exporter="swanlab", env=None):
    script = folder.parent / f"{folder.name}.mjs"
    script.write_text(WRITER % {"index": (ROOT / "dist/tracker/index.js").as_uri()})
    done = subprocess.run(
        ["node", script, folder, json.dumps([str(i) for i in images]), mode, exporter],
        capture_output=True, text=True, env={**os.environ, **(env or {})},
    )
    assert done.returncode == (-signal.SIGKILL if mode == "killed" else 0), done.stderr
    return done.stderr


def lines(file):
    return [json.loads(line) for line in file.read_text("utf8").splitlines()]


def expected(folder):
    """What the store says, as the server should hold it."""
    scalars = {}
    for line in lines(folder / "scalars.jsonl"):
        for key, value in line["values"].items():
            number = float(value) if isinstance(value, str) else value
            scalars[(key, line["step"])] = number if math.isfinite(number) else "nan"
        if any(key.startswith("train/") for key in line["values"]):
            scalars[("train/global_step", line["step"])] = line["step"]
    for i, line in enumerate(lines(folder / "system.jsonl")):
        for key, value in line["values"].items():
            scalars[(f"__swanlab__.{key}", i)] = value
    return scalars, [line["line"] for line in lines(folder / "console.jsonl")]


def check_server(server, run_id, folder, mode):
    record = json.loads((folder / "run.json").read_text())
    run = server.experiments[run_id]
    scalars, log = expected(folder)
    if mode == "finished":
        scalars[("single_value/train_loss", 400)] = 0.75
    got = {(p["key"], p["index"]): p["data"] for p in run["scalar"]}
    assert len(got) == len(run["scalar"]), "a point was sent twice"
    assert got == scalars, (set(got) ^ set(scalars)) or [k for k in got if got[k] != scalars[k]]
    messages = [line["message"] for line in sorted(run["log"], key=lambda line: line["epoch"])]
    assert messages[: len(log)] == log, (messages, log)
    # What sync adds of itself: the error, or (up to 0.9) that there was no end.
    assert all(m.startswith(("the loss is NaN", "Run process was interrupted")) for m in messages[len(log):]), messages
    start = run["start"]
    assert start["name"] == record["name"] and start["description"] == record["notes"]
    assert start["labels"] == [{"name": tag} for tag in record["tags"]]
    config = {key: entry["value"] for key, entry in run["profile"]["config"].items()}
    assert config == record["config"], config
    assert run["profile"]["metadata"]["runtime"]["hostname"] == record["environment"]["host"]
    system = {key for key, column in run["columns"].items() if "SYSTEM" in (column["type"], column.get("class"))}
    assert system == {key for key, _ in scalars if key.startswith("__swanlab__.")}, system
    assert run["columns"]["train/loss"]["type"] == "FLOAT" and run["columns"]["train/loss"]["sectionName"] == "train"
    evaluations = [event for event in lines(folder / "events.jsonl") if event["type"] == "evaluation"]
    assert [m["index"] for m in run["media"]] == [event["step"] for event in evaluations]
    for media, event in zip(run["media"], evaluations):
        assert media["key"] == "eval/predictions"
        for path, more, row in zip(media["data"], media["more"], event["rows"], strict=True):
            assert more["caption"] == f"prediction: {row['prediction']}\ntruth: {row['truth']}", (more, row)
            sent = server.files[f"{run_id}/{path}"]
            if row["image"].endswith((".png", ".jpg")):
                assert hashlib.sha256(sent).hexdigest().startswith(row["image"].split(".")[0])
            else:
                from PIL import Image, ImageChops
                import io
                pair = [Image.open(f).convert("RGB") for f in (io.BytesIO(sent), folder / "media" / row["image"])]
                assert ImageChops.difference(*pair).getbbox() is None
    state = {"finished": "FINISHED", "killed": "CRASHED", "failed": "CRASHED"}[mode]
    assert [s["state"] for s in run["states"]] == [state], run["states"]
    assert not server.unknown, server.unknown
    return len(got), len(messages), sum(len(m["data"]) for m in run["media"])


def sync(server, directory, home):
    before = set(server.experiments)
    env = {**os.environ, "HOME": str(home), "SWANLAB_API_KEY": KEY, "SWANLAB_API_HOST": server.address,
           "SWANLAB_WEB_HOST": server.address}
    done = subprocess.run(
        [Path(sys.executable).parent / "swanlab", "sync", directory], capture_output=True, text=True, env=env, timeout=120
    )
    new = set(server.experiments) - before
    return done, (new.pop() if new else None)


def make_images(folder):
    from PIL import Image
    folder.mkdir()
    files = []
    for i, kind in enumerate(["png", "jpg", "tif", "webp"]):
        files.append(folder / f"image {i} #é.{kind}")
        options = {"lossless": True} if kind == "webp" else {}
        Image.new("RGB", (40 + i, 20), (10 * i, 200, 30)).save(files[-1], **options)
    return files


def check():
    import swanlab
    home = Path(tempfile.mkdtemp(prefix="swanlab-check-"))
    try:
        images = make_images(home / "images")
        for mode in ["finished", "killed", "failed"]:
            folder = home / mode
            write_run(folder, images, mode)
            [directory] = [d for d in (folder / "swanlog").iterdir() if d.is_dir()]
            server = Server()
            done, run_id = sync(server, directory, home)
            assert run_id and done.returncode == 0, (done.stdout, done.stderr)
            counts = check_server(server, run_id, folder, mode)
            print(f"swanlab sync, {mode}: %d scalars, %d log lines, %d images, all as recorded" % counts)
            server.shutdown()

        # The exporter that speaks to the server itself, through a server that is busy at first.
        for mode in ["finished", "failed"]:
            server = Server()
            server.failures = 2 if mode == "finished" else 0
            folder = home / f"cloud-{mode}"
            said = write_run(folder, images, mode, "swanlab-cloud",
                             {"SWANLAB_API_KEY": KEY, "SWANLAB_API_HOST": server.address, "HOME": str(home)})
            run_id = json.loads((folder / "run.json").read_text())["id"]
            counts = check_server(server, run_id, folder, mode)
            assert f"{server.address}/@{USER}/formulas/runs/{run_id}" in said, said
            print(f"swanlab-cloud, {mode}: %d scalars, %d log lines, %d images, all as recorded" % counts)
            server.shutdown()

        # Cut anywhere, a file uploads what is whole.
        [directory] = [d for d in (home / "finished" / "swanlog").iterdir() if d.is_dir()]
        [file] = directory.glob("run-*.swanlab")
        data = file.read_bytes()
        scalars, _ = expected(home / "finished")
        random.seed(1)
        cuts = sorted(random.sample(range(2000, len(data)), 6))
        counts = []
        for cut in cuts:
            file.write_bytes(data[:cut])
            server = Server()
            done, run_id = sync(server, directory, home)
            run = server.experiments[run_id]
            assert all(scalars[(p["key"], p["index"])] == p["data"] for p in run["scalar"])
            assert [s["state"] for s in run["states"]] == ["CRASHED"]
            counts.append(len(run["scalar"]))
            server.shutdown()
        assert counts == sorted(counts), counts
        print(f"cut at {cuts} of {len(data)} bytes: {counts} scalars")
        print(json.dumps({"swanlab": swanlab.__version__, "python": sys.version.split()[0], "passed": True}))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def golden(folder):
    """swanlab.json: records; swanlab.swanlab.gz: the same as SwanLab's own protobuf and writer put them to disk."""
    import swanlab
    from google.protobuf import json_format
    from google.protobuf.timestamp_pb2 import Timestamp
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreWriter

    at = Timestamp(seconds=1795546062, nanos=656000000)
    stamp = {"seconds": 1795546062, "nanos": 656000000}
    number = iter(range(1, 10**6))
    records = [
        {"num": -1, "start": {"project": "p", "workspace": "w", "name": "n – ü", "description": "d", "tags": ["a", "b"],
                              "id": "0123456789abcdefghijk", "startedAt": stamp}},
        {"num": -3, "save": {"name": "config", "sourcePath": "/x/files/config.yaml", "type": 1}},
        {"num": next(number), "column": {
            "class": 2, "type": 1, "key": "__swanlab__.cpu.pct", "name": "CPU", "sectionName": "", "sectionType": 4,
            "yRange": {"min": 0, "max": 100}, "chartIndex": "c", "chartName": "CPU (%)", "chartType": 1, "metricName": "CPU"}},
    ]
    for step, value in enumerate([0, -0.5, 1 / 3, 1e-300, 12345678.9]):
        records.append({"num": next(number), "scalar": {
            "key": "train/loss", "step": step, "type": 1, "timestamp": stamp, "value": {"number": value}}})
    records.append({"num": next(number), "media": {
        "key": "eval/predictions", "step": 2**40, "type": 2, "timestamp": stamp, "value": {"items": [
            {"filename": "002-01234567.png", "sha256": "ab" * 32, "size": 12345, "caption": "truth: x²"},
            {"filename": "002-89abcdef.png", "sha256": "cd" * 32, "size": 1, "caption": ""}]}}})
    log = lambda length: {"num": next(number), "log": {
        "line": {"repeat": "ж.", "times": length}, "level": 0, "timestamp": stamp, "epoch": 1}}
    records += [log(1), log(0), log(40000)]
    records.append({"num": -2, "finish": {"state": 2, "error": "the loss is NaN", "finishedAt": stamp}})

    names = {"startedAt": "started_at", "finishedAt": "finished_at", "sourcePath": "source_path", "class": "column_class",
             "sectionName": "section_name", "sectionType": "section_type", "yRange": "y_range", "chartIndex": "chart_index",
             "chartName": "chart_name", "chartType": "chart_type", "metricName": "metric_name"}

    def message(value, column=False):
        if isinstance(value, list):
            return [message(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "repeat" in value:
            return value["repeat"] * value["times"]
        if {"seconds", "nanos"} == set(value):
            return f"2026-11-24T18:47:42.656Z" if value == stamp else None
        out = {}
        for key, item in value.items():
            name = {"type": "column_type", "key": "column_key", "name": "column_name"}.get(key) if column else None
            out[name or names.get(key, key)] = message(item, key == "column")
        return out

    encoded = []
    for record in records:
        record["timestamp"] = stamp
        encoded.append(json_format.ParseDict(message(record), Record()).SerializeToString())
    # Log lines whose frames end at every distance from the end of a block that matters: 0 to 8 bytes of room.
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "swanlab.swanlab"
    target.unlink(missing_ok=True)
    writer = DataStoreWriter()
    writer.open(target)
    for data in encoded:
        writer.write(data)
    block = 32768
    for room in [8, 7, 6, 1, 0]:
        line = next(number)
        for times in range(block):
            record = {"num": line, "timestamp": stamp, "log": {
                "line": {"repeat": "y", "times": times}, "level": 1, "timestamp": stamp, "epoch": 2}}
            data = Record(num=line, timestamp=at, log=dict(line="y" * times, level=1, timestamp=at, epoch=2))
            if writer._index % block + 7 + data.ByteSize() == block - room:
                break
        records.append(record)
        writer.write(data.SerializeToString())
        assert writer._index % block == (block - room) % block
        records.append(records[3])  # the one that meets this end of a block
        writer.write(encoded[3])
    writer.close()
    (folder / "swanlab.swanlab.gz").write_bytes(gzip.compress(target.read_bytes(), mtime=0))
    target.unlink()
    (folder / "swanlab.json").write_text(json.dumps(
        {"made_by": f"swanlab {swanlab.__version__}", "records": records}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, help="folder to write the fixture to")
    args = parser.parse_args()
    golden(args.golden) if args.golden else check()
