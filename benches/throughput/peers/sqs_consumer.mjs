// A worker of sqs-consumer, with undici for the POSTs. A consumer has ten messages at once, so that there is one for each ten POSTs at
// once. `each` deletes each message by itself, `batch` deletes what was received together.
//
//   sqs_consumer.mjs QUEUE-URL ENDPOINT-URL POSTS-AT-ONCE each|batch

import { SQSClient } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';
import { Agent, request } from 'undici';

const [queueUrl, url, atOnce, how] = process.argv.slice(2);
const sqs = new SQSClient({
  endpoint: new URL(queueUrl).origin,
  region: 'us-east-1',
  credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
});
const dispatcher = new Agent({ connections: Number(atOnce) });

const post = async (message) => {
  const { statusCode, body } = await request(url, { method: 'POST', body: message.Body, dispatcher });
  await body.dump();
  if (statusCode !== 200) throw new Error(`the endpoint answered ${statusCode}`);
  return message;
};
const handle =
  how === 'batch'
    ? { handleMessageBatch: (messages) => Promise.all(messages.map(post)) }
    : { handleMessage: post };

for (let count = 0; count < Math.ceil(Number(atOnce) / 10); count += 1) {
  const consumer = Consumer.create({ queueUrl, sqs, batchSize: 10, waitTimeSeconds: 20, ...handle });
  consumer.on('error', (error) => console.error(error.message));
  consumer.on('processing_error', (error) => console.error(error.message));
  consumer.start();
}
