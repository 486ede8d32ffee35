// The official Node client against the simulator: a story by name, its input as JSON on stdin, what it saw on stdout.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [story, packages] = process.argv.slice(2);
const given = JSON.parse(readFileSync(0, "utf8"));
const OpenAI = createRequire(packages + "/")("openai");
const client = new OpenAI({
  apiKey: given.apiKey ?? "sk-test",
  baseURL: given.baseURL,
  webhookSecret: given.webhookSecret,
  maxRetries: 0,
});
const asked = { model: "m", input: "The gate is green. It was built in 1893.", background: true };

async function ended(id) {
  const seen = [];
  for (;;) {
    const run = await client.responses.retrieve(id);
    if (seen.at(-1) !== run.status) seen.push(run.status);
    if (!["queued", "in_progress"].includes(run.status)) return [run, seen];
    await new Promise((go) => setTimeout(go, 5));
  }
}

async function refusal(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
  }
}

const stories = {
  async background() {
    const started = await client.responses.create({ ...asked, metadata: { a: "b" } });
    const [run, seen] = await ended(started.id);
    const items = [];
    for await (const item of client.responses.inputItems.list(run.id)) items.push(item.type);
    await client.responses.delete(run.id);
    const gone = await refusal(() => client.responses.retrieve(run.id));
    return { first: started.status, seen, text: run.output_text, usage: run.usage, items, gone };
  },

  async cancel() {
    const started = await client.responses.create(asked);
    const first = await client.responses.cancel(started.id);
    const again = await client.responses.cancel(started.id);
    return { id: started.id, statuses: [first.status, again.status] };
  },

  async refusals() {
    return [
      await refusal(() => client.responses.create({ ...asked, temperature: 9 })),
      await refusal(() => client.responses.create(asked)),
      await refusal(() => client.responses.create(asked)),
      await refusal(() => client.withOptions({ apiKey: "sk-bad" }).responses.create(asked)),
    ];
  },

  async stream() {
    const whole = [];
    for await (const event of await client.responses.create({ ...asked, stream: true })) whole.push(event);
    const id = whole[0].response.id;
    const rest = [];
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 3 }))
      rest.push(event.sequence_number);
    const text = whole.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
    const numbers = whole.map((event) => event.sequence_number);
    return { numbers, rest, text: text.join(""), last: whole.at(-1).type, said: whole.at(-1).response.status };
  },

  async unwrap() {
    const told = [];
    for (const { body, headers } of given.deliveries) {
      let event = null;
      const refused = await refusal(async () => (event = await client.webhooks.unwrap(body, headers)));
      told.push(refused?.name ?? [event.type, event.data.id]);
    }
    return told;
  },

  async endpoints() {
    const made = await client.webhooks.create({
      name: "n",
      url: given.hooks,
      event_types: ["response.completed"],
    });
    const kept = await client.webhooks.retrieve(made.id);
    const tried = await client.webhooks.test(made.id, { event_type: "response.completed" });
    const names = [];
    for await (const one of client.webhooks.list()) names.push(one.name);
    const removed = await client.webhooks.delete(made.id);
    return { secret: made.signing_secret, kept, tried, names, removed };
  },
};

process.stdout.write(JSON.stringify(await stories[story]()));
