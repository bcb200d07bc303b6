// The openai package of npm against a server: node openai_node.mjs URL. Ends with "ok", or with what is wrong.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// NODE_PATH names the folder of packages, which import does not look into.
const { default: OpenAI } = await import(pathToFileURL(createRequire(import.meta.url).resolve("openai")).href);
const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const asked = { model: "chat", messages: [{ role: "user", content: "안녕" }], seed: 1 };

const listed = [];
for await (const model of client.models.list()) listed.push(model.id);
assert.deepEqual(listed, ["chat", "base"]);

const whole = await client.chat.completions.create({ ...asked, max_completion_tokens: 8 });
assert.equal(whole.usage.completion_tokens, 8);
const options = { stream: true, stream_options: { include_usage: true } };
let text = "";
let usage;
for await (const chunk of await client.chat.completions.create({ ...asked, max_completion_tokens: 8, ...options })) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

const parameters = {
  type: "object",
  properties: { 도시: { type: "string", enum: ["서울", "부산"] } },
  required: ["도시"],
  additionalProperties: false,
};
const tool = { type: "function", function: { name: "weather", strict: true, parameters } };
const forced = { tools: [tool], tool_choice: "required", parallel_tool_calls: false };
const called = await client.chat.completions.stream({ ...asked, ...forced, max_tokens: 100 }).finalChatCompletion();
const [call] = called.choices[0].message.tool_calls;
assert.equal(called.choices[0].finish_reason, "tool_calls");
assert.ok(["서울", "부산"].includes(JSON.parse(call.function.arguments).도시));
const result = { role: "tool", tool_call_id: call.id, content: "맑음" };
const messages = [...asked.messages, called.choices[0].message, result];
const answered = await client.chat.completions.create({ ...asked, messages, tools: [tool], max_tokens: 3 });
assert.equal(answered.choices.length, 1);

const format = { type: "json_schema", json_schema: { name: "곳", strict: true, schema: parameters } };
const parsed = await client.chat.completions.parse({ ...asked, response_format: format, max_tokens: 100 });
assert.ok(["서울", "부산"].includes(JSON.parse(parsed.choices[0].message.content).도시));

const { output_text } = await client.responses.create({ model: "chat", input: "안녕", max_output_tokens: 8 });
assert.ok(output_text);

await assert.rejects(client.chat.completions.create({ ...asked, store: true }), OpenAI.BadRequestError);
await assert.rejects(client.chat.completions.create({ ...asked, model: "gpt-4" }), OpenAI.NotFoundError);

const long = { max_tokens: 900, structured_outputs: { regex: "[가-힣]{900}" } };
const stream = await client.chat.completions.create({ ...asked, ...long, stream: true });
let chunks = 0;
for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
assert.ok(chunks >= 3 && chunks < 900);
console.log("ok");
