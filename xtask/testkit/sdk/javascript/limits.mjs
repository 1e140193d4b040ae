// What a caller may: the rate of its key, the budget of its user, and a server at capacity.

import { client, equal, holds, openai, refused, scenario, user, watched } from "./scenario.mjs";

scenario("the_rate_of_a_key_is_a_rate_limit_error", async () => {
  const hurry = async () => {
    // How many are let through depends on the machine's speed; never this many.
    for (let number = 0; number < 100; number++) {
      await client("hurried").chat.completions.create({ model: "mock-echo", messages: user(`${number}`) });
    }
  };
  const { headers } = await refused(openai.RateLimitError, hurry, {
    status: 429, code: "rate_limit_exceeded", type: "rate_limit_error",
  });
  holds(Number(headers.get("retry-after")) >= 1 && Number(headers.get("retry-after-ms")) > 0, headers);
  equal(headers.get("x-ratelimit-limit-requests"), "3");
  equal(headers.get("x-ratelimit-remaining-requests"), "0");
  equal(headers.get("x-should-retry"), null, "a rate limit is worth another try");
});

scenario("the_sdk_waits_and_tries_again", async () => {
  let refused = null;
  const waits = [];
  const timed = async (url, init) => {
    if (refused) waits.push(performance.now() - refused.at - refused.wait);
    const response = await fetch(url, init);
    refused = null;
    if (response.status === 429) {
      refused = { at: performance.now(), wait: Number(response.headers.get("retry-after-ms")) };
    }
    return response;
  };
  const patient = client("patient", { maxRetries: 4, fetch: timed });
  for (let number = 0; number < 100 && waits.length === 0; number++) {
    const answer = await patient.chat.completions.create({ model: "patient", messages: user(`${number}`) });
    equal(answer.choices[0].message.content, "noted");
  }
  holds(waits.length > 0, "nothing was refused");
  holds(Math.min(...waits) > -5, `tried again ${-Math.min(...waits)} ms before it was told to`);
});

scenario("a_used_up_budget_is_insufficient_quota", async () => {
  const statuses = [];
  const one = client("spender", { maxRetries: 3, fetch: watched(statuses) });
  await one.chat.completions.create({ model: "usage-4900-5000", messages: user("all of it"), user: "ann" });
  for (const name of ["ann", "bob", undefined]) {
    const error = await refused(
      openai.RateLimitError,
      () => one.chat.completions.create({ model: "never-asked", messages: user("more"), user: name }),
      { status: 429, code: "insufficient_quota", type: "insufficient_quota" },
    );
    equal(error.headers.get("x-should-retry"), "false");
    holds(error.message.includes("10"), error.message);
  }
  equal(statuses, [200, 429, 429, 429], "nothing was tried again");
});

scenario("a_budget_used_up_in_mid_stream_lets_the_answer_end_and_refuses_the_next", async () => {
  const one = client("drainer", { maxRetries: 3 });
  const stream = await one.chat.completions.create({
    model: "overspends", messages: user("go on"), stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  equal(text, "more than there was");
  equal(usage.total_tokens, 12_000);
  const { headers } = await refused(
    openai.RateLimitError,
    () => one.chat.completions.create({ model: "never-asked", messages: user("more"), stream: true }),
    { status: 429, code: "insufficient_quota", type: "insufficient_quota" },
  );
  holds(Number(headers.get("retry-after")) > 60, "tomorrow, not at once");
});

scenario("a_user_is_a_tenant_of_its_own", async () => {
  for (const name of ["tenant-ann", "tenant-bob"]) {
    const answer = await client().chat.completions.create({ model: "usage-7-2", messages: user("hi"), user: name });
    equal(answer.choices[0].message.content, "counted");
  }
});

scenario("a_server_at_capacity_is_tried_again", async () => {
  await refused(
    openai.InternalServerError,
    () => client().chat.completions.create({ model: "never-asked", messages: user("hi") }),
    { status: 503, code: "overloaded", type: "server_error" },
  );
  const statuses = [];
  const waits = [];
  let heard = null;
  const timed = async (url, init) => {
    if (heard) waits.push(performance.now() - heard.at - heard.wait);
    const response = await fetch(url, init);
    statuses.push(response.status);
    const wait = Number(response.headers.get("retry-after-ms"));
    heard = wait ? { at: performance.now(), wait } : null;
    return response;
  };
  const answer = await client("key", { maxRetries: 20, fetch: timed }).chat.completions.create({
    model: "came-through", messages: user("hi"),
  });
  equal(answer.choices[0].message.content, "noted");
  holds(statuses[0] === 503 && statuses.at(-1) === 200, statuses);
  equal(new Set(statuses), new Set([503, 200]));
  holds(waits.length > 0 && Math.min(...waits) > -5, `tried again before it was told to: ${waits}`);
});
