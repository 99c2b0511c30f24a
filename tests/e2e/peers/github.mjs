// Verifies GitHub's signature with the library that GitHub's own clients use; prints its address, then a line per request.
// PACKAGES is the folder of the Node packages, SECRET the key.

import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const packages = join(process.env.PACKAGES, "node_modules");
const { verify } = await import(pathToFileURL(join(packages, "@octokit/webhooks-methods/dist-node/index.js")).href);

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts).toString("utf8");
  const signature = request.headers["x-hub-signature-256"];
  const verified = await verify(process.env.SECRET, body, signature).catch((error) => String(error));
  const altered = await verify(process.env.SECRET, `${body} `, signature).catch((error) => String(error));
  console.log(JSON.stringify({ verified, altered, signature, body }));
  response.end();
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
