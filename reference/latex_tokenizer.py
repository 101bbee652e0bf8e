"""Token ids and decoded text of a learned LaTeX tokenizer by the Rust tokenizers library.
Run: python reference/latex_tokenizer.py test/golden/latex_tokenizer
Reads tokenizer.json, which the tests hold against what texlens writes, and the texts of expected.json; writes the rest."""
import json, os, sys
from tokenizers import Tokenizer

OUT = sys.argv[1]
FILE = os.path.join(OUT, "expected.json")
tokenizer = Tokenizer.from_file(os.path.join(OUT, "tokenizer.json"))
golden = json.load(open(FILE))
for entry in golden["texts"]:
    entry["ids"] = tokenizer.encode(entry["text"], add_special_tokens=False).ids
    entry["decoded"] = tokenizer.decode(entry["ids"], skip_special_tokens=False)
with open(FILE, "w") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
