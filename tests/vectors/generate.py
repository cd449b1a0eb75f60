#!/usr/bin/env python3
"""Computes the test vectors beside this file from docs/evidence-format.md. Needs blake3 and pynacl."""
import base64, hashlib, json, pathlib, struct
from blake3 import blake3
from nacl.signing import SigningKey

HERE = pathlib.Path(__file__).parent
K_LEAF, K_NODE = (blake3(b"", derive_key_context=f"lineage v1 {name}").digest() for name in ("leaf", "node"))
sha = lambda data: hashlib.sha256(data).digest()
leaf = lambda data: blake3(data, key=K_LEAF).digest()
node = lambda left, right: blake3(left + right, key=K_NODE).digest()
log_leaf = lambda data: sha(b"\0" + data)
log_node = lambda left, right: sha(b"\1" + left + right)

def root(hashes, node, empty):
    if len(hashes) < 2:
        return hashes[0] if hashes else empty
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:split], node, empty), root(hashes[split:], node, empty))

def proof(hashes, index, node):
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    left, right = hashes[:split], hashes[split:]
    if index < split:
        return proof(left, index, node) + [root(right, node, None)]
    return proof(right, index - split, node) + [root(left, node, None)]

record_root = lambda hashes: root(hashes, node, blake3(b"", key=K_NODE).digest())
log_root = lambda hashes: root(hashes, log_node, sha(b""))

def write(name, data):
    (HERE / name).write_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n")

# --- escape ---
def hidden(c):
    spans = [(0, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
             (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F)]
    return any(low <= ord(c) <= high for low, high in spans)

def escape(data):
    out = ""
    for c in data.decode("utf-8", "surrogateescape"):
        raw = c.encode("utf-8", "surrogateescape")
        out += "\\\\" if c == "\\" else "".join(f"\\x{b:02x}" for b in raw) if hidden(c) or "\udc80" <= c <= "\udcff" else c
    return out

samples = [b"", b"/usr/bin/env", b"back\\slash", b"\x00\x1b[31m\x7f", b"\xff\xfe", b"caf\xc3\xa9", b"cut \xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
           b"\xf0\x9f\xa6", "\u202e\u200b\u2066\ufeff\u061c\u180e".encode(), "\U000e0041\U000e0080".encode(), "\u0085\u00a0".encode(), "語🦀 \ufffa\ufffc".encode(), b"\\x41"]
write("escape.json", {"good": [{"bytes": s.hex(), "text": escape(s)} for s in samples],
                      "bad": {"lone_backslash": "a\\", "unknown_escape": "\\n", "short": "\\x1", "not_hex": "\\xg0", "uppercase": "\\xAB"}})

# --- records ---
FIELDS = {"seq": (1, 1), "time": (2, 2), "time_ns": (3, 2), "kind": (4, 3), "lineage_seq": (7, 1), "cause": (8, 1), "pid": (13, 2), "comm": (16, 3),
          "result": (18, 2), "path": (19, 3), "bytes_read": (26, 1), "argv": (34, 3), "lost_count": (59, 1)}

def field(id, tag, value):
    body = value.encode() if tag == 3 else struct.pack("<Q" if tag == 1 else "<q", value)
    return struct.pack("<HB", id, tag) + (struct.pack("<I", len(body)) if tag == 3 else b"") + body

def encode(record):
    fields = sorted((*FIELDS[name], value) for name, value in record.items())
    return b"\1" + struct.pack("<H", len(fields)) + b"".join(field(*f) for f in fields)

records = {"example_of_the_specification": {"seq": 0, "time_ns": 1700000000123456789, "kind": "lineage.start"},
           "no_fields": {}, "empty_text": {"seq": 1, "comm": ""},
           "extremes": {"seq": 2**64 - 1, "time": -(2**63), "time_ns": 2**63 - 1, "bytes_read": 2**63, "result": -1, "lost_count": 0},
           "text": {"kind": "process.exec", "path": "/tmp/caf\u00e9\\x0a", "argv": '["sh","-c","echo \\"hi\\""]'},
           "four_blocks": {"path": "p" * 250}, "two_chunks": {"path": "q" * 2000}}
good, a, b = encode(records["text"]), field(1, 1, 7), field(13, 2, -7)
join = lambda count, *fields: b"\1" + struct.pack("<H", count) + b"".join(fields)
bad = {"empty": b"", "version_unknown": b"\2" + good[1:], "cut": good[:-1], "trailing_byte": good + b"\0", "fields_out_of_order": join(2, b, a),
       "field_twice": join(2, a, a), "field_unknown": join(1, field(9999, 1, 7)), "tag_wrong": join(1, field(1, 2, 7)), "tag_unknown": join(1, struct.pack("<HBQ", 1, 4, 7)),
       "count_too_high": join(2, a), "count_too_low": join(1, a, b), "text_not_utf8": join(1, struct.pack("<HBI", 16, 3, 1) + b"\xff"),
       "text_past_end": join(1, struct.pack("<HBI", 16, 3, 9) + b"short")}
write("records.json", {"good": [{"name": n, "fields": {k: v if isinstance(v, str) else str(v) for k, v in r.items()}, "bytes": encode(r).hex(), "leaf": leaf(encode(r)).hex()} for n, r in records.items()],
                       "bad": {n: v.hex() for n, v in bad.items()}})

# --- trees ---
leaves = [leaf(struct.pack("<Q", n)) for n in range(3000)]
ct = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
published = """6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77 d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4 76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c 5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328""".split()
assert published == [log_root([log_leaf(x) for x in ct[:n]]).hex() for n in range(1, 9)]
write("trees.json", {
    "k_leaf": K_LEAF.hex(), "k_node": K_NODE.hex(), "node_of_leaves_0_1": node(*leaves[:2]).hex(),
    "record_roots": {str(n): record_root(leaves[:n]).hex() for n in (0, 1, 2, 3, 7, 8, 1023, 1024, 1025, 3000)},
    "blocks_of_3000": [record_root(leaves[n:n + 1024]).hex() for n in range(0, 3000, 1024)],
    "record_proofs": [{"size": s, "index": i, "path": [h.hex() for h in proof(leaves[:s], i, node)]} for s, i in ((1, 0), (5, 4), (7, 3), (1025, 1024), (1025, 0))],
    "log_inputs": [x.hex() for x in ct], "log_roots": [log_root([]).hex(), *published],
    "log_proofs": [{"size": s, "index": i, "path": [h.hex() for h in proof([log_leaf(x) for x in ct[:s]], i, log_node)]} for s, i in ((1, 0), (8, 0), (8, 5), (3, 2), (5, 1))]})

# --- keys ---
host = SigningKey(bytes([1] * 32))
host_key = bytes(host.verify_key)
host_id = sha(host_key)[:16].hex()
seeds = [bytes([2] * 32)]
while len(seeds) < 5:
    seeds.append(blake3(seeds[-1], derive_key_context="lineage v1 epoch ratchet").digest())
epochs = [SigningKey(blake3(s, derive_key_context="lineage v1 epoch signing key").digest()) for s in seeds]
START = 1795500000
statements = [f"lineage v1 epoch\nhost-key {host_key.hex()}\nepoch {n}\nstart {START + 3600 * n}\nend {START + 3600 * (n + 1)}\nkey {bytes(k.verify_key).hex()}\n" for n, k in enumerate(epochs)]
statement_leaves = [log_leaf(s.encode()) for s in statements]
epoch_root = log_root(statement_leaves).hex()
files = [s + f"count {len(statements)}\n" + "".join(f"proof {h.hex()}\n" for h in proof(statement_leaves, n, log_node)) for n, s in enumerate(statements)]
key_id = lambda name, key, algorithm=1: sha(name.encode() + b"\n" + bytes([algorithm]) + key)[:4]
vkey = lambda name, key: f"{name}+{key_id(name, key).hex()}+{base64.b64encode(bytes([1]) + key).decode()}"
line = lambda name, key, text: f"\u2014 {name} {base64.b64encode(key_id(name, bytes(key.verify_key)) + key.sign(text.encode()).signature).decode()}\n"
note = lambda text, *signers: text + "\n" + "".join(line(name, key, text) for name, key in signers)
enrolment = f"lineage v1 enrolment\nhost {host_id}\nroot {epoch_root}\nstart {START}\nseconds 3600\ncount {len(statements)}\n"
origin = f"lineage/{host_id}/{'05' * 16}"
one = files[1]
write("keys.json", {"host_secret": bytes(host).hex(), "host_key": host_key.hex(), "host_id": host_id, "host_verifier": vkey(f"lineage/{host_id}", host_key),
                    "seeds": [s.hex() for s in seeds], "epoch_secrets": [bytes(k).hex() for k in epochs], "start": START, "seconds": 3600, "epoch_root": epoch_root, "epoch_files": files,
                    "enrolment": note(enrolment, (f"lineage/{host_id}", host)),
                    "bad_epoch_files": {"window_moved": one.replace(f"start {START + 3600}", f"start {START + 3599}"), "key_other": one.replace(bytes(epochs[1].verify_key).hex(), bytes(epochs[2].verify_key).hex()),
                                        "proof_missing": "".join(one.splitlines(True)[:-1]), "proof_reversed": "".join(one.splitlines(True)[:7] + one.splitlines(True)[:6:-1]),
                                        "index_other": one.replace("epoch 1\n", "epoch 2\n"), "window_empty": one.replace(f"end {START + 7200}", f"end {START + 3600}"),
                                        "count_zero": one.replace("count 5", "count 0"), "line_order": one.replace(f"epoch 1\nstart {START + 3600}\n", f"start {START + 3600}\nepoch 1\n")}})

# --- log: checkpoint and commit ---
checkpoint = f"{origin}\n3\n{base64.b64encode(log_root([log_leaf(x) for x in ct[:3]])).decode()}\n"
signers = ((origin, host), (f"{origin}/epoch/1", epochs[1]))
commit = f"lineage v1 commit\norigin {origin}\nsegment 4\nheader {blake3(b'header').hexdigest()}\ncount 7\nroot {record_root(leaves[:7]).hex()}\ntime {START * 10**9 + 5}\ndropped 0\ncpu 0 9 0 0 0 0 process.fork 2 0 file.open 6 1\nseal rows {START * 10**9 + 5} -17\n"
write("log.json", {"checkpoint": note(checkpoint, *signers), "verifiers": [vkey(n, bytes(k.verify_key)) for n, k in signers],
                   "bad_checkpoints": {"extension_line": checkpoint + "extension\n", "size_leading_zero": checkpoint.replace("\n3\n", "\n03\n"), "size_missing": checkpoint.replace("\n3\n", "\n"),
                                       "root_short": f"{origin}\n3\n{base64.b64encode(bytes(31)).decode()}\n", "root_not_base64": f"{origin}\n3\n{'*' * 44}\n"},
                   "commit": commit, "commit_signature": epochs[1].sign(commit.encode()).signature.hex(),
                   "bad_commits": {"seal_unknown": commit.replace("seal rows", "seal bored"), "seal_short": commit.replace(" -17", ""), "cpu_after_seal": commit + "cpu 1 1 0 0 0 0\n", "root_missing": "\n".join(x for x in commit.split("\n") if not x.startswith("root"))}})

# --- notes, published and faulty ---
peter_key, enoch_key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
peter = "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
enoch = "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
sofa = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
sofa_lines = "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
quasimodo = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u00e8 subito sera.\n\n\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
witness = SigningKey(bytes([9] * 32))
stamp = struct.pack(">Q", 1679315147)
cosigned = stamp + witness.sign(b"cosignature/v1\ntime 1679315147\n" + checkpoint.encode()).signature
witness_id = key_id("witness.example/w", bytes(witness.verify_key), 4)
cosigner = f"witness.example/w+{witness_id.hex()}+{base64.b64encode(bytes([4]) + bytes(witness.verify_key)).decode()}"
cosignature = f"\u2014 witness.example/w {base64.b64encode(witness_id + cosigned).decode()}\n"
write("notes.json", {
    "verified": [{"name": "one_key", "note": text + "\n" + peter, "keys": [peter_key]}, {"name": "two_keys", "note": text + "\n" + peter + enoch, "keys": [peter_key, enoch_key]},
                 {"name": "unknown_line_ignored", "note": text + "\n" + peter + enoch, "keys": [enoch_key]}, {"name": "cosigned", "note": note(checkpoint, *signers) + cosignature, "keys": [cosigner]}],
    "unsigned": [{"name": "key_absent", "note": text + "\n" + enoch, "keys": [peter_key]}],
    "sig_bad": [{"name": "text_changed", "note": text.replace("problem is", "problems are") + "\n" + peter, "keys": [peter_key]},
                {"name": "signature_longer", "note": text + "\n" + peter[:60] + "ABCD" + peter[60:], "keys": [peter_key]},
                {"name": "first_line_of_a_key_decides", "note": text + "\n" + peter[:60] + "ABCD" + peter[60:] + peter, "keys": [peter_key]},
                {"name": "cosignature_time_changed", "note": note(checkpoint, *signers) + f"\u2014 witness.example/w {base64.b64encode(witness_id + struct.pack('>Q', 1) + cosigned[8:]).decode()}\n", "keys": [cosigner]}],
    "malformed": {"no_signature_lines": text, "blank_line_only": text + "\n", "last_line_not_ended": text + "\n" + peter[:-1], "control_character": "\1" + text + "\n" + peter,
                  "name_with_space": text + "\n" + peter.replace("PeterNeumann", "Bad Name"), "name_with_plus": text + "\n" + peter.replace("PeterNeumann", "a+b"), "unexpected_line": text + "\n" + peter + "Unexpected line.\n",
                  "not_base64": text + "\n\u2014 PeterNeumann x08g*\n", "too_many_signatures": text + "\n" + peter * 101, "carriage_return": text + "\n" + peter.replace("\n", "\r\n"), "no_text": "\n\n" + peter},
    "parsed": [{"name": "c2sp_signed_note", "note": quasimodo, "lines": ["quasimodo.example/salvatore 367ba04b"]},
               {"name": "c2sp_checkpoint", "note": sofa + "\n" + sofa_lines, "lines": ["example.com/behind-the-sofa 033de0ae", "witness.example.com/w1 8d66cf3f"]}],
    "verifier_keys": [peter_key, enoch_key, cosigner],
    "bad_verifier_keys": {"key_too_long": "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "algorithm_unknown": "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                          "id_wrong": peter_key.replace("c74f20a3", "c74f20a4"), "id_uppercase": peter_key.replace("c74f20a3", "C74F20A3"), "name_empty": peter_key.replace("PeterNeumann", ""), "name_with_space": peter_key.replace("Peter", "Peter ")}})

# --- manifests ---
zeros, d = "0" * 64, lambda s: blake3(s.encode()).hexdigest()
head = f"""lineage v1 manifest
origin {origin}
segment 3
previous {d('before')}
epoch 1
session 0
hostname build\\x207
boot 0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55
agent {d('agent')}
probes {d('probes')}
registry {d('registry')}
opened {(START + 3600) * 10**9}
offset {START * 10**9 - 7}
first 3121
"""
contexts = sorted([d("one"), d("two")])
full = head + f"""closed {(START + 3601) * 10**9}
wall-offset -42
count 5
root {record_root(leaves[:5]).hex()}
time-min {(START + 3600) * 10**9}
time-max {(START + 3600) * 10**9 + 999}
lineage 5f0c9a3e-0d0e-4f57-8f1e-3c7a41f0b7aa 0 1 2
lineage 7a0c9a3e-0d0e-4f57-8f1e-3c7a41f0b7aa 10 12 3
context {contexts[0]}
context {contexts[1]}
dropped 0
cpu 0 1702 0 0 0 0 process.fork 20 0 file.open 1682 0
cpu 7 1419 1 2 3 4 file.open 1400 19 kind-15 0 1
discarded 0
reason epoch-end
parquet events/date=2026-11-24/0000000003.parquet 65011 {d('file')}
"""
empty = head + f"closed {(START + 3600) * 10**9}\nwall-offset 0\ncount 0\nroot {record_root([]).hex()}\ndropped 3\ndiscarded 17\nreason recovery\n"
artifact = full.replace("".join(x for x in full.splitlines(True) if x.startswith("cpu ")), f"counters {d('counters')}\n")
lines = full.splitlines(True)
swap = lambda i, j: "".join(lines[:i] + [lines[j]] + lines[i + 1:j] + [lines[i]] + lines[j + 1:])
at = lambda key: next(i for i, x in enumerate(lines) if x.startswith(key + " "))
drop = lambda key: "".join(lines[:at(key)] + lines[at(key) + 1:])
bad = {
    "title_other_version": full.replace("v1 manifest", "v2 manifest"), "not_ended": full[:-1], "crlf": full.replace("\n", "\r\n"), "empty_line": full.replace("closed", "\nclosed"),
    "line_missing": drop("root"), "line_twice": full.replace("epoch 1\n", "epoch 1\nepoch 1\n"), "line_order": swap(at("agent"), at("probes")), "line_after_end": full + "more 1\n",
    "key_without_value": full.replace("hostname build\\x207", "hostname "), "hostname_with_space": full.replace("build\\x207", "build 7"), "decimal_leading_zero": full.replace("segment 3", "segment 03"),
    "decimal_sign": full.replace("segment 3", "segment +3"), "decimal_too_large": full.replace("first 3121", "first 9223372036854775808"), "negative_zero": full.replace("wall-offset -42", "wall-offset -0"),
    "digest_uppercase": full.replace(d("agent"), d("agent").upper()), "digest_short": full.replace(d("agent"), d("agent")[:-2]), "origin_other": full.replace("lineage/", "log/"),
    "lineages_unsorted": swap(at("lineage"), at("lineage") + 1), "lineage_count_wrong": full.replace("10 12 3", "10 12 4"), "lineage_backwards": full.replace("10 12 3", "12 10 3"),
    "contexts_unsorted": swap(at("context"), at("context") + 1), "context_twice": full.replace(contexts[1], contexts[0]), "cpus_unsorted": swap(at("cpu"), at("cpu") + 1),
    "cpu_all_zero": full.replace("cpu 7 1419 1 2 3 4 file.open 1400 19 kind-15 0 1", "cpu 7 0 0 0 0 0"), "cpu_kind_zero": full.replace("kind-15 0 1", "kind-15 0 0"),
    "cpu_kinds_unsorted": full.replace("process.fork 20 0 file.open 1682 0", "file.open 1682 0 process.fork 20 0"), "cpu_kind_unknown": full.replace("kind-15", "kind-32"),
    "cpus_too_long": full.replace("cpu 7", "".join(f"cpu {n} 1 0 0 0 0 file.open {10**17} 0\n" for n in range(8, 400)) + "cpu 500"), "reason_unknown": full.replace("epoch-end", "bored"),
    "times_missing": drop("time-min"), "parquet_missing": drop("parquet"), "parquet_without_records": empty + lines[-1], "times_without_records": empty.replace("dropped", f"time-min 1\ntime-max 1\ndropped"),
}
assert full not in bad.values() and empty not in bad.values()
write("manifests.json", {"good": {"full": full, "empty": empty, "counters_in_artifact": artifact}, "bad": bad})
