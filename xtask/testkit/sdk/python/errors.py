"""Refusals and failures as the SDK's own classes."""

import openai
from scenario import client, equal, holds, refused, scenario, user


@scenario
def a_wrong_key_is_an_authentication_error():
    for call in [
        lambda: client("oc_live_wrong").chat.completions.create(model="mock-echo", messages=user("hi")),
        lambda: client("oc_live_wrong").chat.completions.create(model="mock-echo", messages=user("hi"), stream=True),
        lambda: client("oc_live_wrong").models.list(),
    ]:
        error = refused(
            openai.AuthenticationError, call, status_code=401, code="invalid_api_key", type="authentication_error"
        )
        holds(error.request_id, "no request id")


@scenario
def an_unknown_model_is_not_found():
    refused(
        openai.NotFoundError, lambda: client().models.retrieve("nobody"),
        status_code=404, code="model_not_found", param="model",
    )
    listed_only = client("listed_key", server="listed_base_url")
    for stream in [False, True]:
        refused(
            openai.NotFoundError,
            lambda: listed_only.chat.completions.create(model="nobody", messages=user("hi"), stream=stream),
            status_code=404, code="model_not_found", param="model", type="invalid_request_error",
        )


@scenario
def a_wrong_field_is_named():
    create = client().chat.completions.create
    good = {"model": "mock-echo", "messages": user("hi")}
    for param, change in [
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "wizard", "content": "hi"}]}),
        ("messages[1].tool_call_id", {"messages": user("hi") + [{"role": "tool", "content": "x"}]}),
        ("messages[0].content[1]", {"messages": user([{"type": "text", "text": "a"}, {"text": "b"}])}),
        ("temperature", {"temperature": 7}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_completion_tokens", {"max_completion_tokens": -1}),
        ("tools[0].function.name", {"tools": [{"type": "function", "function": {}}]}),
        ("model", {"model": ""}),
    ]:
        error = refused(
            openai.BadRequestError, lambda: create(**{**good, **change}),
            status_code=400, code="invalid_request", type="invalid_request_error", param=param,
        )
        holds(len(error.message) > 20, error.message)


@scenario
def a_provider_that_is_down_is_an_internal_server_error():
    for stream in [False, True]:
        error = refused(
            openai.InternalServerError,
            lambda: client().chat.completions.create(model="mock-f500", messages=user("hi"), stream=stream),
            status_code=502, code="provider_unavailable", type="server_error",
        )
        holds("mock fault" not in error.message, "the provider's own words are not the caller's")


@scenario
def what_the_provider_refuses_is_a_bad_request():
    refused(
        openai.BadRequestError,
        lambda: client().chat.completions.create(model="mock-f400", messages=user("hi")),
        status_code=400, code="invalid_request",
    )


@scenario
def a_context_too_long_for_the_model_is_named():
    # One is found too long by the provider, the other by the server itself.
    for model, text in [("context-too-long", "hi"), ("mock-echo", "The quick brown fox jumps. " * 36_000)]:
        error = refused(
            openai.BadRequestError,
            lambda: client().chat.completions.create(model=model, messages=user(text)),
            status_code=400, code="context_length_exceeded", param="messages",
        )
        holds("/new" not in error.message, "there are no commands here")


@scenario
def a_stream_that_is_cut_raises():
    said = []

    def read(model):
        for chunk in client().chat.completions.create(model=model, messages=user("hi"), stream=True):
            said.append(chunk.choices[0].delta.content or "")

    for model in ["mock-c9-d1-k3", "mock-c9-d1-e3"]:
        said.clear()
        refused(openai.APIError, lambda: read(model), code="provider_unavailable", type="server_error")
        equal("".join(said), "lorem ipsum lorem ", "what was said before stands")


@scenario
def a_whole_answer_that_is_cut_raises():
    refused(
        openai.InternalServerError,
        lambda: client().chat.completions.create(model="whole-cut", messages=user("hi")),
        status_code=502, code="provider_unavailable",
    )


@scenario
def a_body_beyond_the_limit_is_refused():
    text = "x" * (1 << 20)
    error = refused(
        openai.APIStatusError,
        lambda: client().chat.completions.create(model="mock-echo", messages=user(text)),
        status_code=413, code="too_large", type="invalid_request_error",
    )
    holds("1048576" in error.message, error.message)


@scenario
def an_unknown_path_is_not_found():
    refused(openai.NotFoundError, lambda: client().embeddings.create(model="x", input="y"), code="not_found")
