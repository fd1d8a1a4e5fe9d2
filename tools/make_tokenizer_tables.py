"""Writes src/data/tokenizer/unicode-tables.ts: what Python's `tokenizers` takes each character for.

Its parts carry tables of different Unicode versions (its regular expressions 16, its marks and punctuation 8, its
normal forms 9, its lower case 17), and a JavaScript engine has its own. So every set is asked of the package itself,
one code point after another. Takes about two minutes.

    python tools/make_tokenizer_tables.py && npx biome check --write src/data/tokenizer
"""

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

OUT = "src/data/tokenizer/unicode-tables.ts"
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!#%"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(n):
    if n < 0:
        return "-" + base36(-n)
    return DIGITS[n] if n < 36 else base36(n // 36) + DIGITS[n % 36]


def ranges(points):
    found = []
    for c in sorted(points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def packed(points):
    """Gap and length, one range after another."""
    numbers, at = [], 0
    for first, last in ranges(points):
        numbers += [first - at, last - first + 1]
        at = last + 1
    return " ".join(map(base36, numbers))


def pieces(pre_tokenizer, text):
    return [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)]


def class_members(pattern, everything=None):
    """What a class of a Split's regular expression holds."""
    split = pre_tokenizers.Split(Regex(f"[^{pattern}]"), "removed")
    members = set()
    for piece in pieces(split, everything):
        members.update(map(ord, piece))
    return members


def bert(**flags):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **flags})


def changed(normalizer):
    images = ((c, normalizer.normalize_str(chr(c))) for c in POINTS)
    return {c: image for c, image in images if image != chr(c)}


def lower_runs(lower):
    """First, how many, step, difference; what becomes several characters is left to `special`."""
    runs = []
    for c in sorted(lower):
        delta = ord(lower[c]) - c
        if runs and runs[-1][3] == delta:
            first, count, step, _ = runs[-1]
            last = first + (count - 1) * step
            if count == 1 and c - last <= 2:
                runs[-1][1:3] = [2, c - last]
                continue
            if count > 1 and c - last == step:
                runs[-1][1] += 1
                continue
        runs.append([c, 1, 1, delta])
    numbers, at = [], 0
    for first, count, step, delta in runs:
        numbers += [first - at, count, step, delta]
        at = first
    return " ".join(map(base36, numbers))


everything = "".join(map(chr, POINTS))
category = {}
for name in CATEGORIES[1:]:
    for c in class_members(f"\\p{{{name}}}", everything):
        category[c] = name

runs = []
for c in range(0x110000):
    letter = LETTERS[CATEGORIES.index(category.get(c, "Cn"))]
    if runs and runs[-1][0] == letter:
        runs[-1][1] += 1
    else:
        runs.append([letter, 1])
category_runs = "".join(letter + (base36(n) if n > 1 else "") for letter, n in runs)

whitespace = pre_tokenizers.Whitespace()
words = {c for c in POINTS if len(pieces(whitespace, f"a{chr(c)}a")) == 1}
regex_words = class_members("\\w", everything)
spaces = {c for c in POINTS if len(pieces(pre_tokenizers.WhitespaceSplit(), f"a{chr(c)}a")) == 2}
assert spaces == class_members("\\s", everything)
assert spaces == {c for c in POINTS if len(pieces(whitespace, f"a{chr(c)}a")) == 2}
punctuation = {c for c in POINTS if len(pieces(pre_tokenizers.Punctuation(), f"a{chr(c)}a")) == 3}
assert punctuation == {c for c in POINTS if len(pieces(pre_tokenizers.BertPreTokenizer(), f"a{chr(c)}a")) == 3}
numeric = {c for c in POINTS if len(pieces(pre_tokenizers.Digits(), f"a{chr(c)}a")) == 3}
clean = bert(clean_text=True)
removed = {c for c in POINTS if clean.normalize_str(f"a{chr(c)}a") == "aa"}
strip = normalizers.StripAccents()
marks = {c for c in POINTS if strip.normalize_str(f"a{chr(c)}") == "a"}

decomposed = changed(normalizers.NFD())
compatible = changed(normalizers.NFKD())
bert_strip = bert(strip_accents=True)
nonspacing = {c for c in POINTS if c not in decomposed and bert_strip.normalize_str(f"a{chr(c)}") == "a"}
nfd = normalizers.NFD()
# U+0345 has combining class 240, U+0334 class 1: every other class trades places with one of them.
reordered = {
    c
    for c in POINTS
    if c not in decomposed
    for text in [f"\u0345{chr(c)}", f"{chr(c)}\u0334"]
    if nfd.normalize_str(text) != text
}
composing = {ord(part) for image in decomposed.values() if len(image) > 1 for part in image}
normal = set(decomposed) | set(compatible) | reordered | composing

lower = changed(normalizers.Lowercase())
special = {c: image for c, image in lower.items() if len(image) > 1}
single = {c: image for c, image in lower.items() if len(image) == 1}

letters = {c for c, name in category.items() if name[0] == "L"}
numbers = {c for c, name in category.items() if name[0] == "N"}
byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
for c in POINTS:
    assert (len(pieces(byte_level, f"a{chr(c)}")) == 1) == (c in letters), hex(c)
    if c not in letters:
        assert (len(pieces(byte_level, f"1{chr(c)}")) == 1) == (c in numbers), hex(c)

tables = {
    "CATEGORY_RUNS": ("General category, by runs: a letter of CATEGORY_LETTERS and how many, in base 36, if not one.", category_runs),
    "WORDS": ("What \\w is to Whitespace and to added tokens.", packed(words)),
    "REGEX_WORDS_LESS": ("What \\w of a regular expression lacks of WORDS.", packed(words - regex_words)),
    "SPACES": ("White space.", packed(spaces)),
    "PUNCTUATION": ("What Punctuation and BertPreTokenizer cut at.", packed(punctuation)),
    "NUMERIC": ("What Digits cuts at.", packed(numeric)),
    "REMOVED": ("What the cleaning of BertNormalizer drops.", packed(removed)),
    "MARKS": ("What StripAccents drops.", packed(marks)),
    "NONSPACING": ("What BertNormalizer drops to strip accents, after decomposition.", packed(nonspacing)),
    "NORMAL": ("What the normal forms change, reorder or compose; all else they leave alone.", packed(normal)),
    "LOWER_RUNS": ("Lower case: distance from the last run's first, how many, step, difference.", lower_runs(single)),
}
assert not regex_words - words
with open(OUT, "w") as out:
    out.write(f"// Made by tools/make_tokenizer_tables.py from tokenizers {tokenizers.__version__}; not to be edited.\n")
    out.write("// Sets of code points are gaps and lengths, one range after another, in base 36.\n\n")
    out.write(f"export const CATEGORIES = {CATEGORIES!r} as const\n")
    out.write(f"export const CATEGORY_LETTERS = {LETTERS!r}\n")
    for name, (says, text) in tables.items():
        out.write(f"/** {says} */\nexport const {name} =\n  {text!r}\n")
    out.write("/** Lower case of several characters. */\n")
    pairs = ", ".join("[%d, '%s']" % (c, "".join("\\u%04x" % ord(x) for x in image)) for c, image in special.items())
    out.write(f"export const LOWER_SPECIAL: [number, string][] = [{pairs}]\n")
