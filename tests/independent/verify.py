#!/usr/bin/env python3
"""An independent verifier of lineage evidence, written from docs/evidence-format.md alone.

    verify.py DIR|PROOF --trust root:HEX|VKEY|FILE ...       needs pyarrow, blake3 and pynacl

Recomputes every record root, manifest link, log root, epoch root and signature, looks for files that are missing or that
nobody signed, and exits as the document says. Left to `lineage verify` are witnesses, rules about contents that only the signer could
have broken (order of times, counters, lineages, decisions by policies), and what pyarrow does not tell of a rewritten Parquet file.
"""
import base64, datetime, hashlib, itertools, json, os, pathlib, re, stat, struct, sys
import nacl.signing, segment
from blake3 import blake3

VERDICTS = {"TAMPERED": 1, "INCOMPLETE": 3, "UNVERIFIABLE": 3, "NOTHING_VERIFIED": 3, "VERIFIED_WITH_LOSS": 0, "VERIFIED": 0}
class Finding(Exception): """A verdict and the reason for it."""

def need(good, reason, verdict="TAMPERED"):
    if not good:
        raise Finding(verdict, reason)
    return good

def parse(data):
    """A text document: the values of its lines by key. What is signed needs no stricter reading."""
    document = {}
    for key, *values in (line.split(" ") for line in data.decode().split("\n")):
        values = [int(value) if re.fullmatch(r"-?\d{1,19}", value) else value for value in values]
        document.setdefault(key, []).append(values[0] if len(values) == 1 else values)
    return {key: lines if key in ("context", "cpu", "proof") else lines[0] for key, lines in document.items()}

sha, keyed = lambda *parts: hashlib.sha256(b"".join(parts)).digest(), lambda key, *parts: blake3(b"".join(parts), key=key).digest()
K_LEAF, K_NODE = (blake3(b"", derive_key_context=f"lineage v1 {name}").digest() for name in ("leaf", "node"))
record_node, log_node = lambda *both: keyed(K_NODE, *both), lambda *both: sha(b"\1", *both)

def root(hashes, node):
    """RFC 6962's shape: neighbours are paired level by level, an odd last one moves up."""
    need(all(hashes), "a manifest is missing", "INCOMPLETE")
    while len(hashes) > 1:
        hashes = [node(*pair) if len(pair) == 2 else pair[0] for pair in (hashes[at:at + 2] for at in range(0, len(hashes), 2))]
    return hashes[0] if hashes else node()

def inclusion_root(index, size, leaf, proof):
    """The root a leaf's siblings, lowest first, lead to; ValueError if they cannot."""
    if size <= 1:
        return need(not proof and leaf, "a proof that is too long")
    split, (*proof, sibling) = 1 << (size - 1).bit_length() - 1, proof
    if index < split:
        return log_node(inclusion_root(index, split, leaf, proof), sibling)
    return log_node(sibling, inclusion_root(index - split, size - split, leaf, proof))

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
    for (name, blob), (signer, key) in (both for both in zip(lines, signers) if both[1][1]):
        raw, identity = base64.b64decode(blob), sha(signer.encode(), b"\n\1", key)[:4]
        good = name == signer and raw[:4] == identity and base64.b64encode(raw).decode() == blob
        need(good and verifies(key, text.encode(), raw[4:]), f"no signature of {signer}")
    return text

def parquet_path(head):
    return f"events/date={datetime.date.fromordinal(719163 + head['opened'] // (86400 * 10**9))}/{head['segment']:010}.parquet"
def tile_path(level, index, width):
    groups = re.findall("...", str(index).zfill(-(-len(str(index)) // 3) * 3))
    return "/".join(["log/tile", str(level), *("x" + group for group in groups[:-1]), groups[-1]]) + f".p/{width}" * (width < 256)

def walk(folder, depth=12):
    """Everything below a folder that is no folder itself. Links are not followed, nor folders deeper than this."""
    for entry in os.scandir(folder):
        yield from walk(entry.path, depth - 1) if depth and entry.is_dir(follow_symlinks=False) else [entry.path]

class Host:
    """Checks one host directory in the steps of the document."""
    ENDS = ("mounts", "recognisers", "grants", "intent", "revocation", "schema", "levels")  # name no others
    def __init__(self, root, pins):
        self.root, self.id, self.pins, self.findings = root, os.path.basename(root)[5:], pins, []
        self.epoch, self.manifests, self.leaves, self.named, self.ends, self.proven, self.size = {}, {}, [], set(), set(), 0, 0
        self.all = {os.path.relpath(path, root): os.lstat(path) for path in walk(root)}
        self.files = {path for path, status in self.all.items() if stat.S_ISREG(status.st_mode)}  # no links
    def attempt(self, name, step, *args):  # what a step cannot make sense of is a finding, too
        try:
            return step(name, *args)
        except Exception as error:
            reason = error.args if isinstance(error, Finding) else ("TAMPERED", f"malformed ({error!r:.200})")
            self.findings.append((*reason, name))
    def read(self, name, limit=1 << 16):
        need(name in self.files, f"{name} is missing", "INCOMPLETE")
        need(os.path.getsize(os.path.join(self.root, name)) <= limit, f"{name} is too large", "UNVERIFIABLE")
        return pathlib.Path(self.root, name).read_bytes()
    def numbers(self, pattern):
        return [int(match[1]) for match in (re.fullmatch(pattern, name) for name in sorted(self.files)) if match]
    def epoch_file(self, name):
        data = self.read(name)
        epoch, statement = parse(data), b"".join(data.splitlines(True)[:6])
        good = re.fullmatch(rb"lineage v1 epoch\n(?:[a-z-]+ [0-9a-f]+\n)+", data) and name == f"epochs/{epoch['epoch']:06}"
        need(good and sha(bytes.fromhex(epoch["host-key"]))[:16].hex() == self.id, "malformed, or of another epoch or host")
        proof = [bytes.fromhex(hash) for hash in epoch.get("proof", [])]
        root = inclusion_root(epoch["epoch"], epoch["count"], sha(b"\0", statement), proof).hex()
        return epoch | {"root": root, "key": bytes.fromhex(epoch["key"])}
    def epochs(self, name):  # steps 1 and 4: the pin that holds here and the epoch keys it proves
        names = [f"epochs/{number:06}" for number in self.numbers(r"epochs/(\d{6,7})")]
        files = list(filter(None, [self.attempt(name, self.epoch_file) for name in names]))
        pin = next((bytes.fromhex(pin) for pin in self.pins if sha(bytes.fromhex(pin))[:16].hex() == self.id), None)
        self.key = pin or (bytes.fromhex(files[0]["host-key"]) if files else None)
        signer = (f"lineage/{self.id}", self.key)
        enrolled = self.attempt(name, lambda name: parse(signed_text(self.read(name), [signer], 1).encode()))
        roots = [claim["root"] for claim in [enrolled, *files] if claim]
        root = next((root for root in roots if root in self.pins), roots[0] if pin and roots else None)
        need(root or pin, "no pin for this host", "UNVERIFIABLE")
        promised = enrolled or {"root": root, "host": self.id, "count": files and files[0]["count"]}
        good = [file for file in files if [file["root"], file["count"]] == [root, promised["count"]]]
        self.epoch = {file["epoch"]: file for file in good}
        need(files == good and [promised["root"], promised["host"]] == [root, self.id], "another root")
    def checkpoint(self, name, size, lines_max):
        epoch = self.epoch_of(name, size)
        signers = [(self.origin, self.key), (f"{self.origin}/epoch/{epoch}", self.epoch.get(epoch, {}).get("key"))]
        text, log_root = signed_text(self.read(name), signers, lines_max), self.log_root(size)
        need(text == f"{self.origin}\n{size}\n{base64.b64encode(log_root).decode()}\n", "of another log, size or root")
    def epoch_of(self, name, size):  # whose key signed the checkpoint of a size
        return self.manifests.get(size - 1, {}).get("epoch")
    def log_root(self, size):
        return root(self.leaves[:size], log_node)
    def manifest(self, name, index):
        data, before = self.read(name, 65535), self.manifests.get(index - 1)
        self.leaves[index] = sha(b"\0", data)
        m = self.manifests[index] = parse(data) | {"digest": blake3(data).hexdigest()}
        self.origin = self.origin or m["origin"]
        need([m["origin"], m["segment"]] == [self.origin, index], "of another place")
        window = self.epoch.get(m["epoch"]) or self.read(f"epochs/{m['epoch']:06}") and {"start": 0, "end": 1 << 40}
        need(window["start"] * 10**9 <= m["opened"] <= m["closed"] <= window["end"] * 10**9, "outside its epoch")
        if index == 0:
            before = m | {"digest": "0" * 64, "first": 0, "count": 0, "reason": "", "closed": 0}
        if before:
            need(m["epoch"] == before["epoch"] + (before["reason"] == "epoch-end") and before["reason"] != "shutdown", "wrong epoch")
            good = m["previous"] == before["digest"] and m["first"] == before["first"] + before["count"]
            need(good and m["opened"] >= before["closed"], "does not follow the manifest before")
    def log(self, name):  # steps 2, 3, 5 and 6
        there, fresh = self.numbers(r"manifests/(\d{10})"), "spool/0000000000.spool" in self.files
        sizes = [0] if fresh else self.numbers(r"log/checkpoints/([1-9]\d*)") + [last + 1 for last in there]
        data = self.attempt(name, self.read) if name in self.files else None
        newest = data and re.match(rf"(lineage/{self.id}/[0-9a-f]{{32}})\n([1-9]\d*)\n", data.decode())
        self.origin, self.size = (newest[1], int(newest[2])) if newest else (None, max(sizes, default=0))
        for index in range(min(self.size, max(there, default=0) + 1000)):
            self.leaves.append(None)
            self.attempt(f"manifests/{index:010}", self.manifest, index)
            self.attempt(f"log/checkpoints/{index + 1}", self.checkpoint, index + 1, 2)
        for m in list(self.manifests.values()):
            self.attempt(f"segment {m['segment']}", self.segment, m)
        return (self.size or name in self.files) and self.checkpoint(name, self.size, 102)
    def segment(self, name, m):  # the record root over the rows of the Parquet file, and over the blocks
        path, leaves = parquet_path(m), []
        need(m.get("parquet", (path,))[0] == path, "another path in the manifest")
        if m["count"]:
            self.named.add(path)
            lines = [line.split() for line in self.read(f"artifacts/{m['registry']}", 1 << 24).decode().splitlines()]
            original = blake3(self.read(path, 1 << 32)).hexdigest() == m.get("parquet", (path, 0, None))[2]
            leaves = [keyed(K_LEAF, record) for record in segment.records(os.path.join(self.root, path), lines, original)]
        need(len(leaves) == m["count"] and root(leaves, record_node).hex() == m["root"], "other rows than were signed")
        if "parquet" in m and m["count"] > 1024:
            blocks = self.read(f"blocks/{m['segment']:010}", 1 << 20)
            hashes = [blocks[at:at + 32] for at in range(0, len(blocks), 32)]
            need(len(hashes) == -(-m["count"] // 1024) and root(hashes, record_node).hex() == m["root"], "other block roots")
        self.proven += 1
    def spool(self, name, number):  # step 8: frames up to the last signed commit
        data, at, leaves, head, commit = self.read(name, 1 << 30), 0, [], {}, {}
        while len(data) - at >= 9:
            length, kind = struct.unpack_from("<IB", data, at)
            payload, check = data[at + 5:at + 5 + length], data[at + 5 + length:at + 9 + length]
            if length > 1 << 20 or not 1 <= kind <= 3 or keyed(K_LEAF, payload)[:4] != check: break
            need((kind == 1) == (at == 0) and "seal" not in commit, "frames out of order")
            at += 9 + length
            if kind == 1:
                head, before = parse(payload), self.manifests.get(number - 1, {"first": 0, "count": 0})
                place = [self.origin or head["origin"], number, before["first"] + before["count"]]
                need([head["origin"], head["segment"], head["first"]] == place, "of another place")
                key = need(self.epoch.get(head["epoch"]), f"key of epoch {head['epoch']} is missing", "INCOMPLETE")["key"]
                told = {"origin": head["origin"], "segment": number, "header": blake3(payload).hexdigest()}
            elif kind == 2: leaves.append(keyed(K_LEAF, payload))
            else:
                commit, told = parse(payload[64:]), told | {"count": len(leaves), "root": root(leaves, record_node).hex()}
                need(commit | told == commit and verifies(key, payload[64:], payload[:64]), "a false commit")
        for start in (at + found.start() - 64 for found in re.finditer(b"lineage v1 commit\n", data[at:])):
            end = start + int.from_bytes(data[start - 5:start - 1], "little")
            need(not any(verifies(epoch["key"], data[start + 64:end], data[start:start + 64]) for epoch in self.epoch.values()), "damage before a commit")
        self.manifests[number], self.proven = head | commit, self.proven + commit.get("count", 0)
        self.leaves += [sha(b"\0", self.read(name)) for name in [f"manifests/{number:010}"] if name in self.files]
        return "seal" in commit and parquet_path(head) in self.files and self.segment(name, head | commit)
    def tile(self, name, level, index, width):
        spans = [slice(at << 8 * level, at + 1 << 8 * level) for at in range(256 * index, 256 * index + width)]
        need(self.read(name) == b"".join(root(self.leaves[span], log_node) for span in spans), "other hashes")
    def artifact(self, name, named):  # what a context names is named, too, and what that names
        text = self.read(name, 1 << 24)
        need(blake3(text).hexdigest() == name[10:], "another document")
        document = json.loads(text) if text[:1] == b"{" and name not in self.ends else {}  # recognisers are TOML
        digests = lambda *keys: {f"artifacts/{digest}" for digest in re.findall("[0-9a-f]{64}", str([document.get(key) for key in keys]))}
        ends = digests(*self.ENDS)
        self.ends |= ends
        named += (ends | digests("environment", "policy", "parent", "previous")) - set(named)
    def rest(self, name):  # steps 7 to 9, tiles and losses
        end = self.size
        while f"spool/{end:010}.spool" in self.files:
            self.attempt(f"spool/{end:010}.spool", self.spool, end)
            end += 1
        for level, index in [(level, index) for level in range(8) for index in range(-(-(self.size >> 8 * level) // 256))]:
            widths = self.numbers(re.escape(tile_path(level, index, 1))[:-1] + r"(\d{1,2}|1\d\d|2[0-4]\d|25[0-5])")
            for width in {min(256, (self.size >> 8 * level) - 256 * index), *widths}:
                self.attempt(tile_path(level, index, width), self.tile, level, index, width)
        named = list({f"artifacts/{context}" for m in self.manifests.values() for context in m.get("context", [])})
        for path in itertools.chain(named, [path for path in self.files if re.fullmatch("artifacts/[0-9a-f]{64}", path)]):
            self.attempt(path, self.artifact, named)
        for m in self.manifests.values():
            cpus = parse(self.read(f"artifacts/{m['counters']}", 1 << 24)) if "counters" in m else m
            lost = any(any(cpu[2:6]) or any(cpu[8::3]) for cpu in cpus.get("cpu", []))
            if lost or m.get("dropped") or m.get("discarded") or m.get("reason") == "recovery":
                self.findings.append(("VERIFIED_WITH_LOSS", "events were not recorded", f"segment {m.get('segment')}"))
        orphans = [index for index in range(self.size) if index not in self.manifests]  # whose manifest is missing
        foreign = [path for path in set(self.all) - self.named if re.search(r"^events/|\.parquet$", path, re.I)]
        need(all(re.search(r"^events/[^/]*/\d{10}\.", path) and int(path[-18:-8]) in orphans for path in foreign), "unsigned files")
        newer = self.numbers(r"(?:manifests|blocks)/(\d{10})") + [size - 1 for size in self.numbers(r"log/checkpoints/([1-9]\d*)")]
        need(max(newer, default=-1) < end, "evidence newer than the log")
        ended = self.manifests.get(self.size - 1, {}).get("reason", "stop") in ("stop", "shutdown", "recovery")
        need(self.manifests.get(self.size) or ended, "the spool is missing", "INCOMPLETE")

def pins_of(trust):
    """Epoch roots and host keys, in hex."""
    given = [pin for given in trust for pin in (open(given).read().split() if os.path.exists(given) else [given])]
    return {pin[5:] if pin.startswith("root:") else base64.b64decode(pin.split("+", 2)[2])[1:].hex() for pin in given}

def verify(directory, trust):
    """The verdict over all hosts, and the findings."""
    pins, findings, proven = pins_of(trust), [], 0
    for name in (names := sorted(name for name in os.listdir(directory) if name.startswith("host="))):
        path = os.path.join(directory, name)
        host = os.path.isdir(path) and not os.path.islink(path) and re.fullmatch("host=[0-9a-f]{32}", name) and Host(path, pins)
        if not host:
            findings.append(("TAMPERED", "not a host", name))
        elif not any(re.match(r"(events|manifests|blocks|log)/|spool/\d", path) for path in host.all):
            findings.append(("UNVERIFIABLE", "nothing was recorded here yet, or all of it was removed", name))
        else:
            for where, step in (("epochs/enrolment", host.epochs), ("log/checkpoint", host.log), ("", host.rest)):
                host.attempt(where, step)
            findings, proven = findings + host.findings, proven + host.proven
    others = [path for path in names and walk(directory) if not os.path.relpath(path, directory).startswith("host=")]
    strange = [path for path in others if path.lower().endswith(".parquet") or os.path.islink(path) or os.path.isdir(path)]
    wrong = "nothing there" if names else "no directory host=... here: is it the directory above or below?"
    findings += [("TAMPERED", "unsigned files", path) for path in strange] + [("NOTHING_VERIFIED", wrong, directory)] * (not proven)
    return min([finding[0] for finding in findings] or ["VERIFIED"], key=list(VERDICTS).index), findings

if __name__ == "__main__":
    options = ("--trust", "--help", "-h")
    directory, *trust = [argument for argument in sys.argv[1:] if argument not in options] or sys.exit(print(__doc__) or 2)
    if os.path.isfile(directory):
        import proof
        verify = proof.verify
    verdict, findings = verify(directory, trust)
    print(*(f"{grade} {where!a}: {reason!a}" for grade, reason, where in findings), verdict, sep="\n")
    sys.exit(VERDICTS[verdict])
