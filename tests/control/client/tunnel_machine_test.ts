import assert from "node:assert/strict";
import fc from "fast-check";
import { TunnelMachine } from "../../../src/control/client/tunnel_machine.ts";
import type { TunnelOutput } from "../../../src/control/client/tunnel_output.ts";
import type {
  FailureCause,
  ProbeOutcome,
} from "../../../src/control/client/probe_outcome.ts";
import { formatAddress } from "../../../src/core/wire/address.ts";
import { HEALTH, words } from "./plans.ts";

const OK: ProbeOutcome = { kind: "ok" };

function failed(cause: FailureCause = "no-answer"): ProbeOutcome {
  return { kind: "failed", cause, text: `failed: ${cause}` };
}

/** A machine, the time, and who answers its wishes. */
class Played {
  now = 5_000;
  readonly machine = new TunnelMachine({
    health: HEALTH,
    backoff: { firstMs: 1000, mostMs: 60_000, random: () => 0.5 },
  }, this.now);
  resolveTicket = 0;
  probeTicket = 0;

  /** What it wants, as text; tickets are kept for the answers. */
  wishes(): string[] {
    const texts: string[] = [];
    for (;;) {
      const output = this.machine.poll();
      if (output === undefined) return texts;
      texts.push(this.#text(output));
    }
  }

  resolved(...addresses: string[]): string[] {
    this.machine.handleResolved(this.resolveTicket, {
      kind: "ok",
      addresses: [addresses.map(words)],
    }, this.now);
    return this.wishes();
  }

  unresolved(cause: FailureCause = "no-such-name"): string[] {
    const text = `failed: ${cause}`;
    this.machine.handleResolved(this.resolveTicket, {
      kind: "failed",
      cause,
      text,
    }, this.now);
    return this.wishes();
  }

  probed(outcome: ProbeOutcome): string[] {
    this.machine.handleProbe(this.probeTicket, outcome, this.now);
    return this.wishes();
  }

  /** Lets time pass until the next timeout. */
  next(): string[] {
    this.now = this.machine.nextTimeout();
    this.machine.handleTimeout(this.now);
    return this.wishes();
  }

  /** Connected at 192.0.2.1. */
  up(): this {
    this.machine.connect(this.now);
    this.wishes();
    this.resolved("192.0.2.1");
    this.probed(OK);
    return this;
  }

  #text(output: TunnelOutput): string {
    switch (output.kind) {
      case "state":
        return `${output.from} -> ${output.to}: ${output.reason}`;
      case "resolve":
        this.resolveTicket = output.ticket;
        return "resolve";
      case "connect":
        return `connect ${output.addresses.map((a) => formatAddress(a))}`;
      case "probe":
        this.probeTicket = output.ticket;
        return output.trust === "anew" ? "first probe" : "probe";
      case "disconnect":
        return "disconnect";
    }
  }
}

Deno.test("tunnel machine: looks up, connects, probes, is up, and probes on", () => {
  const tunnel = new Played();
  assert.equal(tunnel.machine.standing.state, "down");
  assert.equal(tunnel.machine.nextTimeout(), Infinity);
  tunnel.machine.connect(tunnel.now);
  assert.deepEqual(tunnel.wishes(), [
    "down -> connecting: connecting",
    "resolve",
  ]);
  assert.deepEqual(tunnel.resolved("192.0.2.1"), [
    "connect 192.0.2.1",
    "first probe",
  ]);
  assert.deepEqual(tunnel.probed(OK), ["connecting -> up: "]);
  const upAt = tunnel.now;
  assert.equal(tunnel.machine.standing.since, upAt);
  assert.deepEqual(tunnel.next(), ["probe"]);
  assert.equal(tunnel.now, upAt + HEALTH.intervalMs);
  assert.deepEqual(tunnel.probed(OK), []);
  assert.equal(tunnel.machine.nextTimeout(), tunnel.now + HEALTH.intervalMs);
});

Deno.test("tunnel machine: degraded after one failure, down after three, then again with longer waits", () => {
  const tunnel = new Played().up();
  tunnel.next();
  assert.deepEqual(tunnel.probed(failed()), [
    "resolve",
    "up -> degraded: failed: no-answer",
  ]);
  assert.equal(tunnel.machine.nextTimeout(), tunnel.now + 1000, "soon again");
  assert.deepEqual(tunnel.next(), ["probe"]);
  assert.deepEqual(tunnel.probed(failed()), []);
  tunnel.next();
  assert.deepEqual(tunnel.probed(failed()), [
    "degraded -> down: failed: no-answer",
  ]);
  for (const wait of [750, 1500, 3000, 6000]) {
    assert.equal(tunnel.machine.standing.retryAt, tunnel.now + wait);
    assert.deepEqual(tunnel.next(), [
      "down -> connecting: connecting",
      "resolve",
    ]);
    assert.deepEqual(
      tunnel.resolved("192.0.2.1"),
      ["first probe"],
      "it is attached still",
    );
    assert.deepEqual(tunnel.probed(failed()), [
      "connecting -> down: failed: no-answer",
    ]);
  }
});

Deno.test("tunnel machine: degraded and back up", () => {
  const tunnel = new Played().up();
  tunnel.next();
  tunnel.probed(failed());
  tunnel.next();
  assert.deepEqual(tunnel.probed(OK), ["degraded -> up: "]);
  assert.equal(tunnel.machine.nextTimeout(), tunnel.now + HEALTH.intervalMs);
});

Deno.test("tunnel machine: a name that leads elsewhere is followed at once", () => {
  const tunnel = new Played().up();
  tunnel.next();
  tunnel.probed(failed());
  assert.deepEqual(
    tunnel.resolved("192.0.2.1", "192.0.2.9"),
    [],
    "one of them is where it goes",
  );
  tunnel.next();
  tunnel.probed(OK);
  tunnel.next();
  tunnel.probed(failed());
  assert.deepEqual(tunnel.resolved("192.0.2.2"), [
    "connect 192.0.2.2",
    "first probe",
  ]);
  assert.deepEqual(tunnel.probed(OK), ["degraded -> up: "]);
});

Deno.test("tunnel machine: each try takes the next address, and stays with one that works", () => {
  const tunnel = new Played();
  const both = ["192.0.2.1", "192.0.2.2"];
  tunnel.machine.connect(tunnel.now);
  tunnel.wishes();
  assert.deepEqual(tunnel.resolved(...both), [
    "connect 192.0.2.1",
    "first probe",
  ]);
  tunnel.probed(failed());
  tunnel.next();
  assert.deepEqual(tunnel.resolved(...both), [
    "connect 192.0.2.2",
    "first probe",
  ]);
  assert.deepEqual(tunnel.probed(OK), ["connecting -> up: "]);
  tunnel.machine.disconnect(tunnel.now);
  assert.deepEqual(tunnel.wishes(), ["up -> down: switched off", "disconnect"]);
  tunnel.machine.connect(tunnel.now);
  tunnel.wishes();
  assert.deepEqual(tunnel.resolved(...both), [
    "connect 192.0.2.2",
    "first probe",
  ]);
});

Deno.test("tunnel machine: a name without address is told; one known from before is used", () => {
  const tunnel = new Played();
  tunnel.machine.connect(tunnel.now);
  tunnel.wishes();
  assert.deepEqual(tunnel.unresolved(), [
    "connecting -> down: failed: no-such-name",
  ]);
  assert.equal(tunnel.machine.standing.reason, "failed: no-such-name");
  tunnel.next();
  tunnel.resolved("192.0.2.1");
  tunnel.probed(failed());
  tunnel.next();
  assert.deepEqual(tunnel.unresolved("resolver-unreachable"), ["first probe"]);
});

Deno.test("tunnel machine: a proxy that wants other credentials is asked seldom", () => {
  const tunnel = new Played().up();
  tunnel.next();
  assert.deepEqual(tunnel.probed(failed("credentials")), [
    "up -> down: failed: credentials",
  ]);
  assert.equal(tunnel.machine.standing.retryAt, tunnel.now + 45_000);
});

Deno.test("tunnel machine: who never answers is given up", () => {
  const tunnel = new Played();
  tunnel.machine.connect(tunnel.now);
  tunnel.wishes();
  assert.deepEqual(tunnel.next(), [
    "connecting -> down: its name could not be looked up: the resolver does not answer",
  ]);
  tunnel.next();
  tunnel.resolved("192.0.2.1");
  assert.deepEqual(tunnel.next(), ["connecting -> down: it does not answer"]);
});

Deno.test("tunnel machine: answers that come too late change nothing", () => {
  const tunnel = new Played();
  tunnel.machine.connect(tunnel.now);
  tunnel.wishes();
  const old = tunnel.resolveTicket;
  tunnel.machine.disconnect(tunnel.now);
  tunnel.wishes();
  tunnel.resolveTicket = old;
  assert.deepEqual(tunnel.resolved("192.0.2.1"), []);
  tunnel.up();
  tunnel.next();
  const probe = tunnel.probeTicket;
  tunnel.probed(OK);
  tunnel.probeTicket = probe;
  assert.deepEqual(tunnel.probed(failed()), []);
  assert.equal(tunnel.machine.standing.state, "up");
});

Deno.test("tunnel machine: another network is tried at once, whatever it waited for", () => {
  const tunnel = new Played().up();
  tunnel.machine.handleNetworkChange(tunnel.now);
  assert.deepEqual(tunnel.wishes(), ["resolve", "first probe"]);
  tunnel.probed(failed());
  tunnel.next();
  tunnel.probed(failed());
  tunnel.next();
  tunnel.probed(failed());
  assert.equal(tunnel.machine.standing.state, "down");
  tunnel.machine.handleNetworkChange(tunnel.now);
  assert.deepEqual(tunnel.wishes(), [
    "down -> connecting: connecting",
    "resolve",
  ]);
});

Deno.test("tunnel machine: suspended ends it, resumed connects what is wanted", () => {
  const tunnel = new Played().up();
  tunnel.machine.suspend("the client is paused", tunnel.now);
  assert.deepEqual(tunnel.wishes(), [
    "up -> down: the client is paused",
    "disconnect",
  ]);
  tunnel.machine.connect(tunnel.now);
  assert.deepEqual(tunnel.wishes(), []);
  assert.equal(tunnel.machine.nextTimeout(), Infinity);
  tunnel.machine.resume(tunnel.now);
  assert.deepEqual(tunnel.wishes(), [
    "down -> connecting: connecting",
    "resolve",
  ]);

  const off = new Played();
  off.machine.suspend("paused", off.now);
  off.machine.resume(off.now);
  assert.deepEqual(off.wishes(), [], "nobody wanted it");
});

/** Fails until it is down, then waits and comes up again. @returns the wait. */
function fallAndRise(tunnel: Played): number {
  for (let failures = 0; failures < HEALTH.downAfter; failures++) {
    tunnel.next();
    tunnel.probed(failed());
  }
  const wait = tunnel.machine.standing.retryAt! - tunnel.now;
  tunnel.next();
  tunnel.resolved("192.0.2.1");
  tunnel.probed(OK);
  return wait;
}

Deno.test("tunnel machine: one that falls soon after it came up waits longer each time", () => {
  const tunnel = new Played().up();
  assert.deepEqual([1, 2, 3].map(() => fallAndRise(tunnel)), [750, 1500, 3000]);
  for (let probes = 0; probes < 4; probes++) {
    tunnel.next();
    tunnel.probed(OK);
  }
  assert.equal(fallAndRise(tunnel), 750, "it has stood for long enough");
});

Deno.test("tunnel machine: whatever happens, states follow each other without a gap and something is due", () => {
  const step = fc.oneof(
    fc.constantFrom(
      "connect",
      "disconnect",
      "network",
      "suspend",
      "resume",
      "timeout",
    ),
    fc.constantFrom("resolved", "moved", "unresolved", "ok", "failed", "auth"),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const tunnel = new Played();
      const { machine } = tunnel;
      let state = "down";
      let attached = false;
      const check = (texts: string[]) => {
        for (const text of texts) {
          const change = /^(\w+) -> (\w+): /.exec(text);
          if (change !== null) {
            assert.equal(change[1], state);
            assert.notEqual(change[2], state);
            state = change[2];
          }
          if (text.startsWith("connect ")) attached = true;
          if (text === "disconnect") {
            assert.ok(attached);
            attached = false;
          }
          if (text.endsWith("probe")) assert.ok(attached, "nothing to probe");
        }
        assert.equal(machine.standing.state, state);
      };
      for (const text of steps) {
        switch (text) {
          case "connect":
            machine.connect(tunnel.now);
            break;
          case "disconnect":
            machine.disconnect(tunnel.now);
            break;
          case "network":
            machine.handleNetworkChange(tunnel.now);
            break;
          case "suspend":
            machine.suspend("paused", tunnel.now);
            break;
          case "resume":
            machine.resume(tunnel.now);
            break;
          case "timeout":
            if (machine.nextTimeout() !== Infinity) check(tunnel.next());
            break;
          case "resolved":
            check(tunnel.resolved("192.0.2.1"));
            break;
          case "moved":
            check(tunnel.resolved("192.0.2.2", "192.0.2.3"));
            break;
          case "unresolved":
            check(tunnel.unresolved());
            break;
          case "ok":
            check(tunnel.probed(OK));
            break;
          case "failed":
            check(tunnel.probed(failed()));
            break;
          case "auth":
            check(tunnel.probed(failed("credentials")));
            break;
        }
        check(tunnel.wishes());
        const isOff = machine.nextTimeout() === Infinity;
        assert.ok(!isOff || state === "down", `${state}, and nothing is due`);
        assert.ok(isOff || machine.nextTimeout() >= tunnel.now);
      }
    }),
    { numRuns: 300, seed: 42 },
  );
});
