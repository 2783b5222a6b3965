import assert from "node:assert/strict";
import type { NetworkChange } from "../../../src/io/ports/network_monitor.ts";
import { NamedCounters } from "../../../src/control/client/named_counters.ts";
import {
  type EgressChoice,
  NetworkReaction,
} from "../../../src/control/client/network_reaction.ts";
import { ClientWorld } from "./client_world.ts";
import { into, ownedBy, plan, ruleSet, wireguard, words } from "./plans.ts";

const ETHERNET: EgressChoice = {
  ipv4: {
    interfaceIndex: 2,
    interfaceName: "eth0",
    source: words("192.0.2.5"),
  },
  ipv6: undefined,
};
const WIRELESS: EgressChoice = {
  ipv4: {
    interfaceIndex: 3,
    interfaceName: "wlan0",
    source: words("10.0.0.9"),
  },
  ipv6: undefined,
};
const NONE: EgressChoice = { ipv4: undefined, ipv6: undefined };

const SLEPT: NetworkChange = {
  kind: "resume",
  cause: "sleep",
  sleptMs: 60_000,
};
const STOPPED: NetworkChange = { kind: "resume", cause: "stopped", sleptMs: 0 };

function link(index: number, now: "up" | "down" | "gone"): NetworkChange {
  return { kind: "link", interface: `if${index}`, index, now };
}

function address(
  index: number,
  text: string,
  now: "present" | "gone",
): NetworkChange {
  return {
    kind: "address",
    interface: `if${index}`,
    index,
    family: 4,
    words: words(text),
    now,
  };
}

/** A reaction, and all that it does. */
function play() {
  const calls: string[] = [];
  const world = { egress: ETHERNET };
  const counters = new NamedCounters();
  const reaction = new NetworkReaction({
    chooseEgress: () => world.egress,
    setEgress: ({ ipv4 }) => calls.push(`egress ${ipv4?.interfaceName}`),
    reset: () => calls.push("reset"),
    tunnels: { handleNetworkChange: () => calls.push("tunnels") },
    counters,
    onReaction: (cause) => calls.push(cause),
  });
  const after = (egress: EgressChoice, ...changes: NetworkChange[]) => {
    world.egress = egress;
    reaction.handle(changes);
    return calls.splice(0);
  };
  return { reaction, calls, counters, world, after };
}

const ALL = (
  cause: string,
  name: string,
) => [cause, `egress ${name}`, "reset", "tunnels"];

Deno.test("network: what doesn't concern the way out is only counted", () => {
  const { after, counters } = play();
  assert.deepEqual(
    after(ETHERNET, link(7, "gone"), address(7, "10.9.9.9", "gone")),
    [],
  );
  assert.deepEqual(after(ETHERNET, address(2, "192.0.2.77", "gone")), []);
  assert.deepEqual(after(ETHERNET, address(2, "192.0.2.5", "present")), []);
  assert.deepEqual(after(ETHERNET, link(2, "up")), []);
  assert.deepEqual(counters.snapshot(), {
    "network:link": 2,
    "network:address": 3,
  });
});

Deno.test("network: another way out, another address there, or one that was gone for a moment", () => {
  const { after, counters } = play();
  assert.deepEqual(after(WIRELESS, link(2, "down")), ALL("egress", "wlan0"));
  const moved = {
    ...WIRELESS,
    ipv4: { ...WIRELESS.ipv4!, source: words("10.0.0.10") },
  };
  assert.deepEqual(
    after(moved, address(3, "10.0.0.10", "present")),
    ALL("egress", "wlan0"),
  );
  assert.deepEqual(
    after(moved, address(3, "10.0.0.10", "gone")),
    ALL("egress", "wlan0"),
  );
  assert.deepEqual(after(moved, link(3, "down")), ALL("egress", "wlan0"));
  const six = { ...moved, ipv6: { ...WIRELESS.ipv4!, source: undefined } };
  assert.deepEqual(after(six), ALL("egress", "wlan0"));
  assert.deepEqual(after(six), []);
  assert.equal(counters.get("egressChanges"), 5);
  assert.equal(counters.get("resets"), 5);
});

Deno.test("network: gone and back is another way out each time", () => {
  const { after, counters } = play();
  assert.deepEqual(after(NONE, link(2, "down")), ALL("offline", "undefined"));
  assert.deepEqual(after(NONE, link(7, "gone")), []);
  assert.deepEqual(after(NONE, SLEPT), ALL("sleep", "undefined"));
  assert.deepEqual(after(WIRELESS), ALL("online", "wlan0"));
  assert.equal(counters.get("egressChanges"), 2);
});

Deno.test("network: sleep resets, being stopped only has the tunnels tried", () => {
  const { after, counters } = play();
  assert.deepEqual(after(ETHERNET, SLEPT), ALL("sleep", "eth0"));
  assert.deepEqual(after(ETHERNET, STOPPED), ["stopped", "tunnels"]);
  assert.deepEqual(after(WIRELESS, SLEPT, STOPPED), ALL("egress", "wlan0"));
  assert.equal(counters.get("resumes"), 2);
});

Deno.test("network: begins with one, and without", () => {
  const { reaction, calls } = play();
  reaction.start();
  assert.deepEqual(calls, ["egress eth0"]);
  const alone = play();
  alone.after(NONE);
  alone.reaction.start();
  assert.deepEqual(alone.calls, ["egress undefined", "offline"]);
});

Deno.test("client network: gone, tunnels fail; back, they connect at once; a pause outlasts it", async () => {
  const client = new ClientWorld(plan(
    [wireguard("work")],
    ruleSet([], into("work")),
  ));
  await client.start(1);
  const row = client.flow(ownedBy("/usr/bin/curl"), {
    remote: "198.51.100.7",
    port: 443,
    protocol: 17,
  });
  const { egress } = client;
  client.egress = NONE;
  client.runtime.onNetworkChange([link(2, "down")]);
  await client.silence(1);
  assert.equal(client.state("work"), "down");
  assert.equal(client.engine.state(row), "drop");
  await client.clock.advance(600_000);
  client.egress = egress;
  client.engine.answering.add(1);
  client.runtime.onNetworkChange([link(2, "up")]);
  await client.clock.advance(200);
  assert.equal(
    client.state("work"),
    "up",
    "the longest wait is not waited for",
  );
  assert.equal(client.engine.state(row), "packet 1");
  client.runtime.setMode("paused");
  client.runtime.onNetworkChange([SLEPT]);
  await client.clock.advance(60_000);
  assert.equal(client.reason("work"), "the client is paused");
  await client.runtime.stop();
});

Deno.test("client network: look-ups that wait are dropped with the packets that waited for them", async () => {
  const client = new ClientWorld(plan([], ruleSet([])));
  await client.start();
  const ask = client.engine.ask({ remote: "198.51.100.7", port: 443 });
  client.owners.set(ask.local.port, [{
    kind: "unknown",
    reason: "unfinished",
  }]);
  client.runtime.onAsk(ask);
  client.runtime.onNetworkChange([SLEPT]);
  const { asked } = client;
  await client.clock.advance(1_000);
  assert.equal(client.asked, asked);
  await client.runtime.stop();
});
