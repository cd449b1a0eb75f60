"""What the views of `sql/` must say, worked out record by record from what `lineage ls --ndjson` prints.

Loops over dictionaries and no query engine, so that it has nothing in common with what it is compared with.
"""
import collections, datetime, json, re

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
VERSION = ("dev", "ino", "generation", "size", "mtime_ns", "ctime_ns")
USES = ("file.open", "file.inherit", "file.snapshot", "file.map", "file.read", "file.write", "file.close", "descriptor.receive")
ENDS = ("net.connect", "net.accept", "net.pair", "net.inherit", "net.snapshot")

def read(path):
    """All records, in the order in which they are printed; `time` in microseconds."""
    records = []
    for line in open(path, encoding="utf-8"):
        record = collections.defaultdict(lambda: None, json.loads(line))
        record["time"] = (datetime.datetime.fromisoformat(record["time"]) - EPOCH) // datetime.timedelta(microseconds=1)
        records.append(record)
    return records

def take(record, *names, **more):
    return {name: record[name] for name in names} | more

def becomes(record):
    """Whether a process runs another program from here on, as far as is known."""
    return record["kind"] == "process.snapshot" or record["kind"] == "process.exec" and record["result"] == 0

def grouped(records, *names):
    groups = collections.defaultdict(list)
    for record in records:
        groups[tuple(record[name] for name in names)].append(record)
    return groups

def last(records, name):
    return next((record[name] for record in reversed(records) if record[name] is not None), None)

def first(records, name):
    return last(records[::-1], name)

def programs(records):
    contents = {}
    for record in records:
        if record["kind"] == "file.digest" and record["blake3"]:
            contents[tuple(record[name] for name in ("host", *VERSION))] = record["blake3"]
    rows = []
    for life in grouped(records, "host", "process_uid").values():
        steps = [record for record in life if becomes(record) or record["kind"] == "process.exit"]
        for step, after in zip(steps, [*steps[1:], None]):
            if step["kind"] != "process.exit":
                rows.append(take(
                    step, "host", "lineage", "seq", "cause", "process_uid", "exec", "parent_uid", "pid", "ppid", "exe", "argv", "entry",
                    "filename", "interpreter", "cwd", "uid", "gid", "euid", "egid", started=step["time"], ended=after and after["time"],
                    blake3=contents.get(tuple(step[name] for name in ("host", *VERSION)))))
    return rows

def family(records, rows):
    """Of each of these processes what the table of `lineage index` says beyond the view, in the same order."""
    parents = {(row["host"], row["process_uid"]): row.get("parent_uid") for row in rows}
    born = {(row["host"], row["process_uid"]): row["seq"] for row in rows}
    sets = {(row["host"], row["process_uid"]): (row["set_left"], row["set_right"]) for row in rows}
    acting, about = collections.Counter(), {}
    for record in records:
        acting[record["host"], record["process_uid"]] += 1
        for uid in (record["process_uid"], record["kind"] == "process.fork" and record["child_uid"]):
            about[record["host"], uid] = record["seq"]
    ancestors = {}
    for host, uid in parents:
        chain, one = [], uid
        while (host, parent := parents[host, one]) in parents and born[host, parent] < born[host, one]:
            chain.append(one := parent)
        ancestors[host, uid] = chain
    # Nested sets: one is within the other exactly when it descends from it, and no number is given twice.
    for (host, uid), (left, right) in sets.items():
        within = {other for (of, other), (begin, end) in sets.items() if of == host and left < begin and end < right}
        assert within == {other for (of, other), chain in ancestors.items() if of == host and uid in chain}, uid
    for host in {host for host, _ in sets}:
        numbers = sorted(number for (of, _), both in sets.items() if of == host for number in both)
        assert numbers == list(range(1, len(numbers) + 1)), host
    return [{"records": acting[key], "last_seq": about[key], "depth": len(ancestors[key]), "ancestors": ancestors[key]}
            for key in ((row["host"], row["process_uid"]) for row in rows)]

def sessions(records):
    rows = []
    for (host, lineage), group in grouped(records, "host", "lineage").items():
        if lineage is None:
            continue
        kinds = collections.defaultdict(list)
        for record in group:
            kinds[record["kind"]].append(record)
        # A connection that is not there yet (EINPROGRESS) has not failed.
        failed = lambda one: one["result"] is not None and one["result"] < 0 and one["result"] != -115
        done = lambda *names: sum(not failed(one) for name in names for one in kinds[name])
        (start,), end = kinds["lineage.start"], kinds["lineage.end"]
        found = kinds["process.snapshot"]
        rows.append({
            "host": host, "lineage": lineage, "seq": group[0]["seq"], "last_seq": group[-1]["seq"], "how": start["detail"]["how"],
            "command": start["detail"].get("command") and json.dumps(start["detail"]["command"], separators=(",", ":")),
            "process_uid": found[0]["process_uid"] if found else None, "uid": found[0]["uid"] if found else None,
            "context": first(group, "context"), "started": group[0]["time"], "ended": end[0]["time"] if end else None,
            "reason": end[0]["detail"].get("reason") if end else None, "records": len(group),
            "contexts": 1 + len(kinds["context.change"]), "processes": done("process.fork", "process.snapshot"),
            "programs": done("process.exec"), "connections": done("net.connect", "net.accept"),
            "denied": sum(record["verdict"] == "deny" for record in group),
            "failed": sum(map(failed, group))})
    return rows

def processes(records):
    lives = collections.defaultdict(list)
    for record in records:
        if record["process_uid"]:
            lives[record["host"], record["process_uid"]].append(record)
        if record["child_uid"] and record["kind"] == "process.fork":
            born = {"process_uid": "child_uid", "pid": "child_pid", "parent_uid": "process_uid", "ppid": "pid"}
            born = {name: record[where] for name, where in born.items()} | take(record, "host", "lineage", "seq", "time")
            lives[record["host"], record["child_uid"]].append(collections.defaultdict(lambda: None, born | {"kind": "begin"}))
    rows = []
    for life in lives.values():
        programs = [record for record in life if becomes(record)]
        ends = [record for record in life if record["kind"] == "process.exit"]
        begins = [record["time"] for record in life if record["kind"] == "begin"]
        rows.append(take(life[0], "host", "lineage", "seq", "process_uid") | {
            "parent_uid": first(life, "parent_uid"), "pid": first(life, "pid"), "ppid": first(life, "ppid"),
            "exe": last(life, "exe"), "programs": [record["exe"] for record in programs], "argv": last(programs, "argv"),
            "uid": last(life, "uid"), "gid": last(life, "gid"), "euid": last(life, "euid"), "egid": last(life, "egid"),
            "started": begins[0] if begins else None, "ended": last(ends, "time"),
            "exit_code": last(ends, "exit_code"), "exit_signal": last(ends, "exit_signal")})
    return rows

def files(records):
    at = {(record["host"], record["seq"]): record for record in records}
    uses = []
    for record in records:
        if record["kind"] in USES and record["dev"] is not None and (record["result"] or 0) >= 0:
            opener = at.get((record["host"], record["opened"]))
            if record["generation"] is None and opener:
                record = collections.defaultdict(lambda: None, record | {"generation": opener["generation"]})
            uses.append(record)
    total = lambda group, name: sum(known) if (known := [use[name] for use in group if use[name] is not None]) else None
    seq_of = lambda group, kind: next((use["seq"] for use in group if use["kind"] == kind), None)
    return [take(group[0], "host", "dev", "ino", "generation", "process_uid", "seq") | {
        "path": first(group, "path"), "pid": first(group, "pid"), "exe": last(group, "exe"),
        "bytes_read": total(group, "bytes_read"), "bytes_written": total(group, "bytes_written"),
        "first_read": seq_of(group, "file.read"), "first_write": seq_of(group, "file.write"),
        "maps": sum(use["kind"] == "file.map" for use in group),
    } for group in grouped(uses, "host", "dev", "ino", "generation", "process_uid").values()]

def connections(records):
    closes = {(record["host"], record["opened"]): record for record in records if record["kind"] == "net.close"}
    nothing = collections.defaultdict(lambda: None)
    rows = []
    for record in records:
        if record["kind"] in ENDS or record["kind"] == "descriptor.receive" and record["transport"]:
            close = closes.get((record["host"], record["seq"]), nothing)
            rows.append(take(
                record, "host", "lineage", "seq", "kind", "process_uid", "exec", "pid", "exe", "result", "transport", "local_addr",
                "local_port", "peer_addr", "peer_port", "peer_uid", "peer_pid", "other_end", started=record["time"],
                ended=close["time"], closed=close["seq"], bytes_read=close["bytes_read"], bytes_written=close["bytes_written"]))
    return rows

def denials(records):
    return [take(
        record, "host", "lineage", "seq", "time", "kind", "process_uid", "pid", "exe", "judged", "effect", "rule", "reason",
        "grant_level", "table_generation", "context") for record in records if record["verdict"] == "deny"]

def losses(records):
    return [take(
        record, "host", "lineage", "seq", "time", "cpu", "lost_first", "lost_count", "detail",
        counter=(record["detail"] or {}).get("counter"), times=(record["detail"] or {}).get("times"),
    ) for record in records if record["kind"] == "evidence.loss"]

def makers(records):
    named = {(record["host"], record["cause"]) for record in records}
    return [take(record, "host", "seq", "cause") for record in records if (record["host"], record["seq"]) in named]

VIEWS = (programs, processes, files, connections, denials, losses, makers)

def causes(records, host, seq):
    """The `seq` of the record and of its causes, with the steps to each."""
    at = {record["seq"]: record for record in records if record["host"] == host}
    chain = []
    while seq is not None:
        chain.append((len(chain), seq))
        seq = at[seq]["cause"]
    return chain

def descendants(records, host, seq):
    """Likewise of the record and all that came of it, by `seq`."""
    steps = {seq: 0}
    for record in records:
        if record["host"] == host and record["cause"] in steps:
            steps[record["seq"]] = steps[record["cause"]] + 1
    return [(step, seq) for seq, step in sorted(steps.items())]

def bytes_of(text):
    """Takes the escape back."""
    parts = re.findall(r"\\\\|\\x[0-9a-f]{2}|[^\\]+", text)
    return b"".join(b"\\" if part == r"\\" else bytes.fromhex(part[2:]) if part[0] == "\\" else part.encode() for part in parts)
