/**
 * UDP by `sluice tun2socks` through real proxies: dante, which relays it, and
 * microsocks, which does not.
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { DANTE, killChildren } from "../support/dante.ts";
import { e2eTest } from "../support/e2e.ts";
import {
  type GatewayNet,
  makeGatewayNet,
  OUTSIDE,
} from "../support/gateway_net.ts";
import type { Lab } from "../support/lab.ts";
import { dropCount } from "../support/sluice.ts";
import {
  lastStatistic,
  startDanteIn,
  startMicrosocks,
  startTun2socks,
} from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";

const SOCKS = { address: OUTSIDE.second, port: 1080 } as const;
const SOCKS_URL = `${SOCKS.address}:${SOCKS.port}`;
const DANTE_OPTIONS = { ...SOCKS, external: ["eth0"] } as const;
const NEEDS = ["tun", "root", { program: DANTE }, { program: "ss" }] as const;
const ECHO_PORT = 7;
/** «secret», as crypt(3) has it. */
const SECRET =
  "\$6\$sluice\$53YcBYZ8GvbkQaDUAHJ59xbxm6.eVHc3R5SbbwC4BAKEyM.pWKS2Gt3flYWw1Jgp/c1BqS8r/PCtbuUtIUzOz0";

interface Place {
  readonly net: GatewayNet;
  readonly client: Agent;
  readonly outside: Agent;
}

/** The network, with UDP echo at the internet's addresses. */
async function makePlace(lab: Lab): Promise<Place> {
  const net = await makeGatewayNet(lab, 0);
  const [client, outside] = await Promise.all([
    Agent.start(net.gateway),
    Agent.start(net.internet),
  ]);
  for (const address of [OUTSIDE.first, OUTSIDE.dns, OUTSIDE.first6]) {
    await outside.call("udpEcho", { address, port: ECHO_PORT });
  }
  return { net, client, outside };
}

/** Waits until no connection to the proxy is left on either side. */
async function waitForNoConnections(net: GatewayNet): Promise<void> {
  const command = ["ss", "-Hnt", "state", "established"];
  for (const namespace of [net.gateway, net.internet]) {
    await waitFor("connections to end", async () => {
      const { stdout } = await namespace.run(command);
      return stdout.trim() === "";
    });
  }
}

/** Sends a text from a socket and gives what came back first. */
async function echo(
  client: Agent,
  handle: number,
  address: string,
  text = "hello",
) {
  await client.call("udpSend", { handle, address, port: ECHO_PORT, text });
  return await client.call("udpReceive", { handle, timeoutMs: 5000 });
}

await e2eTest({
  name:
    "tun2socks: UDP of all sizes by dante, both families, user and password",
  needs: NEEDS,
  run: async (lab) => {
    const { net, client } = await makePlace(lab);
    const shadow = await lab.write(
      "shadow",
      `nobody:${SECRET}:19000:0:99999:7:::\n`,
    );
    await net.internet.run(["mount", "--bind", shadow, "/etc/shadow"]);
    await startDanteIn(net.internet, { ...DANTE_OPTIONS, method: "username" });
    const process = await startTun2socks(net.gateway, [
      ...["-x", `socks5://nobody:secret@${SOCKS_URL}`, "--default-route"],
    ]);
    for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
      // The last two are more than the interface's MTU: fragments.
      for (const size of [0, 1, 1000, 1472, 4000, 30_000]) {
        const { times } = await client.call("udpEchoTimes", {
          ...{ address, port: ECHO_PORT, size },
          ...{ count: 3, timeoutMs: 5000 },
        });
        assert.equal(times.length, 3, `${size} bytes to ${address}`);
      }
    }
    const { stdout } = await net.gateway.run([
      ...["ss", "-Hnto", "dport", "= :1080"],
    ]);
    assert.match(stdout, /timer:\(keepalive,/);
    await process.stop();
    assert.equal(
      lastStatistic(process, /UDP by the proxy: .* in ([0-9]+) /),
      36,
    );
    // Programs on the host may have asked for something of their own.
    assert.ok(lastStatistic(process, /UDP sessions: ([0-9]+) open/)! >= 12);
    assert.doesNotMatch(process.text, /drops: .*(proxy|UDP)/);
    await waitForNoConnections(net);
  },
});

await e2eTest({
  name:
    "tun2socks: a UDP socket is the same to all remotes by dante, and any may answer",
  needs: NEEDS,
  run: async (lab) => {
    const { net, client, outside } = await makePlace(lab);
    const external = [OUTSIDE.second];
    await startDanteIn(net.internet, { ...DANTE_OPTIONS, external });
    await startTun2socks(net.gateway, ["-x", SOCKS_URL, "--default-route"]);
    const { handle } = await client.call("udpOpen", {});
    const listeners = [];
    for (const address of [OUTSIDE.first, OUTSIDE.dns]) {
      listeners.push(await outside.call("udpOpen", { address, port: 9000 }));
      await client.call("udpSend", {
        handle,
        address,
        port: 9000,
        text: address,
      });
    }
    const seen = [];
    for (const { handle } of listeners) {
      seen.push(await outside.call("udpReceive", { handle, timeoutMs: 5000 }));
    }
    assert.deepEqual(seen.map((one) => one?.text), [
      OUTSIDE.first,
      OUTSIDE.dns,
    ]);
    assert.equal(seen[0]?.address, OUTSIDE.second);
    assert.equal(seen[0]?.port, seen[1]?.port);
    await outside.call("udpSend", {
      handle: listeners[1].handle,
      ...{ address: OUTSIDE.second, port: seen[1]!.port, text: "back" },
    });
    const back = await client.call("udpReceive", { handle, timeoutMs: 5000 });
    assert.equal(back?.text, "back");
    assert.deepEqual([back?.address, back?.port], [OUTSIDE.dns, 9000]);
  },
});

await e2eTest({
  name:
    "tun2socks: dante dies: the log says so once, and UDP works again when it is back",
  needs: NEEDS,
  run: async (lab) => {
    const { net, client } = await makePlace(lab);
    const dante = await startDanteIn(net.internet, DANTE_OPTIONS);
    const process = await startTun2socks(net.gateway, [
      ...["-x", SOCKS_URL, "--default-route"],
    ]);
    const { handle } = await client.call("udpOpen", {});
    assert.equal((await echo(client, handle, OUTSIDE.first))?.text, "hello");
    await killChildren(dante.pid);
    await dante.stop(0);
    assert.equal(await echo(client, handle, OUTSIDE.first), null);
    await process.waitForLine(/gives no UDP \(cannot reach the proxy/);
    await startDanteIn(net.internet, DANTE_OPTIONS);
    await waitFor("an echo", async () => {
      await client.call("udpSend", {
        handle,
        ...{ address: OUTSIDE.first, port: ECHO_PORT, text: "again" },
      });
      return await client.call("udpReceive", { handle, timeoutMs: 500 });
    });
    await process.waitForLine(/carries UDP again/);
    const told = process.lines.filter((line) => /gives no UDP/.test(line));
    assert.equal(told.length, 1, told.join("\n"));
    await process.stop();
  },
});

await e2eTest({
  name:
    "tun2socks: 300 UDP sockets at once by dante, and none of their sessions is left",
  needs: NEEDS,
  run: async (lab) => {
    const { net, client } = await makePlace(lab);
    await startDanteIn(net.internet, DANTE_OPTIONS);
    const process = await startTun2socks(net.gateway, [
      ...["-x", SOCKS_URL, "--default-route"],
    ]);
    const handles: number[] = [];
    for (let n = 0; n < 300; n++) {
      handles.push((await client.call("udpOpen", {})).handle);
    }
    for (const [n, handle] of handles.entries()) {
      await client.call("udpSend", {
        handle,
        ...{ address: OUTSIDE.first, port: ECHO_PORT, text: `number ${n}` },
      });
    }
    for (const [n, handle] of handles.entries()) {
      const back = await client.call("udpReceive", {
        handle,
        timeoutMs: 10_000,
      });
      assert.equal(back?.text, `number ${n}`);
    }
    await process.stop();
    assert.ok(lastStatistic(process, /UDP sessions: ([0-9]+) open/)! >= 300);
    await waitForNoConnections(net);
  },
});

await e2eTest({
  name:
    "tun2socks: where microsocks refuses UDP, DNS goes over TCP, long answers too; the rest is counted",
  needs: ["tun", { program: "microsocks" }, { program: "dig" }, {
    program: "ss",
  }],
  run: async (lab) => {
    const { net, client, outside } = await makePlace(lab);
    await outside.call("dnsServe", {
      address: OUTSIDE.dns,
      addresses: { "a.test": "192.0.2.55" },
    });
    await startMicrosocks(net.internet, SOCKS);
    const process = await startTun2socks(net.gateway, [
      ...["-x", SOCKS_URL, "--default-route"],
    ]);
    const dig = async (...question: string[]) => {
      const command = ["dig", "+tries=1", "+time=5", `@${OUTSIDE.dns}`];
      return (await net.gateway.run([...command, ...question])).stdout;
    };
    for (let n = 0; n < 20; n++) {
      assert.match(await dig("+short", "a.test"), /^192\.0\.2\.55$/m);
    }
    assert.match(await dig("nobody.test"), /status: NXDOMAIN/);
    const cut = await dig("+ignore", "big.test", "TXT");
    assert.match(cut, /flags: [a-z ]*\btc\b/);
    // Its second question goes by TCP, as any other connection.
    const whole = await dig("big.test", "TXT");
    assert.match(whole, /ANSWER: 40,/);
    assert.match(whole, /Truncated, retrying in TCP mode/);
    const { handle } = await client.call("udpOpen", {});
    for (let n = 0; n < 5; n++) {
      await client.call("udpSend", {
        handle,
        ...{ address: OUTSIDE.first, port: ECHO_PORT, text: "lost" },
      });
    }
    const got = await client.call("udpReceive", { handle, timeoutMs: 300 });
    assert.equal(got, null);
    const served = await outside.call("dnsServed", null);
    assert.equal(served["A a.test tcp"], 20);
    assert.equal(served["A a.test udp"], undefined);
    await process.stop();
    const told = process.lines.filter((line) => /gives no UDP/.test(line));
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(told[0], /the proxy does not know the command \(reply 7\)/);
    assert.match(process.text, /DNS over TCP: [0-9]+ queries, 23 answers/);
    assert.equal(dropCount(process, "UDP refused by the proxy"), 5);
  },
});

await e2eTest({
  name:
    "tun2socks: a resolver that refuses TCP is told as a failure, not awaited",
  needs: ["tun", { program: "microsocks" }, { program: "dig" }, {
    program: "ss",
  }],
  run: async (lab) => {
    const { net } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    await startTun2socks(net.gateway, ["-x", SOCKS_URL, "--default-route"]);
    const { stdout } = await net.gateway.run([
      ...["dig", "+tries=1", "+time=5", `@${OUTSIDE.dns}`, "a.test"],
    ]);
    assert.match(stdout, /status: SERVFAIL/);
  },
});
