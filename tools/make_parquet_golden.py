"""Writes test/golden/parquet-kinds: small Parquet files of every codec, page version, encoding and kind of value, by the writers people
use, and values.json with what pyarrow reads in them. Needs pyarrow, polars, duckdb, pandas and fastparquet.

    python tools/make_parquet_golden.py test/golden/parquet-kinds
"""
import datetime
import decimal
import json
import os
import random
import sys

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = sys.argv[1]
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
D = decimal.Decimal


def path(name):
    return os.path.join(FOLDER, name + ".parquet")


def no_values(n=4):
    nothing = [None] * n
    return pa.table({
        "int": pa.array(nothing, pa.int32()),
        "text": pa.array(nothing, pa.string()),
        "number": pa.array(nothing, pa.float64()),
        "flag": pa.array(nothing, pa.bool_()),
        "empty_lists": pa.array([[]] * n, pa.list_(pa.int32())),
        "null_lists": pa.array(nothing, pa.list_(pa.int64())),
        "lists_of_null": pa.array([[None]] * n, pa.list_(pa.string())),
        "row": pa.array(range(n), pa.int32()),
    })


def values(n, p, seed):
    r = random.Random(seed)

    def some(make):
        return [None if r.random() < p else make() for _ in range(n)]

    def lists(make):
        return some(lambda: [make() for _ in range(r.choice([0, 1, 2, 5]))])

    text = lambda: r.choice(["", "a", "\ufeffmarked", "日本語 🙂", "x" * 40, "pre_%d" % r.randrange(99)])
    return pa.table({
        "i8": pa.array(some(lambda: r.randrange(-128, 128)), pa.int8()),
        "u16": pa.array(some(lambda: r.randrange(2**16)), pa.uint16()),
        "i32": pa.array(some(lambda: r.randrange(-(2**31), 2**31)), pa.int32()),
        "u32": pa.array(some(lambda: r.randrange(2**32)), pa.uint32()),
        "i64": pa.array(some(lambda: r.randrange(-(2**63), 2**63)), pa.int64()),
        "u64": pa.array(some(lambda: r.randrange(2**64)), pa.uint64()),
        "small": pa.array(some(lambda: r.randrange(5)), pa.int64()),
        "f32": pa.array(some(lambda: r.choice([0.0, -0.0, 1.5, float("inf"), r.gauss(0, 1)])), pa.float32()),
        "f64": pa.array(some(lambda: r.gauss(0, 1e100)), pa.float64()),
        "flag": pa.array(some(lambda: r.random() < 0.5), pa.bool_()),
        "text": pa.array(some(text), pa.string()),
        "date": pa.array(some(lambda: datetime.date(1960 + r.randrange(100), 1, 3)), pa.date32()),
        "ms": pa.array(some(lambda: r.randrange(-(10**12), 10**13)), pa.timestamp("ms")),
        "us": pa.array(some(lambda: r.randrange(-(10**15), 10**16)), pa.timestamp("us", "UTC")),
        "dec9": pa.array(some(lambda: D(r.randrange(-(10**8), 10**8)).scaleb(-2)), pa.decimal128(9, 2)),
        "dec18": pa.array(some(lambda: D(r.randrange(-(10**17), 10**17)).scaleb(-7)), pa.decimal128(18, 7)),
        "dec38": pa.array(some(lambda: D(r.randrange(-(10**30), 10**30)).scaleb(-10)), pa.decimal128(38, 10)),
        "ids": pa.array(lists(lambda: r.randrange(100)), pa.list_(pa.int32())),
        "texts": pa.array(lists(text), pa.list_(pa.string())),
    })


def more(table):
    """Columns that pyarrow alone writes."""
    n = table.num_rows
    r = random.Random(n)
    halves = pa.array([np.float16(r.gauss(0, 1)) for _ in range(n)], pa.float16())
    fixed = pa.array([bytes(r.randrange(256) for _ in range(7)) for _ in range(n)], pa.binary(7))
    pairs = pa.array([[r.random(), r.random()] for _ in range(n)], pa.list_(pa.float32(), 2))
    return (table.append_column("half", halves).append_column("fixed", fixed).append_column("pairs", pairs)
            .append_column("nothing", pa.nulls(n)).append_column("struct", pa.array([{"a": i} for i in range(n)]))
            .append_column("deep", pa.array([[[i]] for i in range(n)])))


def required(table):
    return table.cast(pa.schema([pa.field(f.name, f.type, nullable=False) for f in table.schema]))


def write():
    os.makedirs(FOLDER, exist_ok=True)
    for codec in CODECS:
        for version in ("1.0", "2.0"):
            options = dict(compression=codec, data_page_version=version, store_schema=False)
            pq.write_table(no_values(), path(f"no_values_{codec}_v{version[0]}"), **options,
                           use_dictionary=version == "1.0", write_page_checksum=codec in ("zstd", "lz4"))
        with pq.ParquetWriter(path(f"empty_groups_{codec}"), no_values().schema, compression=codec, store_schema=False) as w:
            for n in (2, 0, 1, 0):
                w.write_table(no_values(n))
        pl.from_arrow(no_values()).write_parquet(path(f"no_values_polars_{codec}"), compression={"none": "uncompressed"}.get(codec, codec))
        for version in ("V1", "V2"):
            con = duckdb.connect()
            con.register("t", no_values())
            kind = {"none": "uncompressed", "lz4": "lz4_raw"}.get(codec, codec)
            con.execute(f"COPY t TO '{path(f'no_values_duckdb_{codec}_{version.lower()}')}' (FORMAT parquet, COMPRESSION {kind}, PARQUET_VERSION {version})")
    full, some = values(19, 0, 1), values(19, 0.3, 2)
    for i, codec in enumerate(CODECS):
        version = ("1.0", "2.0")[i % 2]
        pq.write_table(more(some), path(f"kinds_{codec}"), compression=codec, data_page_version=version, data_page_size=64,
                       row_group_size=(7, 100)[i % 2], write_page_checksum=i % 3 == 0, store_schema=False,
                       use_deprecated_int96_timestamps=codec == "gzip", store_decimal_as_integer=codec == "zstd",
                       write_statistics=codec != "lz4", use_dictionary=codec != "brotli")
    for version in ("1.0", "2.0"):
        encodings = {"i32": "DELTA_BINARY_PACKED", "i64": "DELTA_BINARY_PACKED", "u32": "DELTA_BINARY_PACKED",
                     "small": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "texts.list.element": "DELTA_LENGTH_BYTE_ARRAY",
                     "f32": "BYTE_STREAM_SPLIT", "f64": "BYTE_STREAM_SPLIT", "flag": "RLE", "dec38": "DELTA_BYTE_ARRAY"}
        pq.write_table(some, path(f"encodings_v{version[0]}"), data_page_version=version, use_dictionary=False,
                       column_encoding=encodings, store_schema=False, compression="none")
        pq.write_table(required(full), path(f"required_v{version[0]}"), data_page_version=version, store_schema=False, compression="none")
    pl.from_arrow(some).write_parquet(path("kinds_polars"), row_group_size=8)
    for version in ("V1", "V2"):
        con = duckdb.connect()
        con.register("t", some)
        con.execute(f"COPY t TO '{path(f'kinds_duckdb_{version.lower()}')}' (FORMAT parquet, PARQUET_VERSION {version})")
    flat = some.select(["i8", "u16", "i32", "u32", "i64", "small", "f32", "f64", "flag", "text"]).to_pandas()
    flat["text"] = flat["text"].astype(object)
    some.to_pandas().to_parquet(path("kinds_pandas"))
    for codec in ("UNCOMPRESSED", "SNAPPY", "ZSTD", "LZ4"):
        fastparquet.write(path(f"kinds_fastparquet_{codec.lower()}"), flat, compression=codec, row_group_offsets=8, write_index=False)


def plain(value):
    """A value as the tests write ours: what JSON has no way to say, as a text that starts with a letter for its kind."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else f"n{value}"
    if isinstance(value, (float, D)):
        value = float(value)
        return value if value - value == 0 and repr(value) != "-0.0" else f"f{'-0' if value == 0 else value}"
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, bytes):
        return "b" + value.hex()
    if isinstance(value, list):
        return [plain(v) for v in value]
    raise TypeError(type(value))


def read(name):
    """DuckDB's unsigned numbers in version 2 pages are more than pyarrow takes; they are those of version 1."""
    out = {}
    file = pq.ParquetFile(path(name.replace("kinds_duckdb_v2", "kinds_duckdb_v1")))
    for field in file.schema_arrow:
        if pa.types.is_struct(field.type) or (pa.types.is_list(field.type) and pa.types.is_nested(field.type.value_type)):
            continue
        column = file.read(columns=[field.name]).column(0)
        if pa.types.is_date(field.type):
            out[field.name] = [None if v is None else f"d{v * 86_400_000}" for v in column.cast(pa.int32()).to_pylist()]
        elif pa.types.is_timestamp(field.type):
            per = {"ms": 1, "us": 1000, "ns": 1_000_000}[field.type.unit]
            out[field.name] = [None if v is None else f"d{v // per}" for v in column.cast(pa.int64()).to_pylist()]
        else:
            out[field.name] = plain(column.to_pylist())
    return out


write()
names = sorted(f[:-8] for f in os.listdir(FOLDER) if f.endswith(".parquet"))
with open(os.path.join(FOLDER, "values.json"), "w") as f:
    f.write("{\n" + ",\n".join(json.dumps(n) + ": " + json.dumps(read(n), ensure_ascii=False) for n in names) + "\n}\n")
