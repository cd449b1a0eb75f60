#!/usr/bin/env python3
"""A language model, as far as an agent can tell: chat completions with tool calls, from a script.

What it answers follows from the request alone: the n-th turn of a conversation gets the n-th entry
of script.json. Like a real one it does what the text before it says, whoever wrote that text.
"""

import json
import pathlib

import local_http

SCRIPT = json.loads((pathlib.Path(__file__).resolve().parent / "script.json").read_text())


def answer(path, request):
    if path != "/v1/chat/completions":
        raise LookupError(f"no such path: {path}")
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    entry = SCRIPT[turn]
    message = {"role": "assistant", "content": entry["content"]}
    if "call" in entry:
        arguments = json.dumps(entry["arguments"])
        call = {"name": entry["call"], "arguments": arguments}
        message["tool_calls"] = [{"id": f"call_{turn}", "type": "function", "function": call}]
    reason = "tool_calls" if "call" in entry else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"object": "chat.completion", "model": request.get("model"), "choices": [choice]}


if __name__ == "__main__":
    local_http.serve(answer)
