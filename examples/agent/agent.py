#!/usr/bin/env python3
"""The agent: asks the model what to do, does it, tells the model what came of it, until done."""

import argparse
import json
import pathlib
import subprocess
import sys

import local_http

TURNS_MAX = 20
RESULT_CHARACTERS_MAX = 4000
SYSTEM = "You are an assistant with tools. Work in the current directory."


def shell(command):
    """Runs a command line; gives what it printed and its exit status."""
    done = subprocess.run(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return f"{done.stdout}{done.stderr}[exit status {done.returncode}]"


def read_file(path):
    """Gives a file's text."""
    return pathlib.Path(path).expanduser().read_text()


def write_file(path, text, executable=False):
    """Writes a file."""
    target = pathlib.Path(path)
    target.write_text(text)
    if executable:
        target.chmod(0o755)
    return f"wrote {len(text)} characters"


TOOLS = {tool.__name__: tool for tool in (shell, read_file, write_file)}


def describe():
    """The tools in the form the model's interface wants."""
    return [
        {"type": "function", "function": {"name": name, "description": tool.__doc__}}
        for name, tool in TOOLS.items()
    ]


def use(call):
    """Carries out one tool call. What goes wrong is the model's to deal with."""
    try:
        tool = TOOLS[call["function"]["name"]]
        return tool(**json.loads(call["function"]["arguments"]))[:RESULT_CHARACTERS_MAX]
    except (OSError, LookupError, TypeError, ValueError) as error:
        return f"error: {error}"


def show(call):
    """One line about a tool call: what the agent says it does."""
    arguments = json.loads(call["function"]["arguments"])
    first = next(iter(arguments.values()), "")
    print(f"  {call['function']['name']:<11}{first}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="address of the model server")
    parser.add_argument("task")
    options = parser.parse_args()
    print(f"task: {options.task}", flush=True)
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": options.task},
    ]
    for _ in range(TURNS_MAX):
        request = {"model": "scripted", "messages": messages, "tools": describe()}
        answer = local_http.post(f"{options.model}/v1/chat/completions", request)
        message = answer["choices"][0]["message"]
        messages.append(message)
        calls = message.get("tool_calls", [])
        if not calls:
            print(f"agent: {message['content']}", flush=True)
            return 0
        for call in calls:
            show(call)
            result = {"role": "tool", "tool_call_id": call["id"], "content": use(call)}
            messages.append(result)
    print(f"agent: gave up after {TURNS_MAX} turns", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
