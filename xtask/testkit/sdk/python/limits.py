"""What a caller may: the rate of its key, the budget of its user, and a server at capacity."""

import time

import openai
from scenario import client, equal, holds, refused, scenario, user


@scenario
def the_rate_of_a_key_is_a_rate_limit_error():
    one = client("hurried")

    def hurry():
        # How many are let through depends on the machine's speed; never this many.
        for number in range(100):
            one.chat.completions.create(model="mock-echo", messages=user(f"{number}"))

    error = refused(
        openai.RateLimitError, hurry, status_code=429, code="rate_limit_exceeded", type="rate_limit_error"
    )
    headers = error.response.headers
    holds(int(headers["retry-after"]) >= 1 and float(headers["retry-after-ms"]) > 0, dict(headers))
    equal(headers["x-ratelimit-limit-requests"], "3")
    equal(headers["x-ratelimit-remaining-requests"], "0")
    holds("x-should-retry" not in headers, "a rate limit is worth another try")


@scenario
def the_sdk_waits_and_tries_again():
    seen, waits = [], []

    def asked(_request):
        if seen and seen[-1].status_code == 429:
            waited = (time.monotonic() - answered) * 1000
            waits.append(waited - float(seen[-1].headers["retry-after-ms"]))

    def told(response):
        nonlocal answered
        answered = time.monotonic()
        seen.append(response)

    answered = 0.0
    http = openai.DefaultHttpxClient(event_hooks={"request": [asked], "response": [told]})
    patient = client("patient", max_retries=4, http_client=http)
    for number in range(100):
        raw = patient.chat.completions.with_raw_response.create(model="patient", messages=user(f"{number}"))
        equal(raw.parse().choices[0].message.content, "noted")
        if waits:
            holds(raw.retries_taken >= 1, "it was not the SDK that tried again")
            holds(min(waits) > -5, f"tried again {-min(waits)} ms before it was told to")
            return
    raise AssertionError("nothing was refused")


@scenario
def a_used_up_budget_is_insufficient_quota():
    one = client("spender", max_retries=3)
    one.chat.completions.create(model="usage-4900-5000", messages=user("all of it"), user="ann")
    for name in ["ann", "bob", None]:
        extra = {"user": name} if name else {}
        error = refused(
            openai.RateLimitError,
            lambda: one.chat.completions.create(model="never-asked", messages=user("more"), **extra),
            status_code=429, code="insufficient_quota", type="insufficient_quota",
        )
        equal(error.response.headers["x-should-retry"], "false")
        holds("10" in error.message, error.message)


@scenario
def a_budget_used_up_in_mid_stream_lets_the_answer_end_and_refuses_the_next():
    one = client("drainer", max_retries=3)
    stream = one.chat.completions.create(
        model="overspends", messages=user("go on"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    equal("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), "more than there was")
    equal(chunks[-1].usage.total_tokens, 12_000)
    error = refused(
        openai.RateLimitError,
        lambda: one.chat.completions.create(model="never-asked", messages=user("more"), stream=True),
        status_code=429, code="insufficient_quota", type="insufficient_quota",
    )
    holds(int(error.response.headers["retry-after"]) > 60, "tomorrow, not at once")


@scenario
def a_user_is_a_tenant_of_its_own():
    for name in ["tenant-ann", "tenant-bob"]:
        answer = client().chat.completions.create(model="usage-7-2", messages=user("hi"), user=name)
        equal(answer.choices[0].message.content, "counted")


@scenario
def a_server_at_capacity_is_tried_again():
    statuses, waits = [], []
    answered = told = 0.0

    def asked(_request):
        if told:
            waits.append((time.monotonic() - answered) * 1000 - told)

    def heard(response):
        nonlocal answered, told
        answered = time.monotonic()
        statuses.append(response.status_code)
        told = float(response.headers.get("retry-after-ms", 0))

    http = openai.DefaultHttpxClient(event_hooks={"request": [asked], "response": [heard]})
    refused(
        openai.InternalServerError,
        lambda: client().chat.completions.create(model="never-asked", messages=user("hi")),
        status_code=503, code="overloaded", type="server_error",
    )
    raw = client(max_retries=20, http_client=http).chat.completions.with_raw_response.create(
        model="came-through", messages=user("hi")
    )
    equal(raw.parse().choices[0].message.content, "noted")
    holds(statuses[0] == 503 and statuses[-1] == 200, statuses)
    equal(set(statuses), {503, 200})
    holds(waits and min(waits) > -5, f"tried again before it was told to: {waits}")
