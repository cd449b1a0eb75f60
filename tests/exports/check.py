"""Reads an export with what is made for its format, and prints a summary as JSON; fails on anything that is wrong.

    check.py FORMAT FILE

ocsf      every event against the JSON Schema of its class and profiles, made from the published schema 1.8.0
perfetto  the rules of the Trace Event Format: phases, nesting of slices, names, flows that end where they began
otlp      the protobuf messages of OpenTelemetry, and what their documentation demands of ids and times
prov      the `prov` package, which also has to write what it read as PROV-N
graphml   NetworkX
"""

import collections
import json
import re
import sys


def lines_of(path):
    text = open(path, encoding="utf-8", newline="").read()
    lines = text.split("\n")
    assert lines.pop() == "", "the last line does not end"
    return [json.loads(line) for line in lines]


def ocsf(path):
    import jsonschema
    import ocsf_json_schema

    schema = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema(version="1.8.0"))
    validators, classes, uids = {}, collections.Counter(), set()
    for event in lines_of(path):
        profiles = tuple(event["metadata"]["profiles"])
        key = (event["class_uid"], profiles)
        if key not in validators:
            name = schema.lookup_class_name_from_uid(event["class_uid"])
            document = schema.get_class_schema(class_name=name, profiles=list(profiles))
            jsonschema.Draft202012Validator.check_schema(document)
            validators[key] = jsonschema.Draft202012Validator(document)
        validators[key].validate(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["category_uid"] == event["class_uid"] // 1000
        if event["activity_id"] == 99:
            assert event["activity_name"], "an activity that is another one needs its name"
        assert event["metadata"]["uid"] not in uids, "two events have one uid"
        uids.add(event["metadata"]["uid"])
        classes[str(event["type_uid"])] += 1
    return {"events": len(uids), "types": dict(sorted(classes.items()))}


def perfetto(path):
    trace = json.load(open(path, encoding="utf-8"))
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    phases, open_slices, last = collections.Counter(), collections.defaultdict(list), {}
    named, begun, ended = set(), collections.Counter(), collections.Counter()
    for event in trace["traceEvents"]:
        phase, thread = event["ph"], (event["pid"], event["tid"])
        phases[phase] += 1
        assert all(isinstance(part, int) and 0 <= part < 2**32 for part in thread), event
        if phase == "M":
            assert event["name"] in ("process_name", "process_labels", "thread_name"), event
            assert all(isinstance(text, str) for text in event["args"].values()), event
            named.add(event["pid"])
            continue
        assert isinstance(event["ts"], (int, float)), event
        if phase in "BE":
            assert event["ts"] >= last.get(thread, float("-inf")), f"back in time: {event}"
            last[thread] = event["ts"]
        assert event["pid"] == 0 or event["pid"] in named, f"without a name: {event}"
        if phase == "B":
            assert isinstance(event["name"], str)
            open_slices[thread].append(event["name"])
        elif phase == "E":
            assert open_slices[thread], f"ends what did not begin: {event}"
            open_slices[thread].pop()
        elif phase == "X":
            assert event["dur"] >= 0
        elif phase == "i":
            assert event["s"] in ("g", "p", "t"), event
        else:
            raise AssertionError(f"unknown phase: {event}")
        if "bind_id" in event:
            assert re.fullmatch("0x[0-9a-f]+", event["bind_id"])
            assert event.get("flow_in") is True or event.get("flow_out") is True, event
            (ended if event.get("flow_in") else begun)[event["bind_id"]] += 1
    assert not any(open_slices.values()), "slices that do not end"
    assert all(count == 1 for count in begun.values()), "a flow begins twice"
    assert set(ended) <= set(begun), f"flows from nowhere: {set(ended) - set(begun)}"
    return {"phases": dict(sorted(phases.items())), "flows": sum(ended.values()), "processes": len(named)}


def otlp(path):
    from google.protobuf import json_format
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    def as_base64(value, key=None):
        # OTLP/JSON has ids in hex, where the JSON of protobuf has base64.
        import base64

        if isinstance(value, dict):
            return {name: as_base64(part, name) for name, part in value.items()}
        if isinstance(value, list):
            return [as_base64(part) for part in value]
        if key in ("traceId", "spanId", "parentSpanId"):
            length = 32 if key == "traceId" else 16
            assert re.fullmatch(f"[0-9a-f]{{{length}}}", value) and value.strip("0"), value
            return base64.b64encode(bytes.fromhex(value)).decode()
        return value

    spans, events, links = {}, 0, 0
    for line in lines_of(path):
        message = json_format.ParseDict(as_base64(line), TracesData())
        for resource in message.resource_spans:
            keys = [attribute.key for attribute in resource.resource.attributes]
            assert "service.name" in keys and "host.id" in keys and len(keys) == len(set(keys)), keys
            for scope in resource.scope_spans:
                for span in scope.spans:
                    assert span.name and span.start_time_unix_nano <= span.end_time_unix_nano
                    assert (span.trace_id, span.span_id) not in spans, "two spans have one id"
                    spans[span.trace_id, span.span_id] = span
                    keys = [attribute.key for attribute in span.attributes]
                    assert len(keys) == len(set(keys)), keys
                    events, links = events + len(span.events), links + len(span.links)
    roots = sum(not span.parent_span_id for span in spans.values())
    for span in spans.values():
        if span.parent_span_id:
            assert (span.trace_id, span.parent_span_id) in spans, f"no parent: {span.name}"
    return {"spans": len(spans), "roots": roots, "events": events, "links": links}


def prov(path):
    from prov.model import ProvDocument

    text = open(path, encoding="utf-8").read()

    def once(pairs):
        assert len(pairs) == len(dict(pairs)), "a name stands twice"
        return dict(pairs)

    json.loads(text, object_pairs_hook=once)
    document = ProvDocument.deserialize(content=text, format="json")
    assert document.get_provn().startswith("document\n")
    names = {str(record.identifier) for record in document.get_records() if record.is_element()}
    kinds = collections.Counter()
    for record in document.get_records():
        kinds[record.get_type().localpart] += 1
        if record.is_relation():
            for _, end in record.formal_attributes[:2]:
                assert str(end) in names, f"no such thing: {end}"
    assert document == ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    return {"records": dict(sorted(kinds.items()))}


def graphml(path):
    import networkx

    graph = networkx.read_graphml(path, force_multigraph=True)
    assert graph.is_directed()
    kinds = collections.Counter(kind for _, kind in graph.nodes(data="kind"))
    edges = collections.Counter(kind for _, _, kind in graph.edges(data="kind"))
    assert None not in kinds and None not in edges, "without a kind"
    labels = sorted(label for _, label in graph.nodes(data="label"))
    return {"nodes": dict(sorted(kinds.items())), "edges": dict(sorted(edges.items())), "labels": labels}


if __name__ == "__main__":
    formats = {check.__name__: check for check in (ocsf, perfetto, otlp, prov, graphml)}
    print(json.dumps(formats[sys.argv[1]](sys.argv[2])))
