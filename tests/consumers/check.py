#!/usr/bin/env python3
"""Evidence read by the engines that people use, compared with the truth: `check.py ENGINE NDJSON`.

Run in a directory that has the evidence as `run1` and the repository's `sql/`. What `sql/README.md` shows is run as it
stands there, but for the number of the record it asks about.
"""
import datetime, json, os, pathlib, re, subprocess, sys, time

import truth

def plain(value):
    """A value in the same form whichever engine it comes from."""
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return (value - truth.EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return None if value != value else value

def row(names, values):
    """A row without what it does not have; `argv` and `detail` as the JSON that they hold."""
    found = {name: plain(value) for name, value in zip(names, values)}
    found |= {name: json.loads(found[name]) for name in ("argv", "detail") if found.get(name) is not None}
    return {name: value for name, value in found.items() if value is not None and name != "date"}

def same(what, found, expected):
    """Fails, with the first difference, unless the rows are the same but for their order."""
    expected = [{name: value for name, value in one.items() if value is not None} for one in expected]
    key = lambda one: json.dumps(one, sort_keys=True)
    found, expected = sorted(map(key, found)), sorted(map(key, expected))
    for index, (one, other) in enumerate(zip(found + [None], expected + [None])):
        if one != other:
            sys.exit(f"{what}: {len(found)} rows, {len(expected)} expected; number {index} differs\nfound    {one}\nexpected {other}")
    print(f"{what}: {len(found)} rows")

def shown(engine, language):
    """The examples of one language that `sql/README.md` has for an engine."""
    page = pathlib.Path("sql/README.md").read_text()
    section = page.split(f"\n## {engine}\n")[1].split("\n## ")[0]
    return [block.replace("1042", str(SUBJECT["seq"])) for block in re.findall(rf"```{language}\n(.*?)```", section, re.S)]

def statements(text):
    return [one for one in text.split(";\n") if re.sub("--.*", "", one).strip()]

def views(query, subjects):
    """Everything that the views of DuckDB and Spark say, and what they say about these records."""
    same("records", query("SELECT * FROM records"), RECORDS)
    for view in truth.VIEWS:
        same(view.__name__, query(f"SELECT * FROM {view.__name__}"), view(RECORDS))
    steps = lambda rows: [{"step": step, "seq": seq} for step, seq in rows]
    for of in subjects:
        for name in ("causes", "descendants"):
            call = f"{name}({of['seq']}, of_host => '{of['host']}')"
            same(call, query(f"SELECT step, seq FROM {call}"), steps(getattr(truth, name)(RECORDS, of["host"], of["seq"])))
    everywhere = [step for host in HOSTS for step in chain(host)]
    same("causes on all hosts", query(f"SELECT step, seq FROM causes({SUBJECT['seq']})"), steps(everywhere))

def texts(query):
    """What `bytes_of` makes of every path."""
    found = query("SELECT DISTINCT path, hex(bytes_of(path)) AS bytes FROM records WHERE path IS NOT NULL")
    paths = {record["path"] for record in RECORDS if record["path"]}
    same("bytes_of", found, [{"path": path, "bytes": truth.bytes_of(path).hex().upper()} for path in paths])

def tables(query):
    """What `lineage index` made, against records and `lineage why`."""
    section = pathlib.Path("sql/README.md").read_text().split("\n## Tables made beforehand\n")[1].split("\n## ")[0]
    (text,) = re.findall("```sql\n(.*?)```", section, re.S)
    *made, most, back = statements(text)
    for view in made:
        query(view)
    family = query("FROM family")
    view = {name for one in truth.processes(RECORDS) for name in one}
    same("processes", [{name: one[name] for name in view & one.keys()} for one in family], truth.processes(RECORDS))
    same("family", family, [one | more for one, more in zip(family, truth.family(RECORDS, family))])
    assert query(most)[0]["records"] >= max(one["records"] for one in family)
    same("sessions", query("FROM sessions"), truth.sessions(RECORDS))
    asked = 0
    for of in [one for one in RECORDS if one["kind"] in ("file.write", "file.read", "net.send", "file.close")][::40]:
        why = subprocess.run([os.environ["LINEAGE_BIN"], "why", "run1", f"{of['host']}:{of['seq']}", "--json"], capture_output=True, check=True)
        nodes = [one["node"].split(":") + [one["until"]] for one in json.loads(why.stdout)["nodes"]]
        found = query(back.replace("1042", f"{of['seq']} AND host = '{of['host']}'"))
        same(f"edges back from {of['seq']}", found, [{"host": of["host"], "kind": kind, "seq": int(seq), "until": until} for kind, seq, until in nodes])
        asked += len(nodes) > 3
    assert asked > 5, asked

def run(example):
    """Runs an example in Python; the names it leaves."""
    names = {}
    exec(compile(example, "sql/README.md", "exec"), names)
    return names

def duckdb():
    import duckdb
    (example,) = shown("DuckDB", "python")
    db = run(example)["db"]
    def query(text):
        cursor = db.execute(text)
        names = [column[0] for column in cursor.description]
        return [row(names, values) for values in cursor.fetchall()]
    views(query, SUBJECTS)
    texts(query)
    schema = re.findall("```sql\n(.*?)```", pathlib.Path("docs/schema.md").read_text(), re.S)
    for text in [one for block in shown("DuckDB", "sql") + schema for one in statements(block)]:
        assert query(text), f"finds nothing: {text}"
    tables(query)
    return duckdb.__version__

def spark():
    import pyspark.sql
    # For little data on one machine: what would make it fast later is not worth its time. The example takes this session.
    quick = {
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false"}
    pyspark.sql.SparkSession.builder.master("local[2]").config(map=quick).getOrCreate()
    (example,) = shown("Spark", "python")
    session = run(example)["spark"]
    def query(text):
        frame = session.sql(text)
        return [row(frame.columns, values) for values in frame.collect()]
    views(query, SUBJECTS[:1])
    texts(query)
    for text in [one for block in shown("Spark", "sql") for one in statements(block)]:
        assert query(text), f"finds nothing: {text}"
    session.stop()
    return pyspark.__version__

def polars():
    import polars
    (example,) = shown("polars", "python")
    names = run(example)
    frame = names["records"].collect()
    same("records", [row(frame.columns, values) for values in frame.iter_rows()], RECORDS)
    frame = names["written"]
    same("written", [row(frame.columns, values) for values in frame.iter_rows()], written())
    same("chain", [{"seq": seq} for seq in names["chain"]], [{"seq": seq} for _, seq in chain(HOSTS[0])])
    return polars.__version__

def pandas():
    import pandas
    (example,) = shown("pandas", "python")
    names = run(example)
    for name, expected in (("records", RECORDS), ("written", written())):
        frame = names[name].reset_index(drop=name == "records")
        columns = [frame[column].astype(object).where(frame[column].notna(), None) for column in frame.columns]
        same(name, [row(frame.columns, values) for values in zip(*columns)], expected)
    return pandas.__version__

def clickhouse():
    import chdb
    from chdb import session
    database = session.Session()
    def query(text):
        table = database.query(text, "ArrowTable")
        return [row(table.column_names, values) for values in zip(*(column.to_pylist() for column in table.columns))]
    create, totals, why, arguments = [one for block in shown("ClickHouse", "sql") for one in statements(block)]
    database.query(create)
    same("records", query("SELECT * FROM records"), RECORDS)
    same("written", query(totals), written())
    steps = [{"host": host, "seq": seq} for host in HOSTS for _, seq in chain(host)]
    same("chain", [truth.take(one, "host", "seq") for one in query(why)], steps)
    executed = [record for record in RECORDS if record["kind"] == "process.exec" and record["result"] == 0]
    lists = [truth.take(record, "exe") | {"arguments": record["argv"]} for record in executed]
    same("arguments", query(arguments), lists)
    return chdb.__version__

def written():
    """Bytes written to what has this name, by host."""
    closes = [record for record in RECORDS if record["kind"] == "file.close" and (record["bytes_written"] or 0) > 0]
    return [{"host": host, "path": path, "bytes": sum(close["bytes_written"] for close in group)}
            for (host, path), group in truth.grouped(closes, "host", "path").items()]

def chain(host):
    return truth.causes(RECORDS, host, SUBJECT["seq"])

def subjects():
    """The records that are asked about: a program far from the beginning of the first host, by a number that each host has;
    something done to a file with a hostile name; and the beginning of all."""
    common = min(max(record["seq"] for record in RECORDS if record["host"] == host) for host in HOSTS)
    far = [record for record in RECORDS if record["host"] == HOSTS[0] and truth.becomes(record) and record["seq"] <= common]
    hostile = [record for record in RECORDS if record["path"] and r"\xff" in record["path"]]
    return [max(far, key=lambda record: len(truth.causes(RECORDS, HOSTS[0], record["seq"]))), hostile[-1], RECORDS[0]]

def enough():
    """Fails unless the evidence has everything that is worth a comparison."""
    assert len(HOSTS) == 3 and len(list(pathlib.Path("run1").glob("host=*/events/date=*/*.parquet"))) > 4
    for view in truth.VIEWS:
        assert view(RECORDS), f"no {view.__name__} in the evidence"
    assert {"detail", "cpu"} <= {name for loss in truth.losses(RECORDS) for name, value in loss.items() if value is not None}
    paths = "".join(record["path"] or "" for record in RECORDS)
    for text in (r"\x0a", r"\xff", r"\\", '"', "'", "ï"):
        assert text in paths, f"no path with {text}"

if __name__ == "__main__":
    engine, ndjson = sys.argv[1:]
    # Spark gives times without a zone, in that of the process.
    os.environ["TZ"] = "UTC"
    time.tzset()
    RECORDS = truth.read(ndjson)
    # What is there once more as another host's.
    first = min(record["host"] for record in RECORDS)
    RECORDS += [truth.collections.defaultdict(lambda: None, record | {"host": "f" * 32}) for record in RECORDS if record["host"] == first]
    HOSTS = sorted({record["host"] for record in RECORDS})
    enough()
    SUBJECTS = subjects()
    SUBJECT = SUBJECTS[0]
    print(engine, globals()[engine]())
