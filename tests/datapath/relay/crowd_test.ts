/** Five thousand connections at once through a relay: what they take, and that nothing is left. */
import assert from "node:assert/strict";
import { openPlatform } from "../../../src/io/platform.ts";
import { denoRun } from "../../support/agent.ts";
import { accepted } from "../../../src/io/accepted.ts";

const CONNECTIONS = 5000;
/** The client's socket, the relay's two. */
const DESCRIPTORS = CONNECTIONS * 3;
const PROGRAM = new URL("./crowd_program.ts", import.meta.url).pathname;

Deno.test({
  name: isRoomy()
    ? "5,000 connections at once, then nothing is left"
    : "5,000 connections at once (skipped: too few files may be open)",
  ignore: !isRoomy(),
  async fn() {
    await using server = startEcho();
    const [command, ...args] = denoRun(
      PROGRAM,
      String(CONNECTIONS),
      String(server.port),
    );
    const { stdout, stderr, success } = await new Deno.Command(command, {
      args,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const found = JSON.parse(new TextDecoder().decode(stdout));
    assert.equal(found.finished, CONNECTIONS);
    const { Dialing, Entering, Open, Opened, Reset } = found.counts;
    assert.deepEqual([Dialing, Entering, Open, Opened, Reset], [
      ...[0, 0, 0],
      CONNECTIONS,
      0,
    ]);
    assert.ok(found.descriptorsOpen >= found.descriptorsBefore + DESCRIPTORS);
    assert.equal(found.descriptorsAfter, found.descriptorsBefore);
    const each = (found.rssOpen - found.rssBefore) / CONNECTIONS;
    console.log(
      `RSS ${mib(found.rssBefore)} before, ${mib(found.rssOpen)} with ` +
        `${CONNECTIONS} connections, ${mib(found.rssAfter)} after`,
    );
    assert.ok(each < 8192, `${each} bytes for a connection`);
  },
});

function isRoomy(): boolean {
  if (Deno.build.os !== "linux") return false;
  using platform = openPlatform();
  return platform.raiseOpenFileLimit() > DESCRIPTORS + 500;
}

function mib(bytes: number): string {
  return `${(bytes / 1048576).toFixed(1)} MiB`;
}

/** A server that sends back what it gets. */
function startEcho(): AsyncDisposable & { readonly port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async () => {
    const open: Promise<void>[] = [];
    for await (const connection of accepted(listener)) {
      const { readable, writable } = connection;
      // A connection that ends badly shows at its other end.
      open.push(readable.pipeTo(writable).catch(() => {}));
    }
    await Promise.all(open);
  };
  const served = serve();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await served;
    },
  };
}
