// A function behind a URL, made with Powertools for AWS Lambda: its strict schema of the event, and its batch processor.
// Prints its address, then a line per request. PACKAGES is the folder of the Node packages.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PACKAGES, "index.js"));
const { SqsSchema } = require("@aws-lambda-powertools/parser/schemas");
const { BatchProcessor, EventType, processPartialResponse } = require("@aws-lambda-powertools/batch");

const record = async ({ body, attributes }) => {
  if (Number(attributes.ApproximateReceiveCount) <= (JSON.parse(body).fails ?? 0)) throw new Error("not yet");
};
const handler = (event) => processPartialResponse(event, record, new BatchProcessor(EventType.SQS));

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const event = JSON.parse(Buffer.concat(parts).toString("utf8"));
  const { success, data, error } = SqsSchema.safeParse(event);
  const answer = await handler(event).catch((thrown) => {
    response.setHeader("X-Amz-Function-Error", "Unhandled");
    return { errorType: thrown.name };
  });
  const records = data?.Records.map(({ messageId, attributes }) => ({ id: messageId, receives: attributes.ApproximateReceiveCount }));
  // What the schema strips is no part of an event.
  const same = JSON.stringify(sorted(data)) === JSON.stringify(sorted(event));
  console.log(JSON.stringify({ success, records, same, answer, error: error?.issues }));
  response.end(JSON.stringify(answer));
});

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
