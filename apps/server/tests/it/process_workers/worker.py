"""A worker that does what its question says, good or bad. It notes its processes in `hostile` before it misbehaves."""
import json
import os
import signal
import subprocess
import sys
import time


def say(**frame):
    print(json.dumps(frame), flush=True)


def note(*pids):
    with open("hostile", "a") as file:
        file.write("".join(f"{pid}\n" for pid in pids))


def beat_for_ever():
    while True:
        say(type="heartbeat")
        time.sleep(0.05)


def serve(frame, text):
    def piece(text):
        say(type="text_delta", id=frame["id"], text=text)

    command, _, rest = text.partition(" ")
    if command == "slow":
        for number in range(int(rest)):
            piece(f"word{number} ")
            time.sleep(0.02)
    elif command == "think":
        for _ in range(60):
            say(type="heartbeat")
            time.sleep(0.05)
        piece("thought")
    elif command == "count":
        piece(str(len(frame["messages"])))
    elif command == "env":
        piece(os.environ.get(rest, "nothing"))
    elif command == "refuse":
        return say(type="error", id=frame["id"], code="KeyError", message="the inner words of it")
    elif command == "full":
        return say(type="error", id=frame["id"], code="context_too_long", message="the full words of it")
    elif command == "busy":
        # Refused once, then answered: the second time it is asked the file is there.
        if not os.path.exists("asked"):
            open("asked", "w").close()
            return say(type="error", id=frame["id"], code="busy", message="later", recoverable=True)
        piece("answered the second time")
    elif command == "leak":
        note(os.getpid())
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 12) * (1 << 8)))
            say(type="heartbeat")
            time.sleep(0.02)
    elif command == "deaf":
        note(os.getpid())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        piece("half an answer ")
        beat_for_ever()
    elif command == "garbage":
        note(os.getpid())
        for _ in range(100):
            os.write(1, os.urandom(1 << 20))
        beat_for_ever()
    elif command == "exit":
        note(os.getpid())
        piece("half an answer ")
        os._exit(3)
    elif command == "fork":
        others = [subprocess.Popen(["sleep", "600"]).pid for _ in range(3)]
        note(os.getpid(), *others)
        piece("half an answer ")
        os._exit(4)
    elif command == "stop":
        other = subprocess.Popen(["sleep", "600"]).pid
        note(os.getpid(), other)
        piece("half an answer ")
        os.killpg(0, signal.SIGSTOP)
    else:
        piece(f"worker: {text}")
    usage = {"inputTokens": 11, "outputTokens": 7}
    if command == "silent":
        say(type="done", id=frame["id"])
    else:
        say(type="done", id=frame["id"], usage=usage)


for line in sys.stdin:
    question = json.loads(line)
    if question["type"] == "request":
        last = question["messages"][-1]["content"]
        serve(question, "".join(block.get("text", "") for block in last))
