"""The independent verifier's check of a proof: one file with an event, its causes and what leads from them to a signature."""
import base64, itertools, re, struct
from verify import Host, VERDICTS, K_LEAF, blake3, keyed, log_node, need, pins_of, record_node, sha

HEX, BASE64, NUMBER = "[0-9a-f]{64}", "[A-Za-z0-9+/]*=*", "(?:0|[1-9][0-9]{0,18})"
SEGMENT = rf"segment {NUMBER}\n(?:node {HEX}\n)*(?:(?:record|data) {NUMBER} {BASE64}\n)+"
PROOF = rf"lineage v1 proof\norigin (lineage/([0-9a-f]{{32}})/[0-9a-f]{{32}})\nevent ({NUMBER})\n" \
    rf"((?:file [^ \n\r]* {BASE64}\n)*)((?:log {HEX}\n)*)((?:{SEGMENT})*)"

def number(text):
    return need(int(text) < 1 << 63 and int(text), "a number that is too large") if text != "0" else 0

def unpack(text):
    data = base64.b64decode(text, validate=True)
    return need(base64.b64encode(data).decode() == text and (data,), "not the one base64 of anything")[0]

def ascending(keys):
    keys = list(keys)
    return need(all(one < two for one, two in itertools.pairwise(keys)), "not in ascending order") and keys

def subtrees(size, leaves, hashes):
    """Every subtree that is known, by its first leaf and the one after its last: the leaves, and those without any of them."""
    known, rest = {(at, at + 1): leaf for at, leaf in leaves.items()}, iter(hashes)
    def visit(first, end):
        if not any(first <= at < end for at in leaves):
            known[first, end] = next(rest)
        elif end - first > 1:
            middle = first + (1 << (end - first - 1).bit_length() - 1)
            visit(first, middle), visit(middle, end)
    need(leaves and 0 <= min(leaves) and max(leaves) < size, "leaves of another tree")
    visit(0, size)
    need(next(rest, None) is None, "too many hashes")
    return known

def root_of(known, first, end, node):
    if (first, end) in known:
        return known[first, end]
    middle = first + (1 << need(end - first > 1 and end - first - 1, "a leaf that is not known").bit_length() - 1)
    return node(root_of(known, first, middle, node), root_of(known, middle, end, node))

def decode(data, registry):
    """The fields of a record by name."""
    (version, fields), at, last, record = struct.unpack_from("<BH", data), 3, -1, {}
    for _ in range(fields):
        (ident, tag), at = struct.unpack_from("<HB", data, at), at + 3
        name, kind = registry[ident]
        need(ident > last and tag == {"u64": 1, "text": 3}.get(kind, 2), "fields out of order or of another type")
        if tag == 3:
            (length,), at = struct.unpack_from("<I", data, at), at + 4
            value, at = need(at + length <= len(data) and (data[at:at + length].decode(),), "a text that is too long")[0], at + length
        else:
            (value,), at = struct.unpack_from("<Q" if tag == 1 else "<q", data, at), at + 8
        record[name], last = value, ident
    need(version == 1 and at == len(data), "other record bytes")
    return record

class Proof(Host):
    """Files as a host's directory has them, and hashes in place of what is left out."""
    ENDS = ("grants", "intent", "revocation", "schema", "levels")  # what surrounded the recorder is left out
    def __init__(self, data, pins):
        need(data.startswith(b"lineage v1 proof\n"), "no proof of this version", "UNVERIFIABLE")
        self.origin, self.id, event, files, log, parts = need(re.fullmatch(PROOF, data.decode()), "malformed").groups()
        self.pins, self.findings, self.event, self.size = pins, [], number(event), 0
        self.epoch, self.manifests, self.leaves, self.ends, self.records = {}, {}, {}, set(), {}
        files = [line.split(" ")[1:] for line in files.splitlines()]
        ascending(path.encode() for path, _ in files)
        self.contents = {path: unpack(text) for path, text in files}
        self.files, self.hashes = set(self.contents), [bytes.fromhex(line[4:]) for line in log.splitlines()]
        self.parts = {}
        for part in re.findall(SEGMENT, parts):
            (_, segment), *lines = [line.split(" ") for line in part.splitlines()]
            entries = [(number(seq), role, unpack(text)) for role, seq, text in (line for line in lines if len(line) == 3)]
            ascending(seq for seq, *_ in entries)
            ascending([*self.parts, number(segment)])
            self.parts[number(segment)] = [bytes.fromhex(line[1]) for line in lines if len(line) == 2], entries
    def read(self, name, limit=1 << 16):
        need(name in self.files, f"{name} is missing", "INCOMPLETE")
        return need(len(self.contents[name]) <= limit and (self.contents[name],), f"{name} is too large", "UNVERIFIABLE")[0]
    def log_root(self, size):
        return root_of(self.known, 0, size, log_node)
    def epoch_of(self, name, size):  # where the last manifest is not here, the line itself says whose it is
        named = re.search(rf"\n— {self.origin}/epoch/({NUMBER}) [^\n]+\n", self.read(name).decode())
        return self.manifests[size - 1]["epoch"] if size - 1 in self.manifests else named and int(named[1])
    def check(self, name):
        self.attempt("epochs/enrolment", self.epochs)
        for index in self.parts:
            self.attempt(f"manifests/{index:010}", self.manifest, index)
        need(self.leaves.keys() == self.parts.keys() == self.manifests.keys(), "a manifest is missing or malformed", "INCOMPLETE")
        newest = re.match(rf"{self.origin}\n([1-9][0-9]{{0,18}})\n", self.read("log/checkpoint").decode())
        size, self.known = number(need(newest, "a checkpoint of another log")[1]), None
        self.known = subtrees(size, self.leaves, self.hashes)
        self.attempt("log/checkpoint", self.checkpoint, size, 102)
        last = {m["epoch"]: index + 1 for index, m in sorted(self.manifests.items())}
        earlier = [f"log/checkpoints/{one}" for one in last.values() if one < size]
        for path in earlier:
            self.attempt(path, self.checkpoint, int(path[16:]), 2)
        used = [f"epochs/{epoch:06}" for epoch in {*last, self.epoch_of("log/checkpoint", size)} - {None}]
        for path in used:
            self.attempt(path, self.read)
        documents = [self.part(index, nodes, entries) for index, (nodes, entries) in self.parts.items()]
        documents = list(dict.fromkeys(itertools.chain(*documents)))
        for path in documents:  # which grows
            self.attempt(path, self.artifact, documents)
        manifests = [f"manifests/{index:010}" for index in self.parts]
        needed = {"epochs/enrolment", "log/checkpoint", f"log/cosignatures/{size}", *manifests, *used, *earlier, *documents}
        need(self.files <= needed, "files that a proof of these records does not have")
        self.chain()
    def part(self, index, nodes, entries):  # records lead to the root; the documents that they name
        m = self.manifests[index]
        leaves = {seq - m["first"]: keyed(K_LEAF, data) for seq, _, data in entries}
        known = subtrees(m["count"], leaves, nodes)
        need(root_of(known, 0, m["count"], record_node).hex() == m["root"], "other records than were signed")
        registry = f"artifacts/{m['registry']}"
        text = self.read(registry, 1 << 24)
        need(blake3(text).hexdigest() == m["registry"], "another registry")
        fields = {int(ident): rest for ident, *rest in (line.split() for line in text.decode().splitlines())}
        for seq, role, data in entries:
            record = decode(data, fields)
            need(record["seq"] == seq and record.get("cause", -1) < seq, "a record of another number, or caused by a later one")
            self.records[seq] = record | {"role": role}
        contexts = [self.records[seq]["context"] for seq, *_ in entries if "context" in self.records[seq]]
        return [registry, *(f"artifacts/{context}" for context in contexts)]
    def chain(self):
        chain, seq = set(), self.event
        while seq in self.records:
            chain.add(seq)
            seq = self.records[seq].get("cause")
        need(self.event in self.records, "the event is not there", "INCOMPLETE")
        for seq, record in self.records.items():
            need((seq in chain) == (record["role"] == "record"), "a record that is no cause of the event, or is not marked so")
        for seq, record in self.records.items():
            begins = record["kind"] in ("lineage.start", "evidence.loss")
            need(record["cause"] in self.records if "cause" in record else begins, f"what caused record {seq} is missing", "INCOMPLETE")
            if "cause" not in record and record["kind"] == "evidence.loss":
                self.findings.append(("VERIFIED_WITH_LOSS", "what led on from there was lost", f"record {seq}"))

def verify(path, trust):
    """The verdict on a proof, and the findings."""
    findings = []
    class Reader(Host):  # only to report what keeps a proof from being read
        def __init__(self): self.findings = findings
    with open(path, "rb") as file:
        proof = Reader().attempt(path, lambda name: Proof(file.read((64 << 20) + 1), pins_of(trust)))
    if proof:
        proof.attempt(path, proof.check)
        findings += proof.findings
    return min([finding[0] for finding in findings] or ["VERIFIED"], key=list(VERDICTS).index), findings
