#!/usr/bin/env python3
"""An independent verifier of lineage evidence, written from docs/evidence-format.md alone.

    verify.py DIR --trust root:HEX|VKEY|FILE ...       needs pyarrow, blake3 and pynacl

Recomputes every record root, manifest link, log root, epoch root and signature, and looks for files that are missing
or that nobody signed. Prints a line per finding, then the verdict, and exits as the document says. Rules about the
contents that only the signer could have broken (order of times, counters, lineages) are left to `lineage verify`.
"""
import base64, datetime, functools, hashlib, os, re, stat, struct, sys
import nacl.signing, pyarrow as pa, pyarrow.parquet as pq
from blake3 import blake3

VERDICTS = {"TAMPERED": 1, "INCOMPLETE": 3, "UNVERIFIABLE": 3, "NOTHING_VERIFIED": 3, "VERIFIED_WITH_LOSS": 0, "VERIFIED": 0}
TYPES = {"u64": (1, pa.int64()), "i64": (2, pa.int64()), "micros": (2, pa.timestamp("us", "UTC")), "text": (3, pa.binary())}

class Finding(Exception):
    """A verdict and the reason for it."""

def need(good, reason, verdict="TAMPERED"):
    if not good:
        raise Finding(verdict, reason)
    return good

def parse(data):
    """A text document: the values of its lines by key. What is signed needs no stricter reading."""
    document = {}
    for key, *values in (line.split(" ") for line in data.decode().split("\n")):
        document.setdefault(key, []).append([int(value) if re.fullmatch(r"-?\d{1,19}", value) else value for value in values])
    return {key: lines[0][0] if len(lines) == len(lines[0]) == 1 else lines for key, lines in document.items()}

sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
keyed = lambda key, data: blake3(data, key=key).digest()
K_LEAF, K_NODE = (blake3(b"", derive_key_context=f"lineage v1 {name}").digest() for name in ("leaf", "node"))

def record_root(hashes):
    """RFC 6962's shape: neighbours are paired level by level, an odd last one moves up."""
    while len(hashes) > 1:
        pairs = [keyed(K_NODE, left + right) for left, right in zip(hashes[::2], hashes[1::2])]
        hashes = pairs + hashes[2 * len(pairs):]
    return (hashes or [keyed(K_NODE, b"")])[0].hex()

def inclusion_root(index, size, leaf, proof):
    """The root a leaf's siblings, lowest first, lead to; ValueError if they cannot."""
    if size <= 1:
        [] = proof
        return leaf
    split, (*proof, sibling) = 1 << (size - 1).bit_length() - 1, proof
    if index < split:
        return sha(b"\1", inclusion_root(index, split, leaf, proof), sibling)
    return sha(b"\1", sibling, inclusion_root(index - split, size - split, leaf, proof))

def verifies(key, text, signature):
    try:
        return bool(nacl.signing.VerifyKey(key).verify(text, signature))
    except Exception:
        return False

def signed_text(data, signers, lines_max):
    """The text of a C2SP signed note whose first lines are these signers', each a name and a key or no key known."""
    text, lines = re.fullmatch("((?:[^\0-\x1f]+\n)+)\n((?:— [^\\s+]+ [A-Za-z0-9+/]+=*\n)+)", data.decode()).groups()
    lines = [line.split(" ")[1:] for line in lines.splitlines()]
    need(len(signers) <= len(lines) <= lines_max, "signatures")
    for (name, blob), (signer, key) in zip(lines, signers):
        raw, identity = base64.b64decode(blob), sha(signer.encode(), b"\n\1", key)[:4] if key else None
        good = name == signer and raw[:4] == identity and base64.b64encode(raw).decode() == blob
        need(key is None or good and verifies(key, text.encode(), raw[4:]), f"signature of {signer}")
    return text

def parquet_path(head):
    date = datetime.datetime.fromtimestamp(head["opened"] // 10**9, datetime.timezone.utc).date()
    return f"events/date={date}/{head['segment']:010}.parquet"

def tile_path(level, index, width):
    groups = re.findall("...", str(index).zfill(-(-len(str(index)) // 3) * 3))
    return "/".join(["log/tile", str(level), *("x" + group for group in groups[:-1]), groups[-1]]) + f".p/{width}" * (width < 256)

class Host:
    """Checks one host directory in the steps of the document."""

    def __init__(self, root, pins):
        self.root, self.id, self.pins, self.findings = root, os.path.basename(root)[5:], pins, []
        self.epoch, self.manifests, self.leaves, self.named, self.proven = {}, {}, {}, set(), 0
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
        self.files = {os.path.relpath(path, root) for path in paths if stat.S_ISREG(os.lstat(path).st_mode)}  # no links

    def attempt(self, name, step, *args):
        """Runs a step; what it cannot make sense of is a finding, too."""
        try:
            return step(name, *args)
        except Finding as finding:
            self.findings.append((*finding.args, name))
        except Exception as error:
            self.findings.append(("TAMPERED", f"malformed ({type(error).__name__})", name))

    def read(self, name, limit=1 << 16):
        need(name in self.files, f"{name} is missing", "INCOMPLETE")
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read(need(os.path.getsize(file.name) <= limit and limit, f"{name} is too large", "UNVERIFIABLE"))

    def numbers(self, pattern):
        return [int(match[1]) for match in (re.fullmatch(pattern, name) for name in sorted(self.files)) if match]

    def epoch_file(self, name):
        data = self.read(name)
        epoch, lines = parse(data), data.decode().split("\n")
        statement, proof = "\n".join(lines[:6]) + "\n", [bytes.fromhex(line[6:]) for line in lines[7:-1]]
        text = statement + f"count {epoch['count']}\n" + "".join(f"proof {hash.hex()}\n" for hash in proof)
        good = text.encode() == data and name == f"epochs/{epoch['epoch']:06}"
        need(good and sha(bytes.fromhex(epoch["host-key"]))[:16].hex() == self.id, "malformed, or of another epoch or host")
        root = inclusion_root(epoch["epoch"], epoch["count"], sha(b"\0", statement.encode()), proof)
        return epoch | {"root": root.hex(), "key": bytes.fromhex(epoch["key"])}

    def epochs(self, name):
        """Steps 1 and 4: the pin that holds here and the epoch keys it proves."""
        names = [f"epochs/{number:06}" for number in self.numbers(r"epochs/(\d{6,7})")]
        files = [file for file in (self.attempt(name, self.epoch_file) for name in names) if file]
        pin = next((bytes.fromhex(pin) for pin in self.pins if sha(bytes.fromhex(pin))[:16].hex() == self.id), None)
        self.key = pin or (bytes.fromhex(files[0]["host-key"]) if files else None)
        enrolled = self.attempt(name, lambda name: parse(signed_text(self.read(name), [(f"lineage/{self.id}", self.key)], 1).encode()))
        roots = [claim["root"] for claim in [enrolled, *files] if claim]
        root = next((root for root in roots if root in self.pins), roots[0] if pin and roots else None)
        need(root or pin, "no pin for this host", "UNVERIFIABLE")
        count = enrolled["count"] if enrolled else None
        self.epoch = {file["epoch"]: file for file in files if (file["root"], count or file["count"]) == (root, file["count"])}
        need(len(files) == len(self.epoch) and (not enrolled or [enrolled["root"], enrolled["host"]] == [root, self.id]), "another root")

    @functools.cache
    def log_root(self, start, size):
        """Root of a subtree of the host log."""
        if size == 1:
            return need(self.leaves.get(start), f"manifest {start} is missing", "INCOMPLETE")
        split = 1 << (size - 1).bit_length() - 1
        return sha(b"\1", self.log_root(start, split), self.log_root(start + split, size - split))

    def checkpoint(self, name, size, lines_max):
        epoch = self.manifests.get(size - 1, {}).get("epoch")
        signers = [(self.origin, self.key), (f"{self.origin}/epoch/{epoch}", self.epoch.get(epoch, {}).get("key"))]
        text = signed_text(self.read(name), signers, lines_max)
        need(text == f"{self.origin}\n{size}\n{base64.b64encode(self.log_root(0, size)).decode()}\n", "not of this log, size and root")

    def manifest(self, name, index):
        data, before = self.read(name, 65535), self.manifests.get(index - 1)
        self.leaves[index] = sha(b"\0", data)
        m = self.manifests[index] = parse(data) | {"digest": blake3(data).hexdigest()}
        self.origin = self.origin or m["origin"]
        need(m["origin"] == self.origin and m["segment"] == index, "of another place")
        window = self.epoch.get(m["epoch"]) or self.read(f"epochs/{m['epoch']:06}") and {"start": 0, "end": 1 << 40}
        times = [window["start"] * 10**9, m["opened"], m["closed"], window["end"] * 10**9]
        need(times == sorted(times), "outside its epoch")
        before = before or (None if index else m | {"digest": "0" * 64, "first": 0, "count": 0, "reason": "", "closed": 0})
        if before:
            need(m["previous"] == before["digest"], "does not follow the manifest before")
            need(m["first"] == before["first"] + before["count"] and m["opened"] >= before["closed"], "a gap")
            need(m["epoch"] == before["epoch"] + (before["reason"] == "epoch-end") and before["reason"] != "shutdown", "epoch")

    def log(self, name):
        """Steps 2, 3, 5 and 6."""
        sizes = self.numbers(r"log/checkpoints/([1-9]\d*)") + [last + 1 for last in self.numbers(r"manifests/(\d{10})")]
        fresh = "spool/0000000000.spool" in self.files
        newest = name in self.files and re.match(rf"(lineage/{self.id}/[0-9a-f]{{32}})\n([1-9]\d*)\n", self.read(name).decode())
        self.origin, self.size = (newest[1], int(newest[2])) if newest else (None, 0 if fresh else max(sizes, default=0))
        for index in range(min(self.size, max(self.numbers(r"manifests/(\d{10})"), default=0) + 1000)):
            self.attempt(f"manifests/{index:010}", self.manifest, index)
            self.attempt(f"log/checkpoints/{index + 1}", self.checkpoint, index + 1, 2)
            self.attempt(f"segment {index}", self.segment, self.manifests.get(index))
        if self.size or name in self.files:
            self.checkpoint(name, self.size, 102)

    def segment(self, name, m):
        if m and m["count"]:
            need(m["parquet"][0][0] == parquet_path(m), "another path in the manifest")
            self.rows(parquet_path(m), m)
        if m and m["count"] > 1024:
            blocks = self.read(f"blocks/{m['segment']:010}", 1 << 20)
            hashes = [blocks[at:at + 32] for at in range(0, len(blocks), 32)]
            need(len(hashes) == -(-m["count"] // 1024) and record_root(hashes) == m["root"], "other block roots")
        self.proven += m is not None

    def rows(self, path, m):
        """The record root over the rows of a Parquet file."""
        self.named.add(path)
        need(path in self.files, f"{path} is missing", "INCOMPLETE")
        lines = [line.split() for line in self.read(f"artifacts/{m['registry']}", 1 << 24).decode().splitlines()]
        fields = {field: (struct.pack("<HB", int(number), TYPES[kind][0]), *TYPES[kind]) for number, field, kind in lines}
        with open(os.path.join(self.root, path), "rb") as file:
            need(file.read(4) == b"PAR1", "not Parquet")
        names, leaves = pq.read_schema(os.path.join(self.root, path)).names, []
        need(set(names) <= set(fields) and len(set(names)) == len(names), "a column nobody signed")
        table = pq.read_table(os.path.join(self.root, path), partitioning=None)
        columns = [(*fields[field][:2], table[field].cast(fields[field][2])) for field in fields if field in names]
        columns = [(*head, (array if head[1] == 3 else array.cast(pa.int64())).to_pylist()) for *head, array in columns]
        for row in range(table.num_rows):
            present = [(head, tag, values[row]) for head, tag, values in columns if values[row] is not None]
            texts = [head + (struct.pack("<q", value) if tag < 3 else struct.pack("<I", len(value)) + value)
                     for head, tag, value in present]
            leaves.append(keyed(K_LEAF, struct.pack("<BH", 1, len(present)) + b"".join(texts)))
        need(len(leaves) == m["count"] and record_root(leaves) == m["root"], "other rows than were signed")

    def spool(self, name, number):
        """Step 8: frames up to the last signed commit."""
        data, at, leaves, head, commit = self.read(name, 1 << 30), 0, [], None, {}
        while len(data) - at >= 9:
            length, kind = struct.unpack_from("<IB", data, at)
            payload, check = data[at + 5:at + 5 + length], data[at + 5 + length:at + 9 + length]
            if length > 1 << 20 or not 1 <= kind <= 3 or keyed(K_LEAF, payload)[:4] != check:
                break
            need((kind == 1) == (at == 0) and "seal" not in commit, "frames out of order")
            at += 9 + length
            if kind == 1:
                head = parse(payload) | {"digest": blake3(payload).hexdigest()}
                before = self.manifests.get(number - 1, {"first": 0, "count": 0})
                place = [self.origin or head["origin"], number, before["first"] + before["count"]]
                need([head["origin"], head["segment"], head["first"]] == place, "of another place")
                key = need(self.epoch.get(head["epoch"]), f"key of epoch {head['epoch']} is missing", "INCOMPLETE")["key"]
            elif kind == 2:
                leaves.append(keyed(K_LEAF, payload))
            else:
                commit = parse(payload[64:])
                told = [head["origin"], number, head["digest"], len(leaves), record_root(leaves)]
                good = [commit[what] for what in ("origin", "segment", "header", "count", "root")] == told
                need(good and verifies(key, payload[64:], payload[:64]), "a commit of other records")
        for later in (at + found.start() for found in re.finditer(b"lineage v1 commit\n", data[at:])):
            text = data[later:later - 64 + int.from_bytes(data[later - 69:later - 65], "little")]
            good = not any(verifies(epoch["key"], text, data[later - 64:later]) for epoch in self.epoch.values())
            need(good, "damage before a commit")
        self.manifests[number], self.proven = (head or {}) | commit, self.proven + commit.get("count", 0)
        if f"manifests/{number:010}" in self.files:
            self.leaves[number] = sha(b"\0", self.read(f"manifests/{number:010}"))
        if "seal" in commit and commit["count"] and parquet_path(head) in self.files:
            self.rows(parquet_path(head), head | commit)

    def tile(self, name, level, index, width):
        hashes = [self.log_root((256 * index + at) << 8 * level, 1 << 8 * level) for at in range(width)]
        need(self.read(name) == b"".join(hashes), "other hashes")

    def rest(self, name):
        """Steps 7 to 9, tiles and losses."""
        end = self.size
        while f"spool/{end:010}.spool" in self.files:
            self.attempt(f"spool/{end:010}.spool", self.spool, end)
            end += 1
        for level, index in ((level, index) for level in range(8) for index in range(-(-(self.size >> 8 * level) // 256))):
            width = min(256, (self.size >> 8 * level) - 256 * index)
            smaller = self.numbers(re.escape(tile_path(level, index, 1))[:-1] + r"(\d+)")
            for width in {width, *(width for width in smaller if width < 256)}:
                self.attempt(tile_path(level, index, width), self.tile, level, index, width)
        for artifact in (path for path in self.files if re.fullmatch("artifacts/[0-9a-f]{64}", path)):
            self.attempt(artifact, lambda path: need(blake3(self.read(path, 1 << 24)).hexdigest() == path[10:], "another document"))
        for m in self.manifests.values():
            contexts = m.get("context", [])
            for context in [contexts] if isinstance(contexts, str) else [context for context, in contexts]:
                self.attempt(f"artifacts/{context}", self.read, 1 << 24)
            cpus = parse(self.read(f"artifacts/{m['counters']}", 1 << 24)) if "counters" in m else m
            lost = any(any(cpu[2:6]) or any(cpu[8::3]) for cpu in cpus.get("cpu", []))
            if lost or m.get("dropped") or m.get("discarded") or m.get("reason") == "recovery":
                self.findings.append(("VERIFIED_WITH_LOSS", "events were not recorded", f"segment {m.get('segment')}"))
        gone = set(range(self.size)) - set(self.manifests)
        kept = {path for path in self.files if re.fullmatch(r"events/[^/]*/\d{10}\.parquet", path) and int(path[-18:-8]) in gone}
        need({path for path in self.files if path.startswith("events/")} <= self.named | kept, "files nobody signed")
        newer = self.numbers(r"(?:manifests|blocks)/(\d{10})") + [size - 1 for size in self.numbers(r"log/checkpoints/([1-9]\d*)")]
        need(max(newer, default=-1) < end, "evidence newer than the log")
        ended = self.manifests.get(self.size - 1, {}).get("reason", "stop") in ("stop", "shutdown", "recovery")
        need(self.manifests.get(self.size) or ended, "the spool is missing", "INCOMPLETE")

def verify(directory, trust):
    """The verdict over all hosts, and the findings."""
    pins, findings, proven = set(), [], 0
    for pin in [pin for given in trust for pin in (open(given).read().split() if os.path.exists(given) else [given])]:
        pins.add(pin[5:] if pin.startswith("root:") else base64.b64decode(pin.split("+", 2)[2])[1:].hex())
    for name in sorted(name for name in os.listdir(directory) if name.startswith("host=")):
        host = Host(os.path.join(directory, name), pins)
        host.attempt(name, lambda name: need(re.fullmatch("host=[0-9a-f]{32}", name), "not a host"))
        for name, step in (("epochs/enrolment", host.epochs), ("log/checkpoint", host.log), ("host", host.rest)):
            host.attempt(name, step)
        findings, proven = findings + host.findings, proven + host.proven
    findings += [("NOTHING_VERIFIED", "nothing there", directory)] * (not proven)
    return min([finding[0] for finding in findings] or ["VERIFIED"], key=list(VERDICTS).index), findings

if __name__ == "__main__":
    directory, *trust = [argument for argument in sys.argv[1:] if argument != "--trust"] or sys.exit(__doc__)
    verdict, findings = verify(directory, trust)
    print(*(f"{grade} {where!a}: {reason!a}" for grade, reason, where in findings), verdict, sep="\n")
    sys.exit(VERDICTS[verdict])
