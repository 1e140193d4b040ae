"""Each parameter is passed on or refused by name."""

import openai
from scenario import client, equal, refused, scenario, user

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "place", "strict": True, "schema": {"type": "object", "properties": {}}},
}


@scenario
def what_a_model_understands_is_passed_on():
    answer = client().chat.completions.create(
        model="records-parameters", messages=user("hi"), temperature=0.5, top_p=0.25, seed=7, stop=["END", "STOP"],
        frequency_penalty=0.5, presence_penalty=-0.5, logit_bias={"50256": -100}, response_format=SCHEMA,
        reasoning_effort="low", verbosity="low", max_completion_tokens=500, n=1, logprobs=False,
        user="ann", metadata={"a": "b"}, store=False, service_tier="auto", modalities=["text"],
        prediction={"type": "content", "content": "hi"}, prompt_cache_key="k", safety_identifier="s",
        extra_body={"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "unheard_of": 1},
    )
    equal(answer.choices[0].message.content, "noted")


@scenario
def the_limit_of_an_answer_has_two_names():
    create = client().chat.completions.create
    create(model="records-max-tokens", messages=user("hi"), max_tokens=300)
    create(model="records-max-tokens", messages=user("hi"), max_completion_tokens=400)
    create(model="records-max-tokens", messages=user("hi"), max_tokens=1, max_completion_tokens=500)


@scenario
def what_cannot_be_honoured_is_refused_by_name():
    create = client().chat.completions.create
    for param, fields in [
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("audio", {"audio": {"voice": "x", "format": "wav"}, "modalities": ["text"]}),
        ("modalities", {"modalities": ["text", "audio"]}),
        ("store", {"store": True}),
        ("service_tier", {"service_tier": "priority"}),
        ("web_search_options", {"web_search_options": {}}),
        ("tools[0].type", {"tools": [{"type": "custom", "custom": {"name": "x"}}]}),
    ]:
        refused(
            openai.BadRequestError,
            lambda: create(model="never-asked", messages=user("hi"), **fields),
            param=param, code="unsupported_parameter", type="invalid_request_error",
        )


@scenario
def what_is_of_the_wrong_form_is_refused_by_name():
    create = client().chat.completions.create
    tools = [{"type": "function", "function": {"name": "clock"}}]
    for param, fields in [
        ("stop", {"stop": 5}),
        ("stop", {"stop": ["a", 5]}),
        ("seed", {"seed": "x"}),
        ("response_format", {"response_format": "json"}),
        ("response_format.type", {"response_format": {"kind": "json"}}),
        ("logit_bias", {"logit_bias": [1]}),
        ("parallel_tool_calls", {"parallel_tool_calls": "yes", "tools": tools}),
        ("tool_choice", {"tool_choice": "perhaps", "tools": tools}),
        ("tool_choice.function.name", {
            "tool_choice": {"type": "function", "function": {"name": "other"}}, "tools": tools,
        }),
        ("tool_choice", {"tool_choice": "required"}),
        ("reasoning_effort", {"reasoning_effort": 3}),
    ]:
        refused(
            openai.BadRequestError,
            lambda: create(model="never-asked", messages=user("hi"), **fields),
            param=param, code="invalid_request", type="invalid_request_error",
        )
