// A handler behind express-rate-limit. Arguments: the port of the loopback, and the form of the RateLimit headers.
// Prints the status of each answer and the message that got it.
const express = require('express');
const { rateLimit } = require('express-rate-limit');

const [port, standardHeaders] = process.argv.slice(2);
const app = express();
app.use((request, response, next) => {
  response.on('finish', () => console.log(`answered ${response.statusCode} ${request.get('x-queuepost-message-id')}`));
  next();
});
app.use(rateLimit({ windowMs: 4_000, limit: 20, standardHeaders, legacyHeaders: false }));
app.post('/work', (request, response) => response.send('done'));
app.listen(Number(port), '127.0.0.1');
