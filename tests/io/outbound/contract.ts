/**
 * What every way out must do, whatever stands behind it: one suite for direct
 * connections and for each real proxy.
 */
import assert from "node:assert/strict";
import type {
  DialerSetup,
  DialFailureKind,
} from "../../../src/io/ports/dialer.ts";
import { waitFor } from "../../support/wait.ts";
import { DialWorld, target } from "./dial_world.ts";
import { BANNER, closedPort, type EchoServer } from "./echo_server.ts";

/** The addresses of the namespace that the suite runs in. */
export const PLACE = {
  /** Destinations with an echo server. */
  destination4: "192.0.2.1",
  destination6: "2001:db8::1",
  /** Names of theirs, in /etc/hosts. */
  name4: "four.test",
  name6: "six.test",
  /** A route says that its hosts are unreachable. */
  lost4: "198.51.100.9",
  /** There is no route. */
  nowhere4: "203.0.113.9",
  nowhere6: "2001:db8:bad::9",
} as const;

/** One way out, and in what it may differ from others. */
export interface Subject {
  readonly name: string;
  /** Asked when the suite runs: servers are started then. */
  readonly setup: () => DialerSetup;
  /** `proxy`: it resolves names itself. */
  readonly names: "proxy" | "none";
  /** `proxy-ends`: that proxy takes an end of one direction for the end of both. */
  readonly halfClose: "kept" | "proxy-ends";
  /** What the failures are told as. */
  readonly failures: {
    readonly refused: DialFailureKind;
    readonly lost: DialFailureKind;
    readonly nowhere: DialFailureKind;
    /** A name that nobody has. */
    readonly unknownName: DialFailureKind;
  };
}

/** Registers the suite for a way out. */
export function testContract(subject: Subject, echo: () => EchoServer): void {
  const test = (name: string, run: (world: DialWorld) => Promise<void>) =>
    Deno.test(`${subject.name}: ${name}`, async () => {
      using world = new DialWorld();
      await run(world);
      await waitFor("sockets to be closed", () => world.openSockets === 0);
    });

  test("a destination that speaks first, both families", async (world) => {
    const dialer = world.open(subject.setup());
    for (const address of [PLACE.destination4, PLACE.destination6]) {
      using connection = await world.connect(
        dialer,
        target(address, echo().port),
      );
      await exchange(connection);
    }
  });

  test("half a megabyte and back, byte for byte", async (world) => {
    const dialer = world.open(subject.setup());
    const to = target(PLACE.destination4, echo().port);
    using connection = await world.connect(dialer, to);
    await connection.receiveExactly(BANNER.length);
    const data = Uint8Array.from({ length: 1 << 19 }, (_, i) => i * 7 + i / 99);
    const sending = connection.send(data);
    assert.deepEqual(await connection.receiveExactly(data.length), data);
    await sending;
  });

  test("an end of our direction", async (world) => {
    const dialer = world.open(subject.setup());
    const to = target(PLACE.destination4, echo().port);
    using connection = await world.connect(dialer, to);
    await exchange(connection);
    const data = new Uint8Array(100_000).fill(7);
    if (subject.halfClose === "kept") {
      await connection.send(data);
      connection.finish();
      assert.deepEqual(await connection.receiveExactly(data.length), data);
    } else {
      connection.finish();
    }
    assert.equal((await connection.receive()).length, 0);
  });

  test("refused, unreachable, without a route", async (world) => {
    const dialer = world.open(subject.setup());
    const { refused, lost, nowhere } = subject.failures;
    const table = [
      [PLACE.destination4, refused],
      [PLACE.destination6, refused],
      [PLACE.lost4, lost],
      [PLACE.nowhere4, nowhere],
      [PLACE.nowhere6, nowhere],
    ] as const;
    for (const [address, kind] of table) {
      const failure = await world.failure(
        dialer,
        target(address, closedPort()),
      );
      assert.equal(failure.kind, kind, `${address}: ${failure.text}`);
      assert.match(failure.text, /^[\x20-\x7e]{5,200}$/);
    }
  });

  test("names", async (world) => {
    const dialer = world.open(subject.setup());
    const { port } = echo();
    if (subject.names === "none") {
      const failure = await world.failure(
        dialer,
        target("::", port, PLACE.name4),
      );
      assert.equal(failure.kind, "unsupported");
      return;
    }
    for (const name of [PLACE.name4, PLACE.name6]) {
      using connection = await world.connect(dialer, target("::", port, name));
      await exchange(connection);
    }
    const failure = await world.failure(
      dialer,
      target("::", port, "nobody.invalid"),
    );
    assert.equal(failure.kind, subject.failures.unknownName, failure.text);
  });

  test("twenty at once", async (world) => {
    const dialer = world.open(subject.setup());
    const { port } = echo();
    const open = async (i: number) => {
      const address = i % 2 ? PLACE.destination4 : PLACE.destination6;
      using connection = await world.connect(dialer, target(address, port));
      await exchange(connection);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => open(i)));
  });
}

async function exchange(
  connection: Awaited<ReturnType<DialWorld["connect"]>>,
): Promise<void> {
  const decoder = new TextDecoder();
  const banner = await connection.receiveExactly(BANNER.length);
  assert.equal(decoder.decode(banner), BANNER);
  await connection.send(new TextEncoder().encode("ping"));
  assert.equal(decoder.decode(await connection.receiveExactly(4)), "ping");
}
