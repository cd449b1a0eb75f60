"""footers.py CASE SOURCE TARGET: writes a Parquet file anew with the same rows, and falsifies what is beside them."""
import struct, sys
import pyarrow as pa, pyarrow.parquet as pq

# Thrift's compact protocol, with the type of every field kept: {id: (type, value)}, lists as [type, values].
def read(data, kind, at):
    def number(at):
        value = shift = 0
        while True:
            value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        value, at = number(at)
        return (value >> 1) ^ -(value & 1), at
    if kind == 8:
        length, at = number(at)
        return data[at:at + length], at + length
    if kind == 9:
        head, at = data[at], at + 1
        count, at = number(at) if head >> 4 == 15 else (head >> 4, at)
        values = []
        for _ in range(count):
            value, at = read(data, head & 15, at)
            values.append(value)
        return [head & 15, values], at
    fields, last = {}, 0
    while data[at]:
        last, kind, at = last + (data[at] >> 4), data[at] & 15, at + 1
        value, at = read(data, kind, at)
        fields[last] = (kind, value)
    return fields, at + 1

def write(kind, value):
    def number(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])
    if kind == 3:
        return bytes([value])
    if kind in (4, 5, 6):
        return number(value * 2 if value >= 0 else -value * 2 - 1)
    if kind == 8:
        return number(len(value)) + value
    if kind == 9:
        kind, values = value
        head = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xf0 | kind]) + number(len(values))
        return head + b"".join(write(kind, value) for value in values)
    out, last = b"", 0
    for id, (kind, value) in sorted(value.items()):
        kind = (2 - value) if kind in (1, 2) else kind
        out += bytes([(id - last) << 4 | kind]) + (b"" if kind in (1, 2) else write(kind, value))
        last = id
    return out + b"\0"

def load(path):
    data = open(path, "rb").read()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:start], read(data[start:-8], 12, 0)[0]

case, source, target = sys.argv[1:4]
many = int(sys.argv[4]) if len(sys.argv) > 4 else 0
table = pq.read_table(source, partitioning=None)
PLAIN = dict(compression="none", use_dictionary=False, write_statistics=False)

def chunk(meta, name, group=0):
    chunks = meta[4][1][1][group][1][1][1]
    return next(chunk for chunk in chunks if chunk[3][1][3][1][1] == [name.encode()])

def pages(body, meta, name):
    column = chunk(meta, name)[3][1]
    start = column[9][1]
    return body[start:start + column[7][1]]

def element(meta, name):
    return next(element for element in meta[2][1][1] if element[4][1] == name.encode())

def plain(table):
    pq.write_table(table, target, **PLAIN)
    return load(target)

def forged():
    at = table.schema.get_field_index("path")
    paths = [path and "/innocent" for path in table["path"].to_pylist()]
    return table.set_column(at, table.schema.field("path"), pa.array(paths, pa.string()))

def statistics(**claims):
    ids = {"nulls": (3, 6), "distinct": (4, 6), "max": (5, 8), "min": (6, 8), "max_exact": (7, 1), "min_exact": (8, 1)}
    return (12, {ids[name][0]: (ids[name][1], claim) for name, claim in claims.items()})

lie = pages(*plain(forged()), "path")
body, meta = plain(table)
truth, rows, nulls = pages(body, meta, "path"), len(table), table["path"].null_count
schema, groups, path = meta[2][1][1], meta[4][1][1], chunk(meta, "path")[3][1]

# The same claims, but true.
if case == "true-statistics":
    path[12] = statistics(nulls=nulls, distinct=len(set(table["path"].to_pylist()) - {None}), min=b"/data/0", max=b"/data/:",
                          min_exact=False, max_exact=False)
# Two readers, two columns.
elif case == "dictionary-behind":
    path[9], path[11], path[7] = (6, len(body)), (6, len(body) + len(lie)), (6, len(truth))
    body += lie + truth
elif case == "dictionary-of-another":
    path[11], path[9], path[7] = (6, len(body)), (6, len(body) + len(lie)), (6, len(lie))
    body += lie + truth
elif case == "pages-behind":
    path[9], path[7] = (6, len(body)), (6, len(truth) + len(lie))
    body += truth + lie
elif case == "index-page":
    path[10] = (6, len(body))
    body += lie
elif case == "offset-index":
    index = write(12, {1: (9, [12, [{1: (6, len(body)), 2: (5, len(lie)), 3: (6, 0)}]])})
    body += lie
    chunk(meta, "path").update({4: (6, len(body)), 5: (5, len(index))})
    body += index
elif case == "file-path":
    chunk(meta, "path")[1] = (8, b"other.parquet")
elif case == "names-exchanged":
    comm = chunk(meta, "comm")[3][1]
    path[3], comm[3] = comm[3], path[3]
elif case == "columns-reversed":
    groups[0][1][1][1].reverse()
elif case == "field-id":
    element(meta, "path")[9], element(meta, "comm")[9] = (5, 20), (5, 19)
# Rows that are not counted, or counted twice.
elif case == "group-rows":
    groups[0][3] = (6, 10)
elif case == "file-rows":
    meta[3] = (6, 10)
elif case == "all-rows":
    groups[0][3] = meta[3] = (6, 10)
elif case == "values":
    path[5] = (6, 10)
elif case == "group-place":
    groups[0][5] = (6, len(body) - 1)
elif case == "sorted":
    groups[0][4] = (9, [12, [{1: (5, 0), 2: (1, True), 3: (1, False)}]])
# Statistics by which rows are left out.
elif case == "nulls":
    path[12] = statistics(nulls=rows)
elif case == "bounds":
    path[12] = statistics(nulls=nulls, max=b"/z", min=b"/y")
elif case == "bounds-wide":
    path[12] = statistics(nulls=nulls, max=b"z", min=b"")
elif case == "bounds-one":
    path[12] = statistics(max=b"/innocent", min=b"/innocent", max_exact=True, min_exact=True)
elif case == "bounds-number":
    chunk(meta, "pid")[3][1][12] = statistics(max=struct.pack("<q", 9), min=struct.pack("<q", 7))
elif case == "distinct":
    path[12] = statistics(distinct=1)
elif case == "levels":
    path[16] = (12, {3: (9, [6, [rows, 0]])})
elif case == "text-bytes":
    path[16] = (12, {1: (6, 0)})
elif case == "encodings":
    path[2] = (9, [5, [8]])
elif case == "page-counts":
    path[13] = (9, [12, [{1: (5, 0), 2: (5, 8), 3: (5, 1)}]])
elif case == "bloom":
    filter = write(12, {1: (5, 32), **{id: (12, {1: (12, {})}) for id in (2, 3, 4)}}) + bytes(32)
    path[14], path[15] = (6, len(body)), (5, len(filter))
    body += filter
# Columns that are something else to some.
elif case == "required":
    element(meta, "path")[3] = (5, 0)
elif case == "json":
    element(meta, "path").pop(10)
    element(meta, "path")[6] = (5, 19)
elif case == "not-utc":
    element(meta, "time")[10][1][8][1][1] = (2, False)
    element(meta, "time").pop(6)
elif case == "unsigned":
    element(meta, "pid")[10] = (12, {10: (12, {1: (3, 64), 2: (2, False)})})
elif case == "arrow-schema":
    at = table.schema.get_field_index("pid")
    pq.write_table(table.set_column(at, "pid", table["pid"].cast(pa.duration("us"))), target, **PLAIN)
    meta[5] = load(target)[1][5]
# What nobody knows the effect of.
elif case == "key-value":
    meta[5][1][1].append({1: (8, b"org.apache.spark.sql.parquet.row.metadata"), 2: (8, b"{}")})
elif case == "unknown-field":
    path[30] = (5, 1)
# Footers that cost more than they weigh.
elif case == "nested":
    schema[0][5] = (5, 1)
    schema[1:] = [{4: (8, b"g"), 3: (5, 0), 5: (5, 1)}] * many + [{4: (8, b"x"), 1: (5, 2), 3: (5, 1)}]
elif case == "children":
    schema[0][5] = (5, 2**31 - 1)
elif case == "many-columns":
    schema += [{4: (8, b"")}] * many
elif case == "many-key-values":
    meta[5] = (9, [12, [{1: (8, b"")}] * many])
elif case == "many-groups":
    groups *= many
elif case == "empty-groups":
    column = {1: (5, 2), 2: (9, [5, []]), 3: (9, [8, []]), 4: (5, 0), 5: (6, 0), 6: (6, 0), 7: (6, 0), 9: (6, 0)}
    groups[:] = [{1: (9, [12, [{2: (6, 0), 3: (12, column)}] * len(schema[1:])]), 2: (6, 0), 3: (6, 0)}] * many
elif case != "unchanged":
    sys.exit(f"no case {case}")

# What moved or grew is where and as large as the row groups say, unless that is the lie.
for group in groups if case not in ("group-place", "empty-groups") else []:
    group.pop(5, None)
    group.pop(6, None)
    group[2] = (6, sum(column[3][1][6][1] for column in group[1][1][1]))

footer = write(12, meta)
with open(target, "wb") as file:
    file.write(body + footer + struct.pack("<I", len(footer)) + b"PAR1")
