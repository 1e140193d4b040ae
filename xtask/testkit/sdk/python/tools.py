"""Tools: offered, called in pieces and in parallel, answered; and the SDK's own helpers on top of them."""

import json

import openai
import pydantic
from scenario import client, equal, holds, refused, scenario, user

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
ROME, OSLO = '{"city":"Rome"}', '{"city":"Осло \\"N\\""}'


@scenario
def tools_and_their_choice_are_passed_on():
    for choice in ["auto", "required", "none", {"type": "function", "function": {"name": "clock"}}]:
        answer = client().chat.completions.create(
            model="records-tools", messages=user("hi"), tools=[WEATHER, CLOCK], tool_choice=choice,
            parallel_tool_calls=False,
        )
        equal(answer.choices[0].message.content, "noted")


@scenario
def a_tool_call_comes_whole():
    answer = client().chat.completions.create(model="calls-one", messages=user("Rome?"), tools=[WEATHER])
    choice = answer.choices[0]
    equal((choice.finish_reason, choice.message.content), ("tool_calls", None))
    [call] = choice.message.tool_calls
    equal((call.id, call.type, call.function.name, call.function.arguments), ("call_a", "function", "weather", ROME))


@scenario
def tool_calls_are_streamed_by_index():
    stream = client().chat.completions.create(
        model="calls-two", messages=user("Rome and Oslo?"), tools=[WEATHER], stream=True
    )
    calls, finish = {}, None
    for chunk in stream:
        choice = chunk.choices[0]
        finish = choice.finish_reason or finish
        for delta in choice.delta.tool_calls or []:
            if delta.id:
                holds(delta.index not in calls, "an index that begins twice")
                equal(delta.type, "function")
                calls[delta.index] = [delta.id, delta.function.name, ""]
            calls[delta.index][2] += delta.function.arguments or ""
    equal(calls, {0: ["call_a", "weather", ROME], 1: ["call_b", "weather", OSLO]})
    equal(finish, "tool_calls")


@scenario
def parallel_tool_calls_come_whole():
    answer = client().chat.completions.create(model="calls-two", messages=user("Both?"), tools=[WEATHER])
    found = [(call.id, call.function.arguments) for call in answer.choices[0].message.tool_calls]
    equal(found, [("call_a", ROME), ("call_b", OSLO)])


@scenario
def results_of_tools_are_passed_on():
    messages = user("Rome and Oslo?")
    answer = client().chat.completions.create(model="calls-two", messages=messages, tools=[WEATHER])
    # What the SDK gave is given back as it is: its message, with every field it has.
    messages.append(answer.choices[0].message)
    for call in answer.choices[0].message.tool_calls:
        city = json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"sun in {city}"})
    answer = client().chat.completions.create(model="calls-two", messages=messages, tools=[WEATHER])
    equal(answer.choices[0].message.content, 'call_a: sun in Rome; call_b: sun in Осло "N"')
    equal(answer.choices[0].finish_reason, "stop")


@scenario
def the_helper_gathers_a_streamed_tool_call():
    with client().chat.completions.stream(
        model="calls-in-turn", messages=user("Both?"), tools=[WEATHER], stream_options={"include_usage": True}
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        answer = stream.get_final_completion()
    equal([(event.index, event.parsed_arguments) for event in done], [(0, {"city": "Rome"}), (1, {"city": 'Осло "N"'})])
    equal(len(answer.choices[0].message.tool_calls), 2)
    holds(answer.usage.total_tokens > 0, answer.usage)


@scenario
def the_helper_parses_an_answer_by_schema():
    class Place(pydantic.BaseModel):
        city: str
        degrees: int

    answer = client().chat.completions.parse(model="answers-json", messages=user("Rome?"), response_format=Place)
    equal(answer.choices[0].message.parsed, Place(city="Rome", degrees=31))


@scenario
def functions_of_old_are_refused_by_name():
    create = client().chat.completions.create
    call = {"name": "weather", "arguments": ROME}
    function = {"name": "weather", "parameters": {}}
    refused(
        openai.BadRequestError, lambda: create(model="mock-echo", messages=user("hi"), functions=[function]),
        param="functions", code="unsupported_parameter",
    )
    refused(
        openai.BadRequestError, lambda: create(model="mock-echo", messages=user("hi"), function_call="auto"),
        param="function_call", code="unsupported_parameter",
    )
    old = [{"role": "assistant", "content": None, "function_call": call}]
    refused(
        openai.BadRequestError, lambda: create(model="mock-echo", messages=user("hi") + old),
        param="messages[1].function_call", code="unsupported_parameter",
    )
    old = [{"role": "function", "name": "weather", "content": "sun"}]
    refused(
        openai.BadRequestError, lambda: create(model="mock-echo", messages=user("hi") + old),
        param="messages[1].role", code="unsupported_parameter",
    )
