"""The records of a segment's Parquet file, for verify.py: as bytes to be hashed, from rows that every reader sees."""
import re, struct
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq

INT, MICROS, BYTES = pa.int64(), pa.timestamp("us", "UTC"), pa.binary()
# By type of field: tag, what pyarrow calls such a column, type to bring it to, type that is hashed.
TYPES = {
    "u64": (1, "int64", INT, INT),
    "i64": (2, "int64", INT, INT),
    "micros": (2, r"int64|timestamp\[.s, tz=.*\]", MICROS, INT),
    "text": (3, "(large_)?(string|binary)(_view)?", BYTES, BYTES),
}

def need(good, reason):
    if not good:
        raise ValueError(reason)

def records(path, registry, original):
    """The bytes of every row. In a file that is not the original, what the footer says of the rows must be true, too."""
    fields = {name: (struct.pack("<HB", int(number), TYPES[kind][0]), *TYPES[kind]) for number, name, kind in registry}
    with open(path, "rb") as file:
        need(file.read(4) == b"PAR1", "not Parquet")
    file = pq.ParquetFile(path)
    types = {column.name: str(column.type) for column in file.schema_arrow}
    need(set(types) <= set(fields) and len(types) == len(file.schema_arrow), "a column nobody signed")
    need(all(re.fullmatch(fields[name][2], kind) for name, kind in types.items()), "a column of another type")
    groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
    for number, rows in enumerate([] if original else groups):
        group = file.metadata.row_group(number)
        for at, name in enumerate(types):
            check_chunk(group.column(at), name, group.num_rows, rows.column(at))
    table = pa.concat_tables(groups)
    columns = [(head, tag, table[name].cast(as_stored).cast(as_hashed).to_pylist())
               for name, (head, tag, _, as_stored, as_hashed) in fields.items() if name in types]
    for row in range(table.num_rows):
        present = [(head, tag, values[row]) for head, tag, values in columns if values[row] is not None]
        yield struct.pack("<BH", 1, len(present)) + b"".join(
            head + (struct.pack("<q", value) if tag < 3 else struct.pack("<I", len(value)) + value)
            for head, tag, value in present)

def check_chunk(chunk, name, rows, values):
    """What engines go by when they leave out rows, as far as pyarrow tells."""
    need(chunk.path_in_schema == name and not chunk.file_path, "a column that is elsewhere")
    need(chunk.num_values == rows == len(values), "another number of rows")
    need((chunk.dictionary_page_offset or 0) < chunk.data_page_offset, "a dictionary behind its data")
    told, values = chunk.statistics, values.cast(INT if chunk.physical_type == "INT64" else BYTES)
    if told and told.has_null_count:
        need(told.null_count == values.null_count, "a false number of nulls")
    if told and told.has_distinct_count:
        need(told.distinct_count == pc.count_distinct(values).as_py(), "a false number of distinct values")
    if told and told.has_min_max:
        low, high = (end.as_py() for end in pc.min_max(values).values())
        need(low is not None and told.min_raw <= low and high <= told.max_raw, "a false smallest or largest value")
        need(isinstance(low, bytes) or (told.min_raw, told.max_raw) == (low, high), "a false smallest or largest number")
