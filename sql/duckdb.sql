-- Views of evidence for DuckDB, 1.4 or later. Names are those of docs/schema.md; nothing is copied or changed.
--
--     SET VARIABLE evidence = 'run1';      -- the directory with host=… in it; needed in every session, also a later one
--     .read sql/duckdb.sql
--     FROM causes(1042);
--
-- `seq` counts per host, and so does what refers to it (`cause`, `opened`, `other_end`): all is joined by host as well.
-- What a query says is no proof. `lineage verify` says whether what was queried is what was recorded.

-- Every record that is sealed. Older segments lack columns that came later, so columns go by name.
CREATE OR REPLACE VIEW records AS
FROM read_parquet(
    getvariable('evidence') || '/host=*/events/date=*/*.parquet',
    union_by_name = true,
    hive_types = {'host': VARCHAR, 'date': DATE} -- hex that looks like a number is none
);

-- One row for each program that a process ran: what it executed, or was found executing. `ended` is when it executed the next
-- or exited. A new process runs its parent's program and has no row until its first exec. `blake3` is the executable's.
CREATE OR REPLACE VIEW programs AS
WITH lives AS (
    SELECT *, lead(time) OVER (PARTITION BY host, process_uid ORDER BY seq) AS ended
    FROM records
    WHERE kind IN ('process.snapshot', 'process.exit') OR (kind = 'process.exec' AND result = 0)
), digests AS (
    SELECT host, dev, ino, generation, size, mtime_ns, ctime_ns, any_value(blake3) AS blake3
    FROM records
    WHERE kind = 'file.digest'
    GROUP BY ALL
)
SELECT
    host, lineage, seq, cause, process_uid, exec, parent_uid, pid, ppid, exe, argv, entry, filename, interpreter, cwd,
    uid, gid, euid, egid, time AS started, ended, digests.blake3
FROM lives LEFT JOIN digests USING (host, dev, ino, generation, size, mtime_ns, ctime_ns)
WHERE kind <> 'process.exit';

-- One row for each process. `seq` is the record of its beginning: the fork that made it or, where recording reached it only
-- later, its snapshot; `started` is known of a fork. `programs` is what it ran in turn; `argv` and the ids are the last ones,
-- and null for a process that never executed anything: it has those of its parent.
CREATE OR REPLACE VIEW processes AS
WITH lives AS (
    SELECT *, kind = 'process.snapshot' OR (kind = 'process.exec' AND result = 0) AS becomes
    FROM records
    WHERE process_uid IS NOT NULL
    UNION ALL BY NAME
    SELECT
        host, lineage, seq, time, child_uid AS process_uid, child_pid AS pid, process_uid AS parent_uid, pid AS ppid,
        'begin' AS kind
    FROM records
    WHERE kind = 'process.fork' AND child_uid IS NOT NULL
)
SELECT
    host, arg_min(lineage, seq) AS lineage, min(seq) AS seq, process_uid, arg_min(parent_uid, seq) AS parent_uid,
    arg_min(pid, seq) AS pid, arg_min(ppid, seq) AS ppid, arg_max(exe, seq) AS exe,
    coalesce(list(exe ORDER BY seq) FILTER (becomes), []) AS programs, arg_max(argv, seq) FILTER (becomes) AS argv,
    arg_max(uid, seq) AS uid, arg_max(gid, seq) AS gid, arg_max(euid, seq) AS euid, arg_max(egid, seq) AS egid,
    min(time) FILTER (kind = 'begin') AS started, max(time) FILTER (kind = 'process.exit') AS ended,
    max(exit_code) FILTER (kind = 'process.exit') AS exit_code,
    max(exit_signal) FILTER (kind = 'process.exit') AS exit_signal
FROM lives
GROUP BY host, process_uid;

-- One row for each process and each file it had open or mapped, whatever the name: a file is `dev`, `ino` and `generation`.
-- Bytes are those of descriptors that were closed. `first_read` and `first_write` are the records of the first bytes, `seq` is
-- the first of all; `path` is the name it had then.
CREATE OR REPLACE VIEW files AS
WITH uses AS (
    SELECT used.* EXCLUDE (generation), coalesce(used.generation, opener.generation) AS generation
    FROM records AS used LEFT JOIN records AS opener ON opener.host = used.host AND opener.seq = used.opened
    WHERE used.kind IN ('file.open', 'file.inherit', 'file.snapshot', 'file.map', 'file.read', 'file.write', 'file.close', 'descriptor.receive')
      AND used.dev IS NOT NULL AND coalesce(used.result, 0) >= 0
)
SELECT
    host, dev, ino, generation, arg_min(path, seq) AS path, process_uid, arg_min(pid, seq) AS pid, arg_max(exe, seq) AS exe,
    min(seq) AS seq, sum(bytes_read)::BIGINT AS bytes_read, sum(bytes_written)::BIGINT AS bytes_written,
    min(seq) FILTER (kind = 'file.read') AS first_read, min(seq) FILTER (kind = 'file.write') AS first_write,
    count(*) FILTER (kind = 'file.map') AS maps
FROM uses
GROUP BY host, dev, ino, generation, process_uid;

-- One row for each end of a connection that a process made, accepted, got or was found with, and for each attempt that failed.
-- `ended`, the bytes and `closed`, the record of it, are known once it is closed. `other_end` is a record of the other end, where that is recorded too.
-- Datagrams to and from addresses of their own are no connections: see the kinds `net.send` and `net.receive`.
CREATE OR REPLACE VIEW connections AS
SELECT
    made.host, made.lineage, made.seq, made.kind, made.process_uid, made.exec, made.pid, made.exe, made.result, made.transport,
    made.local_addr, made.local_port, made.peer_addr, made.peer_port, made.peer_uid, made.peer_pid, made.other_end,
    made.time AS started, closed.time AS ended, closed.seq AS closed, closed.bytes_read, closed.bytes_written
FROM records AS made
LEFT JOIN records AS closed ON closed.host = made.host AND closed.opened = made.seq AND closed.kind = 'net.close'
WHERE made.kind IN ('net.connect', 'net.accept', 'net.pair', 'net.inherit', 'net.snapshot')
   OR (made.kind = 'descriptor.receive' AND made.transport IS NOT NULL);

-- What was not allowed, by what, and what came of it.
CREATE OR REPLACE VIEW denials AS
SELECT
    host, lineage, seq, time, kind, process_uid, pid, exe, judged, effect, rule, reason, grant_level, table_generation, context
FROM records
WHERE verdict = 'deny';

-- What is known not to be recorded. No row does not mean no loss: manifests have counters too, and `lineage verify` adds them up.
CREATE OR REPLACE VIEW losses AS
SELECT
    host, lineage, seq, time, cpu, lost_first, lost_count, detail->>'$.counter' AS counter,
    (detail->>'$.times')::BIGINT AS times, detail
FROM records
WHERE kind = 'evidence.loss';

-- Records that caused others. They are few, so causes are followed through these alone.
CREATE OR REPLACE VIEW makers AS
SELECT host, seq, cause FROM records SEMI JOIN (SELECT host, cause AS seq FROM records) USING (host, seq);

-- A record, what caused it, and so on, back to the launch or attach that it descends from. A cause comes first, so this ends.
CREATE OR REPLACE MACRO causes(of_seq, of_host := NULL) AS TABLE
WITH RECURSIVE maker AS MATERIALIZED (FROM makers), chain AS (
    SELECT 0 AS step, host, seq, cause FROM records WHERE seq = of_seq AND (of_host IS NULL OR host = of_host)
    UNION ALL
    SELECT step + 1, maker.host, maker.seq, maker.cause
    FROM chain JOIN maker ON maker.host = chain.host AND maker.seq = chain.cause
    WHERE maker.seq < chain.seq
)
SELECT step, records.* FROM chain JOIN records USING (host, seq) ORDER BY host, step;

-- A record and all that came of it, as many steps later.
CREATE OR REPLACE MACRO descendants(of_seq, of_host := NULL) AS TABLE
WITH RECURSIVE maker AS MATERIALIZED (FROM makers), tree AS (
    SELECT 0 AS step, host, seq FROM records WHERE seq = of_seq AND (of_host IS NULL OR host = of_host)
    UNION ALL
    SELECT step + 1, maker.host, maker.seq
    FROM tree JOIN maker ON maker.host = tree.host AND maker.cause = tree.seq
    WHERE maker.seq > tree.seq
)
SELECT step, records.* FROM tree JOIN records USING (host, seq) WHERE step = 0
UNION ALL
SELECT step + 1, records.* FROM tree JOIN records ON records.host = tree.host AND records.cause = tree.seq AND records.seq > tree.seq
ORDER BY host, seq;

-- The bytes that a text stands for: `\xHH` is a byte, `\\` a backslash.
CREATE OR REPLACE MACRO bytes_of(text) AS unhex(array_to_string(list_transform(
    regexp_extract_all(text, '\\\\|\\x[0-9a-f]{2}|[^\\]+'),
    lambda part: CASE WHEN part = '\\' THEN '5C' WHEN part[1] = '\' THEN part[3:] ELSE hex(encode(part)) END
), ''));
