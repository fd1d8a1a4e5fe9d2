"""Reads files as pyarrow and safetensors do, for `npm run fuzz -- --python python`.

Each line on stdin is a path; each line on stdout is JSON: {"refused": why} or {"values": {name: values}, "refusals": {name: why}},
values written as test/support/plain.ts writes them.
"""
import json
import resource
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# pyarrow takes the memory that a damaged file claims.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def plain(value):
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        value = int(value)
        return value if abs(value) < 2**53 else f"n{value}"
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, bytes):
        return "b" + value.hex()
    if isinstance(value, list):
        return [plain(v) for v in value]
    value = float(value)
    if value != value:
        return "fnan"
    return value if value - value == 0 and repr(value) != "-0.0" else f"f{'-0' if value == 0 else value}"


def leaf(kind):
    return kind.value_type if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind) else kind


def parquet(path):
    file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
    values, refusals = {}, {}
    names = file.schema_arrow.names
    for field in file.schema_arrow:
        name = field.name
        if names.count(name) > 1 or pa.types.is_nested(leaf(field.type)):
            continue
        try:
            column = file.read(columns=[name], use_threads=False).column(name)
            kind = field.type
            column.validate(full=True)
            if pa.types.is_date(kind):
                values[name] = [None if v is None else f"d{v * 86_400_000}" for v in column.cast(pa.int32()).to_pylist()]
            elif pa.types.is_timestamp(kind):
                per = {"s": None, "ms": 1, "us": 1000, "ns": 1_000_000}[kind.unit]
                numbers = column.cast(pa.int64()).to_pylist()
                values[name] = [None if v is None else f"d{v * 1000 if per is None else v // per}" for v in numbers]
            elif pa.types.is_time(kind):
                values[name] = plain(column.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist())
            elif pa.types.is_uint64(kind) or not pa.types.is_temporal(leaf(kind)):
                values[name] = plain(column.to_pylist())
        except Exception as error:
            refusals[name] = f"{type(error).__name__}: {error}"[:160]
    return {"values": values, "refusals": refusals}


def safetensors(path):
    from safetensors import safe_open

    out = {}
    with open(path, "rb") as f:
        data = f.read()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    with safe_open(path, "np") as file:
        for name in file.keys():
            entry = header[name]
            dtype, shape = entry["dtype"], entry["shape"]
            begin, end = (8 + int.from_bytes(data[:8], "little") + o for o in entry["data_offsets"])
            raw = data[begin:end]
            if dtype == "BF16":
                array = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            elif dtype == "BOOL":
                array = np.frombuffer(raw, "u1")
            else:
                names = {"F": "f", "I": "i", "U": "u"}
                array = np.frombuffer(raw, f"<{names[dtype[0]]}{int(dtype[1:]) // 8}")
            out["s" + name] = [dtype, shape, [plain(v) for v in array.astype("f4" if dtype == "F16" else array.dtype)]]
    return {"values": out, "refusals": {}}


for line in sys.stdin:
    path = line.rstrip("\n")
    try:
        answer = parquet(path) if path.endswith(".parquet") else safetensors(path)
    except Exception as error:
        answer = {"refused": f"{type(error).__name__}: {error}"[:160]}
    print(json.dumps(answer), flush=True)
