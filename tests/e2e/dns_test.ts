/** The gateway's DNS proxy, asked by `dig` over UDP and TCP. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";
import {
  type ConnectedScenario,
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import type { Lab } from "../support/lab.ts";
import { type ConfigPart, TUNNEL } from "../support/sluice.ts";

const NEEDS = [...WIREGUARD_NEEDS, { program: "dig" }] as const;

interface DigAnswer {
  readonly status: string;
  readonly flags: string;
  readonly transport: string;
  readonly lines: string[];
}

async function dig(
  namespace: Namespace,
  ...args: readonly string[]
): Promise<DigAnswer> {
  const { stdout } = await namespace.run([
    "dig",
    ...["+tries=1", "+time=5", `@${TUNNEL.gateway}`],
    ...args,
  ], { exit: "any" });
  const answer = stdout.match(/;; ANSWER SECTION:\n([\s\S]*?)\n\n/)?.[1];
  return {
    status: stdout.match(/status: (\w+)/)?.[1] ?? stdout,
    flags: stdout.match(/;; flags: ([^;]*);/)?.[1] ?? "",
    transport: stdout.match(/;; SERVER: .*\((UDP|TCP)\)/)?.[1] ?? "",
    lines: answer?.split("\n").map((line) => line.split(/\s+/).at(-1)!) ?? [],
  };
}

async function startWithDns(
  lab: Lab,
  config?: ConfigPart,
): Promise<ConnectedScenario> {
  const scenario = await startConnectedScenario(lab, {
    clientCount: 2,
    config,
  });
  await scenario.outside.call("dnsServe", {
    address: OUTSIDE.dns,
    addresses: {
      "host.test": OUTSIDE.first,
      "six.test": OUTSIDE.first6,
    },
  });
  return scenario;
}

await e2eTest({
  name:
    "dns: answers by UDP and TCP, from the cache the second time; peers have names",
  needs: NEEDS,
  run: async (lab) => {
    const { net, outside, clients } = await startWithDns(lab);
    const [{ namespace: first }, { namespace: second }] = net.clients;

    const udp = await dig(first, "host.test");
    assert.deepEqual(
      [udp.status, udp.transport, udp.lines],
      ["NOERROR", "UDP", [OUTSIDE.first]],
    );
    const tcp = await dig(second, "+tcp", "host.test");
    assert.deepEqual(
      [tcp.status, tcp.transport, tcp.lines],
      ["NOERROR", "TCP", [OUTSIDE.first]],
    );
    const six = await dig(first, "six.test", "AAAA");
    assert.deepEqual(six.lines, [OUTSIDE.first6]);
    for (const namespace of [first, second]) {
      assert.equal((await dig(namespace, "nothing.test")).status, "NXDOMAIN");
    }
    const served = await outside.call("dnsServed", null);
    assert.equal(
      served["A host.test udp"],
      1,
      "the second came from the cache",
    );
    assert.equal(served["A nothing.test udp"], 1, "so did the second no");

    const named = await dig(first, "client2.sluice");
    assert.deepEqual(named.lines, [clients[1].address]);
    assert.equal((await dig(first, "nobody.sluice")).status, "NXDOMAIN");
  },
});

await e2eTest({
  name: "dns: an answer too big for UDP is truncated there and whole over TCP",
  needs: NEEDS,
  run: async (lab) => {
    const { net } = await startWithDns(lab);
    const [{ namespace }] = net.clients;
    const truncated = await dig(
      namespace,
      "+ignore",
      "+noedns",
      "big.test",
      "TXT",
    );
    assert.match(truncated.flags, /\btc\b/);
    const whole = await dig(namespace, "big.test", "TXT");
    assert.equal(whole.transport, "TCP");
    assert.equal(whole.lines.length, 40);
  },
});

await e2eTest({
  name: "dns: the next upstream is asked when the first is silent",
  needs: NEEDS,
  run: async (lab) => {
    const { net } = await startWithDns(lab, {
      dns: { upstreams: [OUTSIDE.nobody, OUTSIDE.dns], timeout: "500ms" },
    });
    const answer = await dig(net.clients[0].namespace, "host.test");
    assert.deepEqual(answer.lines, [OUTSIDE.first]);
  },
});

await e2eTest({
  name: "dns: without any upstream there is an answer that says so",
  needs: NEEDS,
  run: async (lab) => {
    const { net } = await startWithDns(lab, {
      dns: { upstreams: [OUTSIDE.nobody], timeout: "300ms" },
    });
    const answer = await dig(net.clients[0].namespace, "host.test");
    assert.equal(answer.status, "SERVFAIL");
  },
});
