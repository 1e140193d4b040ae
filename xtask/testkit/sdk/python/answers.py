"""Answers, whole and streamed; models; headers; many at once; streams that their reader leaves."""

import asyncio

import openai
from scenario import async_client, client, equal, holds, scenario, user


@scenario
def an_answer_comes_whole():
    answer = client().chat.completions.create(model="mock-echo", messages=user('Привет, "мир"\n'))
    equal(answer.object, "chat.completion")
    holds(answer.id.startswith("chatcmpl-") and answer.created > 1_700_000_000, answer.id)
    equal(answer.model, "mock-echo")
    equal(len(answer.choices), 1)
    choice = answer.choices[0]
    equal((choice.index, choice.finish_reason), (0, "stop"))
    equal((choice.message.role, choice.message.content), ("assistant", 'echo: Привет, "мир"\n'))
    equal((choice.message.refusal, choice.message.tool_calls), (None, None))
    usage = answer.usage
    holds(usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@scenario
def an_answer_comes_streamed():
    chunks = list(client().chat.completions.create(model="mock-c40-d1", messages=user("go"), stream=True))
    equal({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
    equal(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}), 1, "one identity")
    equal(chunks[0].choices[0].delta.role, "assistant")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    equal(text, "lorem ipsum " * 20)
    equal([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason], ["stop"])
    holds(all(chunk.usage is None for chunk in chunks), "usage that nobody asked for")


@scenario
def usage_ends_a_stream_that_asked_for_it():
    stream = client().chat.completions.create(
        model="usage-7-2", messages=user("count"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    holds(all(chunk.usage is None for chunk in chunks[:-1]), "usage before the end")
    equal(chunks[-1].choices, [])
    usage = chunks[-1].usage
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (7, 2, 9))
    whole = client().chat.completions.create(model="usage-7-2", messages=user("count"))
    equal((whole.usage.prompt_tokens, whole.usage.completion_tokens), (7, 2))


@scenario
def usage_is_told_where_the_provider_says_none():
    stream = client().chat.completions.create(
        model="no-usage", messages=user("count"), stream=True, stream_options={"include_usage": True}
    )
    usage = list(stream)[-1].usage
    holds(usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@scenario
def an_answer_cut_short_by_its_limit_says_length():
    answer = client().chat.completions.create(model="too-long", messages=user("go"), max_tokens=300)
    equal((answer.choices[0].finish_reason, answer.choices[0].message.content), ("length", "as far as"))


@scenario
def models_are_listed_and_retrieved():
    listed = [model.id for model in client().models.list()]
    holds("auto" in listed and "mock-echo" in listed, listed)
    model = client().models.retrieve("auto")
    equal((model.id, model.object, model.owned_by), ("auto", "model", "openclaw"))
    answer = client().chat.completions.create(model="auto", messages=user("hello"))
    equal((answer.model, answer.choices[0].message.content), ("mock-echo", "echo: hello"))


@scenario
def raw_headers_name_the_request():
    raw = client().chat.completions.with_raw_response.create(model="mock-echo", messages=user("hi"))
    equal(len(raw.headers["x-request-id"]), 36)
    equal(raw.parse()._request_id, raw.headers["x-request-id"])
    equal(raw.headers["content-type"], "application/json")
    stream = client().chat.completions.with_raw_response.create(model="mock-c2", messages=user("hi"), stream=True)
    holds(stream.headers["content-type"].startswith("text/event-stream"), stream.headers["content-type"])
    equal(len(stream.headers["x-request-id"]), 36)
    holds(stream.headers["x-request-id"] != raw.headers["x-request-id"], "two requests of one name")


@scenario
def raw_headers_tell_what_is_left():
    raw = client("metered").chat.completions.with_raw_response.create(model="usage-7-2", messages=user("hi"))
    equal(raw.headers["x-ratelimit-limit-requests"], "3")
    equal(raw.headers["x-ratelimit-remaining-requests"], "2")
    holds(raw.headers["x-ratelimit-reset-requests"].endswith("s"), raw.headers["x-ratelimit-reset-requests"])
    equal(raw.headers["x-ratelimit-limit-tokens"], "100000")
    holds(0 < int(raw.headers["x-ratelimit-remaining-tokens"]) <= 100_000, "tokens left")
    holds(raw.headers["x-ratelimit-reset-tokens"].endswith("s"), raw.headers["x-ratelimit-reset-tokens"])
    again = client("metered").chat.completions.with_raw_response.create(model="usage-7-2", messages=user("hi"))
    equal(
        int(again.headers["x-ratelimit-remaining-tokens"]),
        int(raw.headers["x-ratelimit-remaining-tokens"]) - 9,
        "what the first call cost",
    )


@scenario
def a_whole_conversation_is_passed_on():
    answer = client().chat.completions.create(
        model="records-conversation",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "One "}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": "Three."},
            {"role": "user", "content": "Four?", "name": "ann"},
        ],
    )
    equal(answer.choices[0].message.content, "noted")


@scenario
def a_long_context_passes():
    text = "The quick brown fox jumps. " * 36_000
    holds(len(text) > 950_000, "about two hundred thousand tokens")
    answer = client().chat.completions.create(model="records-length", messages=user(text))
    equal(answer.choices[0].message.content, str(len(text)))


@scenario
def an_image_is_passed_on():
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    answer = client().chat.completions.create(
        model="records-image", messages=user([{"type": "text", "text": "What is this?"}, part])
    )
    equal(answer.choices[0].message.content, "noted")


@scenario
async def twenty_streams_at_once_do_not_mix():
    async with async_client(max_retries=5) as client:

        async def one(number):
            text = f"number {number} " * 20
            stream = await client.chat.completions.create(model="mock-echo-d2", messages=user(text), stream=True)
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            equal("".join(said), "echo: " + text)

        await asyncio.gather(*(one(number) for number in range(20)))


@scenario
def leaving_a_stream_ends_the_call():
    stream = client().chat.completions.create(model="mock-c100000-d20-left", messages=user("go"), stream=True)
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()


@scenario
async def cancelling_a_stream_ends_the_call():
    async with async_client() as client:
        begun = asyncio.Event()

        async def read():
            stream = await client.chat.completions.create(
                model="mock-c100000-d20-cancelled", messages=user("go"), stream=True
            )
            async for _ in stream:
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return
        raise AssertionError("it was not cancelled")


@scenario
def a_time_limit_of_the_client_ends_the_call():
    try:
        client(timeout=0.5).chat.completions.create(model="mock-h600000-timed-out", messages=user("go"))
    except openai.APITimeoutError:
        return
    raise AssertionError("there was an answer")
