// Tools: offered, called in pieces and in parallel, answered; and the SDK's own helpers on top of them.

import { client, equal, holds, openai, refused, scenario, user } from "./scenario.mjs";

const WEATHER = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather.",
    parameters: {
      type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false,
    },
    strict: true,
  },
};
const CLOCK = { type: "function", function: { name: "clock" } };
const ROME = '{"city":"Rome"}';
const OSLO = '{"city":"Осло \\"N\\""}';

const create = (body) => client().chat.completions.create(body);

scenario("tools_and_their_choice_are_passed_on", async () => {
  for (const tool_choice of ["auto", "required", "none", { type: "function", function: { name: "clock" } }]) {
    const answer = await create({
      model: "records-tools", messages: user("hi"), tools: [WEATHER, CLOCK], tool_choice, parallel_tool_calls: false,
    });
    equal(answer.choices[0].message.content, "noted");
  }
});

scenario("a_tool_call_comes_whole", async () => {
  const answer = await create({ model: "calls-one", messages: user("Rome?"), tools: [WEATHER] });
  const [choice] = answer.choices;
  equal([choice.finish_reason, choice.message.content], ["tool_calls", null]);
  equal(choice.message.tool_calls, [{ id: "call_a", type: "function", function: { name: "weather", arguments: ROME } }]);
});

scenario("tool_calls_are_streamed_by_index", async () => {
  const stream = await create({
    model: "calls-two", messages: user("Rome and Oslo?"), tools: [WEATHER], stream: true,
  });
  const calls = [];
  let finish = null;
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    finish = choice.finish_reason ?? finish;
    for (const delta of choice.delta.tool_calls ?? []) {
      if (delta.id) {
        holds(!calls[delta.index], "an index that begins twice");
        equal(delta.type, "function");
        calls[delta.index] = [delta.id, delta.function.name, ""];
      }
      calls[delta.index][2] += delta.function.arguments ?? "";
    }
  }
  equal(calls, [["call_a", "weather", ROME], ["call_b", "weather", OSLO]]);
  equal(finish, "tool_calls");
});

scenario("parallel_tool_calls_come_whole", async () => {
  const answer = await create({ model: "calls-two", messages: user("Both?"), tools: [WEATHER] });
  const found = answer.choices[0].message.tool_calls.map((call) => [call.id, call.function.arguments]);
  equal(found, [["call_a", ROME], ["call_b", OSLO]]);
});

scenario("results_of_tools_are_passed_on", async () => {
  const messages = user("Rome and Oslo?");
  const first = await create({ model: "calls-two", messages, tools: [WEATHER] });
  // What the SDK gave is given back as it is: its message, with every field it has.
  messages.push(first.choices[0].message);
  for (const call of first.choices[0].message.tool_calls) {
    const { city } = JSON.parse(call.function.arguments);
    messages.push({ role: "tool", tool_call_id: call.id, content: `sun in ${city}` });
  }
  const answer = await create({ model: "calls-two", messages, tools: [WEATHER] });
  equal(answer.choices[0].message.content, 'call_a: sun in Rome; call_b: sun in Осло "N"');
  equal(answer.choices[0].finish_reason, "stop");
});

scenario("the_helper_gathers_a_streamed_tool_call", async () => {
  const runner = client().chat.completions.stream({
    model: "calls-in-turn", messages: user("Both?"), tools: [WEATHER], stream_options: { include_usage: true },
  });
  const done = [];
  runner.on("tool_calls.function.arguments.done", (event) => done.push([event.index, event.arguments]));
  const answer = await runner.finalChatCompletion();
  equal(done, [[0, ROME], [1, OSLO]]);
  equal(answer.choices[0].message.tool_calls.length, 2);
  holds(answer.usage.total_tokens > 0, answer.usage);
});

scenario("the_helper_runs_tools_to_the_end", async () => {
  const tool = { ...WEATHER, function: { ...WEATHER.function, parse: JSON.parse, function: ({ city }) => `sun in ${city}` } };
  for (const stream of [false, true]) {
    const runner = client().chat.completions.runTools({
      model: "calls-in-turn", messages: user("Both?"), tools: [tool], stream,
    });
    equal(await runner.finalContent(), 'call_a: sun in Rome; call_b: sun in Осло "N"', `stream: ${stream}`);
  }
});

scenario("the_helper_parses_an_answer_by_schema", async () => {
  const schema = { type: "object", properties: { city: { type: "string" }, degrees: { type: "integer" } } };
  const answer = await client().chat.completions.parse({
    model: "answers-json", messages: user("Rome?"),
    response_format: {
      type: "json_schema", json_schema: { name: "place", strict: true, schema }, $brand: "auto-parseable-response-format",
      $parseRaw: JSON.parse,
    },
  });
  equal(answer.choices[0].message.parsed, { city: "Rome", degrees: 31 });
});

scenario("functions_of_old_are_refused_by_name", async () => {
  const refuses = (fields, param) =>
    refused(openai.BadRequestError, () => create({ model: "mock-echo", messages: user("hi"), ...fields }), {
      param, code: "unsupported_parameter",
    });
  await refuses({ functions: [{ name: "weather", parameters: {} }] }, "functions");
  await refuses({ function_call: "auto" }, "function_call");
  const call = { role: "assistant", content: null, function_call: { name: "weather", arguments: ROME } };
  await refuses({ messages: [...user("hi"), call] }, "messages[1].function_call");
  const result = { role: "function", name: "weather", content: "sun" };
  await refuses({ messages: [...user("hi"), result] }, "messages[1].role");
});
