/** `sluice server` and `sluice connect` with one worker in all, and with four a direction. */
import assert from "node:assert/strict";
import { tcpThroughput } from "../bench/measure.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { ping } from "../support/scenario.ts";
import {
  connectTo,
  makeClient,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";

for (const workers of ["single", 4] as const) {
  await e2eTest({
    name: `workers ${workers}: ping, large pings, TCP both ways, a clean end`,
    needs: ["tun", { program: "ping" }, { program: "iperf3" }],
    run: async (lab) => {
      const { gateway, clients: [place] } = await makeGatewayNet(lab);
      const client = await makeClient(1);
      const server = await startServer(gateway, {
        clients: [client],
        config: { datapath: { workers } },
        env: { SLUICE_WORKERS: "" },
      });
      const connection = await connectTo(server, place, client, {
        env: { SLUICE_WORKERS: String(workers) },
      });
      await place.namespace.waitUntilReaches(TUNNEL.gateway);

      for (const more of [[], ["-s", "3000"]]) {
        const { sent, received } = await ping(place, TUNNEL.gateway, {
          count: 20,
          interval: 0.05,
          more,
        });
        assert.equal(received, sent, more.join(" "));
      }
      const up = {
        name: "sluice",
        client: place.namespace,
        server: gateway,
        address: TUNNEL.gateway,
        process: server.process,
      } as const;
      const down = {
        ...up,
        client: gateway,
        server: place.namespace,
        address: client.address,
      };
      for (const way of [up, down]) {
        const gigabits = await tcpThroughput(way, { seconds: 1, streams: 4 });
        assert.ok(gigabits > 0);
      }

      assert.equal(
        await workersOf(server.process.pid),
        workers === "single" ? 1 : 2 * workers,
      );

      const load = tcpThroughput(up, { seconds: 3, streams: 1 }).catch(
        () => {},
      );
      await place.namespace.waitUntilReaches(TUNNEL.gateway);
      for (const { process } of [connection, server]) {
        process.signal("SIGTERM");
        assert.equal(await process.waitForExit(), 0, process.tail());
      }
      // What still waits for the tunnel ends with the lab.
      void load;
    },
  });
}

/** How many workers a process has, as its threads' names tell. */
async function workersOf(pid: number): Promise<number> {
  let count = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const thread = await Deno.readTextFile(`/proc/${pid}/task/${name}/comm`);
    if (/^worker-[0-9]+$/.test(thread.trim())) count++;
  }
  return count;
}
