"""Golden scores for src/eval: BLEU by sacrebleu and nltk, distances by Levenshtein, UniMERNet's normalisation.

    pip install sacrebleu==2.6.0 nltk==3.10.4 Levenshtein==0.27.5
    python reference/eval_metrics.py test/golden/eval

Writes pairs.json: pairs made here (formulas, and damaged copies of them by a seeded generator), what each normalises to
and is scored, and the corpus scores. The truths are written in canonical tokens, so that whitespace gives im2markup's.
"""
import json
import random
import re
import sys
from pathlib import Path

import Levenshtein
import nltk
import sacrebleu
from nltk.translate.bleu_score import corpus_bleu

FORMULAS = r"""
\frac { a + b } { c - d } = \sqrt { x ^ { 2 } + y ^ { 2 } }
\int _ { 0 } ^ { \infty } e ^ { - x ^ { 2 } } \, \mathrm { d } x = \frac { \sqrt { \pi } } { 2 }
\sum _ { n = 1 } ^ { N } \frac { 1 } { n ^ { 2 } } \leq \frac { \pi ^ { 2 } } { 6 }
\operatorname { s i n } ^ { 2 } \theta + \operatorname { c o s } ^ { 2 } \theta = 1
\left( \begin{array} { c c } a & b \\ c & d \end{array} \right) \left( \begin{array} { c } x \\ y \end{array} \right)
\hat { H } | \psi \rangle = E | \psi \rangle
R _ { \mu \nu } - \frac { 1 } { 2 } R g _ { \mu \nu } = 8 \pi G T _ { \mu \nu }
\operatorname* { l i m } _ { n \rightarrow \infty } \left( 1 + \frac { 1 } { n } \right) ^ { n } = e
x _ { 1 , 2 } = \frac { - b \pm \sqrt { b ^ { 2 } - 4 a c } } { 2 a }
\partial _ { t } \rho + \nabla \cdot ( \rho \mathbf { v } ) = 0 .
f ( x ) = 3 . 1 4 1 5 , \qquad g ( x ) = 2 0 - 7
\mathrm { T r } ( A B ) = \mathrm { T r } ( B A ) , \quad A , B \in \mathcal { M } _ { n }
\alpha \beta \gamma ~ \mathrm { f o r ~ a l l ~ } k
x
""".strip().split("\n")

ODD = [
    ("", ""),
    ("x", ""),
    ("", "x"),
    (r"\text {a b} + \mathrm { d e f }", r"\text{a b} + \mathrm{ d e f }"),
    (r"\operatorname * { m a x } x", r"\operatorname*{max}x"),
    (r"a \ b \\ c", r"a\ b\\c"),
    ("值 x = 1 , 2.5 - 3", "值x=1,2.5-3"),
    ("&lt; a &amp; b &quot;", '< a & b "'),
    ("\U0001d465 + \U0001d466", "\U0001d465 + \U0001d467"),
    ("a   b \t c", "a b c"),
    ("f_1 x_ 2 y ^ 3", "f_1x_2y^3"),
]


def damaged(tokens, rng):
    out = []
    for token in tokens:
        chance = rng.random()
        if chance < 0.05:
            continue
        if chance < 0.10:
            out.append(rng.choice(tokens))
        elif chance < 0.13:
            out += [token, token]
        else:
            out.append(token)
    return out


def unimernet(text):
    """normalize_text of UniMERNet's test.py, by its regular expressions; lines are stripped as they are read."""
    text = text.strip()
    text = re.sub(r"(\\(operatorname|mathrm|text|mathbf)\s?\*? {.*?})", lambda m: m[0].replace(" ", ""), text)
    letter, other = "[a-zA-Z]", r"[\W_^\d]"
    while True:
        news = re.sub(rf"(?!\\ )({other})\s+?({other})", r"\1\2", text)
        news = re.sub(rf"(?!\\ )({other})\s+?({letter})", r"\1\2", news)
        news = re.sub(rf"({letter})\s+?({other})", r"\1\2", news)
        if news == text:
            return text
        text = news


def bleu_13a(pairs):
    bleu = sacrebleu.BLEU(tokenize="13a", smooth_method="none", force=True)
    return bleu.corpus_score([p for _, p in pairs], [[t for t, _ in pairs]]).score / 100


def bleu_tokens(pairs):
    """By sacrebleu, and held against nltk; nltk counts one n-gram in sentences too short for any, so not on those."""
    bleu = sacrebleu.BLEU(tokenize="none", smooth_method="none", force=True)

    def ours(some):
        return bleu.corpus_score([p for _, p in some], [[t for t, _ in some]]).score / 100

    long = [(t, p) for t, p in pairs if len(p.split()) >= 4]
    theirs = corpus_bleu([[t.split()] for t, _ in long], [p.split() for _, p in long])
    assert len(long) > 30 and abs(ours(long) - theirs) < 1e-12, (ours(long), theirs)
    return ours(pairs)


def main():
    rng = random.Random(7)
    clean = [(f, " ".join(damaged(f.split(), rng))) for f in FORMULAS for _ in range(3)]
    clean += [(f, f) for f in FORMULAS[:4]]
    texts = clean + ODD
    # The same spellings without spaces, as models write them.
    texts += [(t, re.sub(r"(?<=[^a-zA-Z]) (?=\S)|(?<=\S) (?=[^a-zA-Z])", "", p)) for t, p in clean[:12]]
    normal = [(unimernet(t), unimernet(p)) for t, p in texts]
    distance = [Levenshtein.distance(t, p) / max(len(t), len(p), 1) for t, p in normal]
    errors = [Levenshtein.distance(t.split(), p.split()) for t, p in clean]
    longer = [max(len(t.split()), len(p.split())) for t, p in clean]
    golden = {
        "versions": {"sacrebleu": sacrebleu.__version__, "nltk": nltk.__version__, "Levenshtein": Levenshtein.__version__},
        "texts": [
            {"truth": t, "prediction": p, "normalized": {"truth": a, "prediction": b}, "distance": d}
            for (t, p), (a, b), d in zip(texts, normal, distance)
        ],
        "texts_scores": {"bleu_13a": bleu_13a(normal), "distance": sum(distance) / len(distance)},
        "tokens": [{"truth": t, "prediction": p, "errors": e} for (t, p), e in zip(clean, errors)],
        "tokens_scores": {
            "bleu": bleu_tokens(clean),
            "edit_accuracy": 1 - sum(errors) / sum(longer),
            "within": [sum(e <= n for e in errors) / len(errors) for n in (0, 1, 2)],
        },
    }
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(golden, indent=1, ensure_ascii=False)
    (folder / "pairs.json").write_text(text + "\n")


main()
