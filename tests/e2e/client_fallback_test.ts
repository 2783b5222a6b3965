/** What flows that have begun meet when their tunnel falls and comes back, by each fallback. */
import assert from "node:assert/strict";
import {
  ask,
  ECHO_PORT,
  SEEN,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest, type ClientWorld } from "../support/client_scenario.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { LoggedProcess } from "../support/process.ts";

const PROGRAMS = { block: "nc", allow: "nc", next: "nc", drop: "nc" } as const;
type Name = keyof typeof PROGRAMS;
const NAMES = Object.keys(PROGRAMS) as Name[];
const FIRST_PORT = 40_000;
const REQUEST = "GET / HTTP/1.0\r\n\r";

/** A program with a connection that has said nothing yet, and a port that it sends datagrams from. */
class Held {
  readonly #world: ClientWorld<Name>;
  readonly #name: Name;
  #connection: LoggedProcess | undefined;

  constructor(world: ClientWorld<Name>, name: Name) {
    this.#world = world;
    this.#name = name;
  }

  open(): void {
    const { host, programs } = this.#world;
    this.#connection = host.spawn(this.#name, [
      ...[programs[this.#name], "-N", OUTSIDE.first, String(ECHO_PORT)],
    ], { stdin: "piped" });
  }

  /** How the next datagram of always the same flow is seen; undefined where no answer comes. */
  async datagram(): Promise<string | undefined> {
    const { host, programs } = this.#world;
    const port = String(FIRST_PORT + NAMES.indexOf(this.#name));
    const { stdout } = await host.run([
      ...[programs[this.#name], "-u", "-w", "1", "-p", port],
      ...[OUTSIDE.first, String(ECHO_PORT)],
    ], { input: "hello\n", exit: "any", timeoutMs: 10_000 });
    return stdout.trim() || undefined;
  }

  /** Waits until the system has ended its connection. */
  async connectionEnds(): Promise<void> {
    await this.#connection!.waitForExit({ timeoutMs: 5000 });
  }

  /** How its connection, open since the beginning, is seen. */
  async connection(): Promise<string> {
    await this.#connection!.writeLine(REQUEST);
    const [address] = await this.#connection!.waitForLine(/^[\d.]+$/);
    return address;
  }
}

const { wireguard, direct } = SEEN;

for (const death of ["switched off", "dead"] as const) {
  await clientTest({
    name: `client: flows that have begun, their tunnel ${death} and back`,
    needs: [{ program: "ping" }],
    programs: PROGRAMS,
    config: (place) => ({
      tunnels: [{
        ...wireguardTunnel(place),
        health: {
          probe: "ping",
          target: "10.66.0.1",
          interval: "500ms",
          timeout: "1s",
          downAfter: 2,
        },
      }],
      rules: [
        { process: "block", tunnel: "wg" },
        { process: "allow", tunnel: "wg", fallback: "allowDirect" },
        { process: "next", tunnel: "wg", fallback: "nextRule" },
        { process: "drop", tunnel: "wg", fallback: "drop" },
      ],
      default: "direct",
    }),
    up: ["wg"],
    run: async (world) => {
      const { host, place } = world;
      const held = NAMES.map((name) => new Held(world, name));
      const [block, allow, next, drop] = held;
      const living = [block, allow, next];
      for (const program of held) program.open();
      const datagrams = () =>
        Promise.all(held.map((program) => program.datagram()));
      assert.deepEqual(
        await datagrams(),
        [wireguard, wireguard, wireguard, undefined],
      );
      await drop.connectionEnds();

      if (death === "switched off") await ask(host, "tunnel", "down", "wg");
      else await place.vpn.ip("link set wg0 down");
      await tunnelIs(host, "wg", "down");
      await Promise.all(living.map((program) => program.connectionEnds()));
      assert.deepEqual(
        await datagrams(),
        [undefined, direct, direct, undefined],
      );

      if (death === "switched off") await ask(host, "tunnel", "up", "wg");
      else {
        await place.vpn.ip("link set wg0 up");
        await place.vpn.ip("route replace 10.66.0.0/24 dev wg0");
      }
      await tunnelIs(host, "wg", "up");
      assert.deepEqual(
        await datagrams(),
        [wireguard, wireguard, wireguard, undefined],
      );
      for (const program of living) program.open();
      assert.deepEqual(
        await Promise.all(living.map((program) => program.connection())),
        [wireguard, wireguard, wireguard],
      );
    },
  });
}
