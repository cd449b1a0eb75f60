-- Views of evidence for Spark 4.1 or later: those of duckdb.sql, where it is said what they mean, in Spark's words.
--
-- First of all comes `SET evidence = run1`, the directory with host=… in it; then the statements below, one after the other.
-- `seq` counts per host. What a query says is no proof; `lineage verify` says whether it is what was recorded.

-- Older segments lack columns that came later.
SET spark.sql.parquet.mergeSchema = true;

-- Otherwise every query looks whether a stream wrote the files, and warns that it cannot tell.
SET spark.sql.streaming.fileStreamSink.ignoreMetadata = true;

-- Spark takes no partition from above `events`, so the host is taken from the name of the file.
CREATE OR REPLACE TEMPORARY VIEW records AS
SELECT regexp_extract(_metadata.file_path, '/host=([0-9a-f]+)/events/', 1) AS host, *
FROM parquet.`${evidence}/host=*/events/date=*/*.parquet`;

CREATE OR REPLACE TEMPORARY VIEW programs AS
WITH lives AS (
    SELECT *, lead(time) OVER (PARTITION BY host, process_uid ORDER BY seq) AS ended
    FROM records
    WHERE kind IN ('process.snapshot', 'process.exit') OR (kind = 'process.exec' AND result = 0)
), digests AS (
    SELECT host, dev, ino, generation, size, mtime_ns, ctime_ns, max(blake3) AS blake3
    FROM records
    WHERE kind = 'file.digest'
    GROUP BY ALL
)
SELECT
    host, lineage, seq, cause, process_uid, exec, parent_uid, pid, ppid, exe, argv, entry, filename, interpreter, cwd,
    uid, gid, euid, egid, time AS started, ended, digests.blake3
FROM lives LEFT JOIN digests USING (host, dev, ino, generation, size, mtime_ns, ctime_ns)
WHERE kind <> 'process.exit';

CREATE OR REPLACE TEMPORARY VIEW processes AS
WITH lives AS (
    SELECT
        host, lineage, seq, time, process_uid, parent_uid, pid, ppid, kind, exe, argv, uid, gid, euid, egid, exit_code, exit_signal,
        kind = 'process.snapshot' OR (kind = 'process.exec' AND result = 0) AS becomes
    FROM records
    WHERE process_uid IS NOT NULL
    UNION ALL
    SELECT
        host, lineage, seq, time, child_uid, process_uid, child_pid, pid, 'begin', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        false
    FROM records
    WHERE kind = 'process.fork' AND child_uid IS NOT NULL
)
SELECT
    host, min_by(lineage, seq) AS lineage, min(seq) AS seq, process_uid,
    min_by(parent_uid, seq) FILTER (WHERE parent_uid IS NOT NULL) AS parent_uid, min_by(pid, seq) AS pid,
    min_by(ppid, seq) FILTER (WHERE ppid IS NOT NULL) AS ppid, max_by(exe, seq) FILTER (WHERE exe IS NOT NULL) AS exe,
    array_sort(collect_list(struct(seq, exe)) FILTER (WHERE becomes)).exe AS programs,
    max_by(argv, seq) FILTER (WHERE becomes) AS argv,
    max_by(uid, seq) FILTER (WHERE uid IS NOT NULL) AS uid, max_by(gid, seq) FILTER (WHERE gid IS NOT NULL) AS gid,
    max_by(euid, seq) FILTER (WHERE euid IS NOT NULL) AS euid, max_by(egid, seq) FILTER (WHERE egid IS NOT NULL) AS egid,
    min(time) FILTER (WHERE kind = 'begin') AS started, max(time) FILTER (WHERE kind = 'process.exit') AS ended,
    max(exit_code) FILTER (WHERE kind = 'process.exit') AS exit_code,
    max(exit_signal) FILTER (WHERE kind = 'process.exit') AS exit_signal
FROM lives
GROUP BY host, process_uid;

CREATE OR REPLACE TEMPORARY VIEW files AS
WITH uses AS (
    SELECT
        used.host, used.seq, used.kind, used.process_uid, used.pid, used.exe, used.path, used.dev, used.ino,
        coalesce(used.generation, opener.generation) AS generation, used.bytes_read, used.bytes_written
    FROM records AS used LEFT JOIN records AS opener ON opener.host = used.host AND opener.seq = used.opened
    WHERE used.kind IN ('file.open', 'file.inherit', 'file.snapshot', 'file.map', 'file.read', 'file.write', 'file.close', 'descriptor.receive')
      AND used.dev IS NOT NULL AND coalesce(used.result, 0) >= 0
)
SELECT
    host, dev, ino, generation, min_by(path, seq) FILTER (WHERE path IS NOT NULL) AS path, process_uid, min_by(pid, seq) AS pid,
    max_by(exe, seq) FILTER (WHERE exe IS NOT NULL) AS exe,
    min(seq) AS seq, sum(bytes_read) AS bytes_read, sum(bytes_written) AS bytes_written,
    min(seq) FILTER (WHERE kind = 'file.read') AS first_read, min(seq) FILTER (WHERE kind = 'file.write') AS first_write,
    count(*) FILTER (WHERE kind = 'file.map') AS maps
FROM uses
GROUP BY host, dev, ino, generation, process_uid;

CREATE OR REPLACE TEMPORARY VIEW connections AS
SELECT
    made.host, made.lineage, made.seq, made.kind, made.process_uid, made.exec, made.pid, made.exe, made.result, made.transport,
    made.local_addr, made.local_port, made.peer_addr, made.peer_port, made.peer_uid, made.peer_pid, made.other_end,
    made.time AS started, closed.time AS ended, closed.seq AS closed, closed.bytes_read, closed.bytes_written
FROM records AS made
LEFT JOIN records AS closed ON closed.host = made.host AND closed.opened = made.seq AND closed.kind = 'net.close'
WHERE made.kind IN ('net.connect', 'net.accept', 'net.pair', 'net.inherit', 'net.snapshot')
   OR (made.kind = 'descriptor.receive' AND made.transport IS NOT NULL);

CREATE OR REPLACE TEMPORARY VIEW denials AS
SELECT
    host, lineage, seq, time, kind, process_uid, pid, exe, judged, effect, rule, reason, grant_level, table_generation, context
FROM records
WHERE verdict = 'deny';

CREATE OR REPLACE TEMPORARY VIEW losses AS
SELECT
    host, lineage, seq, time, cpu, lost_first, lost_count, get_json_object(detail, '$.counter') AS counter,
    CAST(get_json_object(detail, '$.times') AS BIGINT) AS times, detail
FROM records
WHERE kind = 'evidence.loss';

-- Kept in memory from its first use on: each step of a recursion reads it anew.
CACHE LAZY TABLE makers AS
SELECT maker.host, maker.seq, maker.cause
FROM records AS maker LEFT SEMI JOIN records AS made ON made.host = maker.host AND made.cause = maker.seq;

CREATE OR REPLACE TEMPORARY FUNCTION causes(of_seq BIGINT, of_host STRING DEFAULT NULL)
RETURNS TABLE (step INT, host STRING, seq BIGINT)
RETURN WITH RECURSIVE chain MAX RECURSION LEVEL 100000 AS (
    SELECT 0 AS step, host, seq, cause
    FROM records
    WHERE seq = causes.of_seq AND (causes.of_host IS NULL OR host = causes.of_host)
    UNION ALL
    SELECT step + 1, makers.host, makers.seq, makers.cause
    FROM chain JOIN makers ON makers.host = chain.host AND makers.seq = chain.cause
    WHERE makers.seq < chain.seq
)
SELECT step, host, seq FROM chain;

CREATE OR REPLACE TEMPORARY FUNCTION descendants(of_seq BIGINT, of_host STRING DEFAULT NULL)
RETURNS TABLE (step INT, host STRING, seq BIGINT)
RETURN WITH RECURSIVE tree MAX RECURSION LEVEL 100000 AS (
    SELECT 0 AS step, host, seq
    FROM records
    WHERE seq = descendants.of_seq AND (descendants.of_host IS NULL OR host = descendants.of_host)
    UNION ALL
    SELECT step + 1, makers.host, makers.seq
    FROM tree JOIN makers ON makers.host = tree.host AND makers.cause = tree.seq
    WHERE makers.seq > tree.seq
)
SELECT step, host, seq FROM tree WHERE step = 0
UNION ALL
SELECT step + 1, records.host, records.seq
FROM tree JOIN records ON records.host = tree.host AND records.cause = tree.seq AND records.seq > tree.seq;

CREATE OR REPLACE TEMPORARY FUNCTION bytes_of(text STRING) RETURNS BINARY
RETURN unhex(array_join(transform(
    regexp_extract_all(text, r'(\\\\|\\x[0-9a-f]{2}|[^\\]+)', 1),
    part -> CASE WHEN part = r'\\' THEN '5C' WHEN left(part, 1) = r'\' THEN substr(part, 3) ELSE hex(part) END
), ''));
