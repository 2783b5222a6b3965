/** TCP through the gateway by the system's own stack, with curl behind wireguard-go. */
import assert from "node:assert/strict";
import { denoRun } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { GatewayNet } from "../support/gateway_net.ts";
import type { LoggedProcess } from "../support/process.ts";
import {
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";

const HTTP_BYTES =
  new URL("../support/http_bytes.ts", import.meta.url).pathname;
const NEEDS = [...WIREGUARD_NEEDS, { program: "curl" }] as const;
const PORT = 8080;
const PROXY = { config: { forward: { tcp: "proxy" } } } as const;

/** An HTTP server of the internet's. */
async function serve(
  net: GatewayNet,
  address: string,
): Promise<LoggedProcess> {
  const options = JSON.stringify({ address, port: PORT });
  const server = net.internet.spawn("http", denoRun(HTTP_BYTES, options));
  await server.waitForLine(/^listening$/);
  return server;
}

await e2eTest({
  name:
    "tcp proxy: curl downloads 100 MB over IPv4 and IPv6, uploads, hashes right",
  needs: NEEDS,
  run: async (lab) => {
    const { net, server } = await startConnectedScenario(lab, PROXY);
    const [{ namespace }] = net.clients;
    for (
      const [address, url, count] of [
        [OUTSIDE.first, `http://${OUTSIDE.first}:${PORT}`, 100e6],
        [OUTSIDE.first6, `http://[${OUTSIDE.first6}]:${PORT}`, 20e6],
      ] as const
    ) {
      const http = await serve(net, address);
      const { stdout } = await namespace.run([
        "sh",
        "-c",
        `curl -sS --fail -m 60 "${url}/bytes?count=${count}" | sha256sum`,
      ], { timeoutMs: 70_000 });
      const sent = await http.waitForLine(/^sent ([0-9a-f]{64})$/);
      assert.equal(stdout.slice(0, 64), sent[1]);
      const up = await namespace.run([
        "sh",
        "-c",
        "head -c 20000000 /dev/urandom > up.bin; sha256sum < up.bin; " +
        `curl -sS --fail -m 60 -T up.bin "${url}/hash"; rm up.bin`,
      ], { timeoutMs: 70_000 });
      const [here, there] = up.stdout.split("\n");
      assert.equal(there, here.slice(0, 64));
    }
    await server.process.stop();
  },
});

await e2eTest({
  name: "tcp proxy: a closed port is refused, nobody's address unreachable",
  needs: NEEDS,
  run: async (lab) => {
    const { net, agents: [agent], server } = await startConnectedScenario(
      lab,
      PROXY,
    );
    const refused = await agent.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 81,
      timeoutMs: 5000,
    });
    assert.equal(refused.outcome, "refused");
    assert.ok(refused.timeMs < 900, `${refused.timeMs} ms`);
    const [{ namespace }] = net.clients;
    const { stderr } = await namespace.run(
      ["curl", "-sS", "-m", "20", `http://${OUTSIDE.nobody}/`],
      { exit: "any", timeoutMs: 30_000 },
    );
    assert.match(stderr, /No route to host|Couldn't connect|unreachable/i);
    await server.process.stop();
    const text = server.process.lines.join("\n");
    assert.match(text, /TCP failed: refused 1/);
    assert.match(text, /TCP failed: host-unreachable [0-9]/);
  },
});
