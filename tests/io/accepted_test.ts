import assert from "node:assert/strict";
import { accepted } from "../../src/io/accepted.ts";

/** Gives what it is told to, in that order. */
function scripted(script: readonly (string | Error)[]) {
  const rest = [...script];
  return {
    accept(): Promise<string> {
      const next = rest.shift() ?? new Deno.errors.BadResource("closed");
      return next instanceof Error
        ? Promise.reject(next)
        : Promise.resolve(next);
    },
  };
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

Deno.test("accepted: a connection that is gone again, or has no descriptor, ends nothing", async () => {
  const listener = scripted([
    "a",
    new Deno.errors.NotConnected("Transport endpoint is not connected"),
    new Deno.errors.ConnectionReset("reset"),
    "b",
    new Error("Too many open files (os error 24)"),
    "c",
  ]);
  assert.deepEqual(await all(accepted(listener)), ["a", "b", "c"]);
});

Deno.test("accepted: ends where a real listener is closed", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const taking = all(accepted(listener));
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  listener.close();
  const connections = await taking;
  assert.equal(connections.length, 1);
  for (const each of connections) each.close();
});
