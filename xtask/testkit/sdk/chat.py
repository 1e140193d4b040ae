"""One chat completion through the official SDK. Reads a request as JSON from standard input, prints the outcome."""

import json
import sys

import openai

asked = json.load(sys.stdin)
client = openai.OpenAI(
    base_url=asked["base_url"], api_key=asked["api_key"], max_retries=asked["max_retries"], timeout=30
)
try:
    if asked["body"].get("stream"):
        text, pieces, usage, finish = "", 0, None, None
        for chunk in client.chat.completions.create(**asked["body"]):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                if choice.delta.content:
                    text += choice.delta.content
                    pieces += 1
    else:
        answer = client.chat.completions.create(**asked["body"])
        text, pieces = answer.choices[0].message.content, 1
        usage, finish = answer.usage, answer.choices[0].finish_reason
    print(json.dumps({
        "text": text, "pieces": pieces, "finish_reason": finish,
        "usage": usage and {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
    }))
except openai.APIError as error:
    print(json.dumps({"error": {
        "class": type(error).__name__, "status": getattr(error, "status_code", None),
        "code": error.code, "type": error.type, "message": error.message,
    }}))
