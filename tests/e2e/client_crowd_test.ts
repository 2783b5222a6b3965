/** `sluice client` with thousands of flows at once, with more than it may open files for, and with idle ones. */
import assert from "node:assert/strict";
import {
  ANSWER_BYTES,
  type ClientWay,
  heldFlows,
  PORTS,
  startClientWay,
  statusOf,
} from "../bench/client_way.ts";
import { e2eTest } from "../support/e2e.ts";
import { waitFor } from "../support/wait.ts";

const TCP = 4000;
const UDP = 6000;
const TOGETHER = 32;
const ECHO_MS = 60_000;
/** How many files a client that is soon full may open, and how many flows want more than that. */
const FEW_FILES = 700;
const MANY = 500;
const REFUSED = "refused:no descriptor left";

/** Opens connections that stay. */
function hold({ load, address }: ClientWay, count: number) {
  return load.call("crowdOpen", {
    address,
    port: PORTS.echo,
    count,
    together: TOGETHER,
  });
}

/** Asks by that many UDP sockets, which stay. @returns how many got an answer */
function holdUdp(
  { load, address }: ClientWay,
  count: number,
  timeoutMs: number,
) {
  return load.call("udpHold", {
    address,
    port: PORTS.udp,
    count,
    together: TOGETHER,
    timeoutMs,
  });
}

/** New connections and new UDP flows for a second. */
async function newFlows({ load, address }: ClientWay) {
  const rate = { address, seconds: 1, together: TOGETHER };
  const tcp = await load.call("crowdShort", {
    ...rate,
    port: PORTS.answer,
    answerBytes: ANSWER_BYTES,
    patienceMs: 5000,
  });
  const udp = await load.call("udpFlows", {
    ...rate,
    port: PORTS.udp,
    timeoutMs: 5000,
  });
  return { tcp, udp };
}

await e2eTest({
  name: "client: 10,000 flows at once, and new ones decided meanwhile",
  needs: ["tun"],
  run: async (lab) => {
    const way = await startClientWay(lab, { name: "crowd", rules: [] });
    const { open, errors } = await hold(way, TCP);
    assert.deepEqual([open, errors], [TCP, {}]);
    assert.equal(await holdUdp(way, UDP, 5000), UDP);
    const { flows } = await statusOf(way);
    assert.ok(flows.total >= TCP + UDP, `${flows.total} flows`);
    const { tcp, udp } = await newFlows(way);
    console.log(
      `beside ${flows.total} flows, in a second: ${tcp.answered} new ` +
        `connections, ${udp.answered} new UDP flows`,
    );
    assert.deepEqual(tcp.errors, {});
    assert.ok(tcp.answered > 0 && udp.answered > 0);
    assert.equal(udp.lost, 0);
    const held = await heldFlows(way);
    const left = (protocol: string) =>
      held.filter((flow) => flow.protocol === protocol).length;
    assert.equal(left("tcp"), TCP);
    assert.ok(left("udp") >= UDP);
    const { echoed } = await way.load.call("crowdEcho", { timeoutMs: ECHO_MS });
    assert.equal(echoed, TCP);
  },
});

await e2eTest({
  name:
    "client: all files open that it may open: it lives, its flows go on, new ones are refused and counted, later ones work",
  needs: ["tun"],
  run: async (lab) => {
    const way = await startClientWay(lab, {
      name: "full",
      rules: [],
      openFiles: FEW_FILES,
    });
    await way.process!.waitForLine(/may open 700 files/);
    const opening = hold(way, MANY);
    // Where the test fails before it is awaited, the agent ends.
    opening.catch(() => {});
    await waitFor("flows to be refused", async () => {
      const { counters, problems } = await statusOf(way);
      return (counters[REFUSED] ?? 0) > 0 &&
        problems.some((line) => /capture\.maxFlows/.test(line));
    }, { timeoutMs: 20_000, intervalMs: 200 });
    // Hardly a socket for a mapping either: what a refused dial gives back.
    const before = (await statusOf(way)).counters[REFUSED];
    assert.ok(await holdUdp(way, 32, 500) < 16);
    assert.ok((await statusOf(way)).counters[REFUSED] > before);
    const first = await way.load.call("crowdEcho", { timeoutMs: ECHO_MS });
    assert.ok(first.echoed > 100, `${first.echoed} go on`);
    assert.ok(first.echoed < MANY);
    await way.load.call("crowdClose", { how: "finish" });
    // What was asked for again and again comes in now.
    const { open } = await opening;
    assert.ok(open > first.echoed);
    await way.load.call("crowdClose", { how: "finish" });
    await way.load.call("udpRelease", null);
    await waitFor("connections to end", async () => {
      const { flows } = await statusOf(way);
      return flows.total < 100;
    }, { timeoutMs: 30_000, intervalMs: 200 });
    const later = await hold(way, 50);
    assert.deepEqual([later.open, later.errors], [50, {}]);
    assert.equal(await holdUdp(way, 50, 2000), 50);
    assert.equal(await way.process!.stop(), 0);
  },
});

await e2eTest({
  name: "client: an idle UDP flow is forgotten when capture says so",
  needs: ["tun"],
  run: async (lab) => {
    const way = await startClientWay(lab, {
      name: "idle",
      rules: [],
      capture: { udpTimeout: "15s" },
    });
    assert.equal(await holdUdp(way, 20, 2000), 20);
    assert.equal((await heldFlows(way)).length, 20);
    await waitFor(
      "flows to be forgotten",
      async () => (await heldFlows(way)).length === 0,
      { timeoutMs: 60_000, intervalMs: 500 },
    );
  },
});
