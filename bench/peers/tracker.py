"""The peer of bench/tracker.ts: the same log calls to SwanLab's own SDK, offline.

  python bench/peers/tracker.py          # needs: pip install swanlab

20,000 calls of 5 and of 20 metrics, 50 every 5 ms. call_us is the median time of a call on the calling thread;
process_cpu_us all CPU time of the process more than that of a loop which only waits, a call (the SDK writes on threads
of its own, which share the interpreter's lock with the training). The last line printed is one JSON object."""
import json, math, os, resource, shutil, sys, tempfile, time

import numpy as np
import swanlab

CALLS = 20_000
home = tempfile.mkdtemp(prefix="swanlab-bench-")


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def loop(call):
    before, times = cpu(), []
    for step in range(1, CALLS + 1):
        start = time.perf_counter()
        call(step)
        times.append(time.perf_counter() - start)
        if step % 50 == 0:
            time.sleep(0.005)
    return cpu() - before, times


def measure(count):
    swanlab.init(project="bench", mode="offline", logdir=home, settings=swanlab.Settings())
    values = {f"train/metric_{i}": float(np.float32(math.sin(0.01 + i))) for i in range(count)}
    for step in range(2000):
        swanlab.log(values, step=step)
    time.sleep(2)
    idle, _ = loop(lambda step: None)
    began = time.perf_counter()
    busy, times = loop(lambda step: swanlab.log(values, step=2000 + step))
    before = cpu()
    swanlab.finish()
    busy += cpu() - before  # what had not been written yet
    times.sort()
    at = lambda share: round(1e6 * times[int(share * len(times))], 2)
    return dict(metrics=count, call_us=at(0.5), p99_us=at(0.99), max_us=at(0.9999),
                process_cpu_us=round(1e6 * (busy - idle) / CALLS, 2))


try:
    print(json.dumps(dict(peer="swanlab", five=measure(5), twenty=measure(20), swanlab=swanlab.__version__,
                          python=sys.version.split()[0])))
finally:
    shutil.rmtree(home, ignore_errors=True)
