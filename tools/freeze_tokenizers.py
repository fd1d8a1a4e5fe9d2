"""Writes test/data/tokenizers.json: what Python's `tokenizers` and transformers make of sharp texts, for test/data/tokenizers.test.ts.

Every kind of normalizer, pre-tokenizer, model and post-processor, added tokens with every flag, and folders as
AutoTokenizer opens them. Ids are kept as the first eight digits of a SHA-1, a text that is refused as null, a tokenizer
that Python refuses as a whole with no ids at all.

    python tools/freeze_tokenizers.py [OUT [RANDOM_TEXTS [SEED]]]
"""

import hashlib
import json
import os
import random
import sys
import tempfile

import tokenizers
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUT = sys.argv[1] if len(sys.argv) > 1 else "test/data/tokenizers.json"
RANDOM_TEXTS = int(sys.argv[2]) if len(sys.argv) > 2 else 12
random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 5)
transformers.logging.set_verbosity_error()

# Each text is one thing that two implementations have disagreed about, or could.
TEXTS = [
    "",
    " ",
    "naïve café résumé größe",
    "e\u0301e\u0323\u0301 \u0344\u0340 a\u0345\u0301",
    "ΑΣ ΟΔΟΣ. Σ ΣΑΣ σς",
    "İIıi ŉ ǅ ẞß Å\u212b\u212a",
    "ﬁ ½ ² ⅷ ① ｆｕｌｌ ㍿ ﷺ",
    "日本語カナー靴 한국어 각\u1100\u1161\u11a8",
    "a\u200db a\u200cb a\u200bb a\ufeffb a\u00adb",
    "a\u00a0b\u3000c\u2028d\u1680e\u180ef\u0085g\u001ch",
    "a\x00b\ufffdc\ue000d\U000e0001e\x07f",
    "x\ty\nz\r\n  w \r v",
    "it's we'll IT'S 'LL 'ſ don't",
    "12,345.67 ١٢٣ 1½2 x²y³",
    "!?-_@#[](){}«»“”‘’…—$€+<=>^`|~\\",
    "\u166d\u1400\u0f3a\u2e43\u061d\u0c84\U00011f43",
    "👨\u200d👩\u200d👧 😀😀 \U0001d400\U0001d7d8 \U00020000\U0002b820\U0002f800",
    "\ua7ce\ua7d2\U00010d50\U00016ea0\U0001e900\u1c89\u10a0\u13a0",
    "\u0897a\u08caa\U0001e4eca\u20f0a \u1acfa\u0378a\u20c1a\u088fa\u0295a",
    "\U000105c9\U00011383\U00011938\ua7f2\uab69\u32ff \u0958\u2126\U0001d15e",
    "[CLS] [MASK] [SEP] [UNK] [PAD] a[MASK]b",
    "  <x>  <X> a<x>b <left> b  <left>c <right>  d word wordy wörd word. aword",
    "▁a ▁▁b Ġ Ċ ##s ##",
    "$& $1 $$ \\1 .* a.*b",
    "aaabbbcccabcabcaab aab ba cab ca xyzzy",
    "supercalifragilistic " + "ab" * 60 + " " + "é" * 101,
    "zzz @ unknown ☃ ☃☃ ☃a",
]
POOL = list("aabbccxyzABC'sté 123.,!?-_  \n\t") + TEXTS[3].split() + TEXTS[5].split() + TEXTS[7].split()
POOL += ["Σ", "\u0301", "\u200d", "\u00a0", "😀", "\u2028", "▁", "[MASK]", "<x>", "word", "☃", "\ua7ce", "½", "ab", "ca"]
TEXTS += ["".join(random.choice(POOL) for _ in range(random.randrange(1, 40))) for _ in range(RANDOM_TEXTS)]


def digest(ids):
    return hashlib.sha1(",".join(map(str, ids)).encode()).hexdigest()[:8]


# A vocabulary of bytes, which shows a text as it was normalized, and by its prefix where it was cut.
BYTES = {
    "type": "BPE",
    "continuing_subword_prefix": "#",
    "byte_fallback": True,
    "vocab": {f"<0x{b:02X}>": b for b in range(256)},
    "merges": [],
}


def of(type, **more):
    return {"type": type, **more}


def bert(**flags):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return of("BertNormalizer", **{**off, **flags})


def split(pattern, behavior="Isolated", invert=False):
    return of("Split", pattern={"Regex": pattern}, behavior=behavior, invert=invert)


def replace(kind, pattern, content):
    return of("Replace", pattern={kind: pattern}, content=content)


def metaspace(scheme, split=True):
    return of("Metaspace", replacement="▁", prepend_scheme=scheme, split=split)


LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
PATTERNS = [LLAMA, CL100K, r"\d{1,3}", r"\w+", r"\W", r"\b", r"\B", "^", "$", r"\z", r"\Z", r"[\w-]+", "[a-c&&[^b]]", r"[\p{P}\p{S}]"]
PATTERNS += [r"\p{^L}", r"\P{Lu}", "(?<=a)b", "(?>a+)b", "a++", "a{,2}", "(a|ab)(c|bcd)?", r"\x{e9}", "[😀-😎]", "[^[a-c]]", "(?=a)"]
PATTERNS += ["x*", "[[:alpha:]]", r"\p{Han}", r"\1", "(?i)a", "a**", r"\R", "[", "(", "a)", "*a", "[]", r"[\s\d]+", "(?i:ss)", "(?m:.)", "."]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

normalizers = {
    "BertNormalizer": bert(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    "BertNormalizer cleaning": bert(clean_text=True),
    "BertNormalizer Chinese": bert(handle_chinese_chars=True),
    "BertNormalizer accents": bert(strip_accents=True),
    "BertNormalizer lower case": bert(lowercase=True),
    **{name: of(name) for name in ["Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "ByteLevel"]},
    "Strip": of("Strip", strip_left=True, strip_right=True),
    "Strip left": of("Strip", strip_left=True, strip_right=False),
    "Strip right": of("Strip", strip_left=False, strip_right=True),
    "Prepend": of("Prepend", prepend="▁x"),
    "Replace": replace("String", ".*", "$&é"),
    "Replace space": replace("String", " ", "▁"),
    "Replace by pattern": replace("Regex", r"\s+", "$1"),
    "Replace nothing": replace("Regex", "x*", "-"),
    "Sequence": of("Sequence", normalizers=[of("NFKD"), of("StripAccents"), of("Lowercase"), of("NFC")]),
    "Sequence of nothing": of("Sequence", normalizers=[]),
    "Precompiled": of("Precompiled", precompiled_charsmap="AAAAAA=="),
    "unknown": of("Reverse"),
}
first_after_words = [of("CharDelimiterSplit", delimiter=" "), metaspace("first")]
pretokenizers = {
    **{name: of(name) for name in ["Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts"]},
    "ByteLevel": of("ByteLevel", add_prefix_space=True, trim_offsets=True),
    "ByteLevel without its pattern": of("ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False),
    "Metaspace": metaspace("always"),
    "Metaspace first": metaspace("first"),
    "Metaspace never": metaspace("never", split=False),
    "Metaspace of old": of("Metaspace", replacement="_", str_rep="_", add_prefix_space=True),
    "Metaspace at odds": of("Metaspace", replacement="_", add_prefix_space=False),
    "Digits": of("Digits", individual_digits=False),
    "Digits one by one": of("Digits", individual_digits=True),
    "CharDelimiterSplit": of("CharDelimiterSplit", delimiter="😀"),
    "FixedLength": of("FixedLength", length=3),
    "Sequence": of("Sequence", pretokenizers=[of("WhitespaceSplit"), of("Punctuation", behavior="Isolated"), of("Digits", individual_digits=True)]),
    "Sequence with bytes": of("Sequence", pretokenizers=[of("Whitespace"), of("ByteLevel", add_prefix_space=True, trim_offsets=True)]),
    "Sequence with Metaspace first": of("Sequence", pretokenizers=first_after_words),
    **{f"Punctuation {b}": of("Punctuation", behavior=b) for b in BEHAVIORS},
    **{f"Split {b}": of("Split", pattern={"String": "a"}, behavior=b, invert=False) for b in BEHAVIORS},
    **{f"Split inverted {b}": split(r"\w+|[^\w\s]+", b, True) for b in BEHAVIORS},
    **{f"Split {pattern}": split(pattern) for pattern in PATTERNS},
}


def trained(model, trainer, pre):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre
    corpus = [*TEXTS[2:9], *TEXTS[12:15], TEXTS[24], "the cat sat on the mat", "buy cheap shoes new товар"] * 3
    tokenizer.train_from_iterator(corpus, trainer)
    return json.loads(tokenizer.to_str())["model"]


SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
words = pre_tokenizers.BertPreTokenizer()
options = dict(special_tokens=SPECIAL, show_progress=False)
word_piece = trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=300, **options), words)
bpe = trained(models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(vocab_size=300, **options), words)
affixed = trained(
    models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
    trainers.BpeTrainer(vocab_size=300, continuing_subword_prefix="##", end_of_word_suffix="</w>", **options),
    words,
)
unigram = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=200, unk_token="[UNK]", **options), words)
word_level = trained(models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(**options), words)
unk_free = {k: v for k, v in word_level["vocab"].items() if k != "[UNK]"}
some_bytes = {f"<0x{b:02X}>": 1000 + b for b in range(256) if b not in (0xE2, 0x40)}
byte_pieces = unigram["vocab"] + [[token, -20.0] for token in some_bytes]
ties = [["<unk>", 0.0], ["a", -1.0], ["b", -1.0], ["ab", -2.0], ["ba", -2.0], ["aab", -3.0], ["c", 0.5], ["ca", -0.5], ["cab", -1.5]]
model_parts = {
    "WordPiece": word_piece,
    "WordPiece of few characters": {**word_piece, "max_input_chars_per_word": 4},
    "WordPiece with another prefix": {**word_piece, "continuing_subword_prefix": ""},
    "WordPiece without unknown": {**word_piece, "unk_token": "nothing"},
    "WordPiece of old": {k: v for k, v in word_piece.items() if k != "type"},
    "WordPiece lacking a key": {k: v for k, v in word_piece.items() if k != "unk_token"},
    "BPE": bpe,
    "BPE fused": {**bpe, "fuse_unk": True},
    "BPE without unknown": {**bpe, "unk_token": None},
    "BPE with bytes": {**bpe, "byte_fallback": True, "vocab": {**bpe["vocab"], **some_bytes}},
    "BPE with bytes, fused": {**bpe, "byte_fallback": True, "fuse_unk": True, "vocab": {**bpe["vocab"], **some_bytes}},
    "BPE with affixes": affixed,
    "BPE whole words": {**bpe, "ignore_merges": True, "vocab": {**bpe["vocab"], "xyzzy": 900, "cab": 901}},
    "BPE of old": {**bpe, "merges": ["#version: 0.2"] + [" ".join(pair) for pair in bpe["merges"]]},
    "BPE with dropout 0": {**bpe, "dropout": 0.0},
    "BPE with a merge of nothing": {**bpe, "merges": bpe["merges"] + [["nope", "a"]]},
    "BPE with merges twice": {**bpe, "merges": bpe["merges"] + bpe["merges"][:9]},
    "Unigram": unigram,
    "Unigram with ties": {"type": "Unigram", "unk_id": 0, "vocab": ties},
    "Unigram with bytes": {**unigram, "byte_fallback": True, "vocab": byte_pieces},
    "Unigram without unknown": {**unigram, "unk_id": None},
    "Unigram with unk_id too large": {**unigram, "unk_id": 9999},
    "WordLevel": word_level,
    "WordLevel without unknown": {**word_level, "vocab": unk_free},
    "WordLevel with an id twice": {**word_level, "vocab": {**word_level["vocab"], "zzz": 0}},
}


def added(content, id, **flags):
    off = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {"id": id, "content": content, **off, **flags}


tokens = [
    *[added(content, i, special=True) for i, content in enumerate(SPECIAL)],
    added("<x>", 900),
    added("<X>", 901, normalized=True),
    added("<left>", 902, lstrip=True),
    added("<right>", 903, rstrip=True),
    added("word", 904, single_word=True),
    added("wordy", 905, normalized=True),
    added("☃☃", 906, lstrip=True, rstrip=True),
]
cls = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
sep = {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
text_a = {"Sequence": {"id": "A", "type_id": 0}}
special_tokens = {name: {"id": name, "ids": [i], "tokens": [name]} for i, name in enumerate(SPECIAL)}
special_tokens["[CLS]"]["ids"] = [1, 4, 4]


def template(single):
    return of("TemplateProcessing", single=single, pair=[text_a, {"Sequence": {"id": "B", "type_id": 1}}], special_tokens=special_tokens)


byte_level = of("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)
post_parts = {
    "BertProcessing": of("BertProcessing", sep=["[SEP]", 2], cls=["[CLS]", 1]),
    "RobertaProcessing": of("RobertaProcessing", sep=["[SEP]", 2], cls=["[CLS]", 1], trim_offsets=True, add_prefix_space=True),
    "TemplateProcessing": template([cls, text_a, sep, sep]),
    "TemplateProcessing of nothing": template([text_a]),
    "ByteLevel": byte_level,
    "Sequence": of("Sequence", processors=[byte_level, template([cls, text_a, sep])]),
}

pipelines = []


def pipeline(name, **parts):
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None}
    whole.update({"post_processor": None, "decoder": None, "model": "bytes", **parts})
    json_text = json.dumps({**whole, "model": BYTES if whole["model"] == "bytes" else whole["model"]})
    case = {"name": name, "tokenizer": {key: value for key, value in whole.items() if value is not None}}
    try:
        tokenizer = Tokenizer.from_str(json_text)
    except BaseException as error:  # a panic of Rust is no Exception
        case["python"] = str(error)[:80]
        pipelines.append(case)
        return
    case["ids"] = []
    for text in TEXTS:
        try:
            case["ids"].append(digest(tokenizer.encode(text).ids))
        except BaseException:
            case["ids"].append(None)
    pipelines.append(case)


for name, part in normalizers.items():
    pipeline(f"normalizer {name}", normalizer=part)
for name, part in pretokenizers.items():
    pipeline(f"pre-tokenizer {name}", pre_tokenizer=part)
for name, part in model_parts.items():
    pipeline(f"model {name}", model=part, pre_tokenizer=of("BertPreTokenizer"))
    if "xyzzy" in part["vocab"]:
        pipeline(f"model {name}, uncut", model=part)
for name, part in post_parts.items():
    pipeline(f"post-processor {name}", model=word_level, pre_tokenizer=of("Whitespace"), post_processor=part)
for name in ["BertNormalizer", "Lowercase", "Prepend", "Strip"]:
    pipeline(f"added tokens behind {name}", normalizer=normalizers[name], added_tokens=tokens, pre_tokenizer=of("Whitespace"), model=word_level)
pipeline("added tokens", added_tokens=tokens, pre_tokenizer=metaspace("first"))
pipeline("added tokens found by one text", added_tokens=[added("<A>", 5, normalized=True), added("<a>", 6, normalized=True)], normalizer=of("Lowercase"))
pipeline("an added token of nothing", added_tokens=[added("\u0301", 5, normalized=True)], normalizer=of("StripAccents"))

folders = []
uncased = normalizers["BertNormalizer"]
plain_file = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": tokens[:5],
    "normalizer": None,
    "pre_tokenizer": of("WhitespaceSplit"),
    "post_processor": of("BertProcessing", sep=["[SEP]", 2], cls=["[CLS]", 1]),
    "decoder": None,
    "model": word_piece,
}
NAMES = dict(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
LOWER = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **NAMES}


def folder(name, config=None, model_type="distilbert", tokenizer=plain_file, model_config=None, **others):
    files = {"tokenizer.json": tokenizer, "tokenizer_config.json": config}
    if model_type is not None:
        files["config.json"] = {"model_type": model_type, "vocab_size": 1200, **(model_config or {})}
    files.update({key.replace("__", "."): value for key, value in others.items()})
    files = {key: value for key, value in files.items() if value is not None}
    case = {"name": name, "files": {**files}}
    if tokenizer is plain_file:
        case["files"]["tokenizer.json"] = "plain"
    with tempfile.TemporaryDirectory() as path:
        for key, value in files.items():
            with open(os.path.join(path, key), "w", encoding="utf-8", newline="") as out:
                out.write(value if isinstance(value, str) else json.dumps(value))
        try:
            opened = transformers.AutoTokenizer.from_pretrained(path)
            case["ids"] = []
            for text in TEXTS:
                try:
                    case["ids"].append(digest(opened(text, truncation=True)["input_ids"]))
                except BaseException:
                    case["ids"].append(None)
        except BaseException as error:
            case["python"] = f"{type(error).__name__}: {error}"[:80]
    folders.append(case)


def decoder(*tokens_):
    return {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokens_}


folder("no tokenizer_config.json")
folder("no tokenizer_config.json, bert", model_type="bert")
for key, value in [("do_lower_case", False), ("strip_accents", False), ("strip_accents", True), ("tokenize_chinese_chars", False)]:
    folder(f"{key} {value}", {**LOWER, key: value})
folder("cased, accents stripped", {**LOWER, "do_lower_case": False, "strip_accents": True})
for name in ["BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"]:
    folder(name, {**LOWER, "tokenizer_class": name, "do_lower_case": False})
    folder(f"{name}, bert", {**LOWER, "tokenizer_class": name, "do_lower_case": False}, model_type="bert")
folder("class in config.json", dict(NAMES), model_config={"tokenizer_class": "PreTrainedTokenizerFast"})
folder("another class", {**LOWER, "tokenizer_class": "RobertaTokenizer"})
folder("no class", dict(NAMES, do_lower_case=False))
for length in [8, 512, 3, 2, 0, -1, 1e30, None, "long"]:
    folder(f"model_max_length {length}", {**LOWER, "model_max_length": length})
folder("max_len", {**LOWER, "max_len": 9})
for side in ["left", "right", "middle"]:
    folder(f"truncation_side {side}", {**LOWER, "model_max_length": 7, "truncation_side": side})
truncation = dict(direction="Left", max_length=5, strategy="LongestFirst", stride=0)
padding = dict(strategy={"Fixed": 40}, direction="Right", pad_to_multiple_of=None, pad_id=3, pad_type_id=0, pad_token="[PAD]")
for name in ["BertTokenizer", "PreTrainedTokenizerFast"]:
    config = {**LOWER, "tokenizer_class": name}
    folder(f"truncation and padding, {name}", {**config, "model_max_length": 9}, tokenizer={**plain_file, "truncation": truncation, "padding": padding})
    folder(f"truncation without a length, {name}", config, tokenizer={**plain_file, "truncation": truncation})
    folder(f"split_special_tokens, {name}", {**config, "split_special_tokens": True})
    folder(f"added_tokens_decoder, {name}", {**config, "added_tokens_decoder": decoder(*tokens)})
    folder(f"added_tokens_decoder out of order, {name}", {**config, "added_tokens_decoder": decoder(tokens[7], tokens[5], *tokens[:3], tokens[10])})
    folder(f"an empty added_tokens_decoder, {name}", {**config, "added_tokens_decoder": {}})
    folder(f"other names of special tokens, {name}", {**config, "mask_token": "<x>", "cls_token": "the", "bos_token": "word"})
    folder(f"AddedToken objects, {name}", {**config, "mask_token": {"__type": "AddedToken", **decoder(added("[MASK]", 4, lstrip=True))["4"]}})
    folder(f"plain objects, {name}", {**config, "mask_token": decoder(added("[MASK]", 4, lstrip=True))["4"]})
    folder(f"additional_special_tokens, {name}", {**config, "additional_special_tokens": ["<x>", "word"]})
    folder(f"extra_special_tokens, {name}", {**config, "extra_special_tokens": ["<left>", "<X>"], "additional_special_tokens": ["<x>"]})
    folder(f"extra_special_tokens by name, {name}", {**config, "extra_special_tokens": {"image_token": "<x>"}})
    folder(f"a token of a name of its own, {name}", {**config, "image_token": "<x>"})
    folder(f"special_tokens_map.json, {name}", {"tokenizer_class": name}, special_tokens_map__json={**NAMES, "mask_token": decoder(added("<x>", 4, lstrip=True))["4"], "additional_special_tokens": ["word"]})
    folder(f"added_tokens.json, {name}", {**config, "additional_special_tokens": ["<x>"]}, added_tokens__json={"<x>": 700, "word": 600})
    folder(f"a token missing, {name}", {key: value for key, value in config.items() if key != "mask_token"}, tokenizer={**plain_file, "added_tokens": []})
    folder(f"keys that change nothing, {name}", {**config, "never_split": ["wordy"], "do_basic_tokenize": False, "add_prefix_space": True, "clean_up_tokenization_spaces": True, "use_fast": False})
    folder(f"BPE, {name}", config, tokenizer={**plain_file, "model": bpe})
    folder(f"Unigram, {name}", config, tokenizer={**plain_file, "model": unigram})
    folder(f"null for the pad token, {name}", {**config, "pad_token": None})
    folder(f"null for the unknown token, {name}", {**config, "unk_token": None})
    folder(f"auto_map, {name}", {**config, "auto_map": {"AutoTokenizer": ["a.B", None]}})
    folder(f"left padding, {name}", {**config, "padding_side": "left"})
vocabulary = sorted(word_piece["vocab"], key=word_piece["vocab"].get)
for name, text in {
    "vocab.txt": "\n".join(vocabulary) + "\n",
    "vocab.txt with CRLF": "\r\n".join(vocabulary),
    "vocab.txt with blanks": "\n".join(token + " \u3000\t" for token in vocabulary) + "\n\n",
    "vocab.txt with a token twice": "\n".join([*vocabulary, "the", "xyzzy"]),
}.items():
    folder(name, LOWER, tokenizer=None, vocab__txt=text)
folder("vocab.txt alone", None, tokenizer=None, vocab__txt="\n".join(vocabulary))
folder("vocab.txt for another class", {**LOWER, "tokenizer_class": "PreTrainedTokenizerFast"}, tokenizer=None, vocab__txt="\n".join(vocabulary))
folder("a class without config.json", LOWER, model_type=None)

# All of Unicode through BERT's tokenizer: each character between letters and before marks.
whole = Tokenizer.from_str(json.dumps({**plain_file, "added_tokens": [], "post_processor": None, "normalizer": uncased, "pre_tokenizer": of("BertPreTokenizer"), "model": BYTES}))
shapes = hashlib.sha1()
for first in [*range(0, 0x20000, 16), *range(0x2A6D0, 0x2CEC0, 16), *range(0xE0000, 0xE0200, 16)]:
    points = [c for c in range(first, first + 16) if not 0xD800 <= c <= 0xDFFF]
    text = " ".join(f"a{chr(c)}b {chr(c)}\u0301\u0323" for c in points)
    shapes.update((",".join(map(str, whole.encode(text).ids)) + ";").encode())

with open(OUT, "w", encoding="utf-8") as out:
    versions = f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}"
    head = {"versions": versions, "texts": TEXTS, "bytes": BYTES, "plain": plain_file, "unicode": shapes.hexdigest()}
    rows = [json.dumps(head)[:-1], '"pipelines": [' + ",\n".join(map(json.dumps, pipelines)) + "]"]
    rows.append('"folders": [' + ",\n".join(map(json.dumps, folders)) + "]}\n")
    out.write(",\n".join(rows))
print(len(pipelines), "pipelines,", len(folders), "folders,", len(TEXTS), "texts")
