"""The matching of box matches by SciPy and scikit-image: fills in "cost", "least" and "most" of every pair of
test/golden/eval/box_match.json. Boxes there are [token, left, bottom, right, top], from texlens's own layout.

    pip install scipy==1.17.1 scikit-image==0.26.0
    python reference/box_match.py test/golden/eval/box_match.json

Costs, matching and RANSAC as CDM states them (UniMERNet, cdm/): linear_sum_assignment, then ransac with 2 samples, 50 trials
and 20 pixels where an em has 33.2, in five rounds. Each pair is run with ten seeds: least and most are their F1.
"""

import json
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.measure import ransac

UNIT = 12 / 72.27 * 200 / 1000  # pixels a thousandth em: 12 pt at 200 dpi
PAD = 8 / UNIT
SYNONYMS = {char: group[0] for group in [".⋅·˙", "'′", "*∗", "T⊤", "/∕", "<⟨", ">⟩", "σς", "κϰ", "∅⌀"] for char in group}


class Transform:
    """A shift and a scale, the scale about the middle of all points it is asked of."""

    def estimate(self, src, dst):
        a, b = src.mean(axis=0), dst.mean(axis=0)
        self.shift = b - a
        spread = lambda points, middle: np.linalg.norm(points - middle, axis=1).mean()
        self.scale = spread(dst, b) / (spread(src, a) + 1e-10)
        return True

    def residuals(self, src, dst):
        middle = src.mean(axis=0)
        return np.linalg.norm(self.scale * (src - middle) + middle + self.shift - dst, axis=1)


def arrays(boxes):
    sides = np.array([[left, -top, right, -bottom] for _, left, bottom, right, top in boxes])
    low, high = sides[:, :2].min(axis=0) - PAD, sides[:, 2:].max(axis=0) + PAD
    shares = (sides - np.tile(low, 2)) / np.tile(high - low, 2)
    centres = (sides[:, :2] + sides[:, 2:]) / 2 * UNIT
    return shares, centres, np.arange(len(boxes)) / len(boxes)


def f1(a, b, seed):
    (p, pc, po), (q, qc, qo) = arrays(a), arrays(b)
    looks = lambda token: SYNONYMS.get(token, token)
    token = np.array([[0 if s == t else 0.05 if looks(s) == looks(t) else 1 for t, *_ in b] for s, *_ in a])
    cost = token + 0.05 * np.abs(p[:, None] - q[None]).mean(axis=2) + 0.15 * np.abs(po[:, None] - qo[None])
    rows, columns = linear_sum_assignment(cost)
    src, dst = pc[rows], qc[columns]
    kept = np.full(len(rows), len(rows) <= 2)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        left = np.flatnonzero(~kept)
        if len(left) <= 2:
            break
        _, inside = ransac((src[left], dst[left]), Transform, min_samples=2, residual_threshold=20, max_trials=50, rng=rng)
        if inside is None or not inside.any():
            break
        kept[left[inside]] = True
    good = sum(bool(k) and token[i, j] < 1 for k, i, j in zip(kept, rows, columns))
    return round(2 * good / (len(a) + len(b)), 3), float(cost[rows, columns].sum())


def main():
    with open(sys.argv[1]) as file:
        pairs = json.load(file)
    for pair in pairs:
        runs = [f1(pair["a"], pair["b"], seed) for seed in range(10)]
        scores = [score for score, _ in runs]
        pair.update(cost=runs[0][1], least=min(scores), most=max(scores))
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs) + "\n]\n")


main()
