#!/usr/bin/env python3
"""A worker for OpenClaw Platform: answers with the last message, word by word.

Standard input and output carry one JSON object per line; standard error is the log.
The protocol is described in docs/guide/en/workers.md.
"""
import json
import queue
import sys
import threading
import time

HEARTBEAT_SECONDS = 2
inbox = queue.Queue()


def read_lines():
    """Reads the server's lines apart from the work, so that a cancellation is seen at once."""
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put({"type": "end"})  # nothing comes after this: end once what was taken has its answer


def say(**frame):
    print(json.dumps(frame), flush=True)


def answer(request):
    """Yields the pieces of the answer. Put your own program here."""
    last = request["messages"][-1]["content"]
    text = "".join(block["text"] for block in last if block["type"] == "text")
    for word in text.split():
        yield word + " "


def serve(request):
    words, beaten = 0, time.monotonic()
    deadline = beaten + request["deadlineMs"] / 1000
    for piece in answer(request):
        cancelled = not inbox.empty() and inbox.queue[0]["type"] == "cancel"
        if cancelled or time.monotonic() > deadline:
            break
        say(type="text_delta", id=request["id"], text=piece)
        words += 1
        # Beat from the work itself: a worker that hangs must fall silent.
        if time.monotonic() - beaten > HEARTBEAT_SECONDS:
            say(type="heartbeat")
            beaten = time.monotonic()
    usage = {"inputTokens": words, "outputTokens": words}
    say(type="done", id=request["id"], usage=usage, stopReason="end_turn")


threading.Thread(target=read_lines, daemon=True).start()
while (message := inbox.get())["type"] != "end":
    if message["type"] == "request":
        try:
            serve(message)
        except Exception as error:
            say(type="error", id=message["id"], code=type(error).__name__, message=str(error))
