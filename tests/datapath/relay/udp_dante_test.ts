/** UDP through a real SOCKS5 proxy, dante, on loopback. */
import assert from "node:assert/strict";
import {
  DANTE,
  type Dante,
  type DanteOptions,
  freePort,
  startDante,
} from "../../support/dante.ts";
import { missingForLab } from "../../support/privileges.ts";
import { proxySetup, UdpSocketWorld } from "./udp_sockets.ts";

const missing = Deno.uid() === 0
  ? await missingForLab([{ program: DANTE }])
  : "dante needs root to relay UDP";

interface DantePlace {
  readonly endpoint: string;
  readonly port: number;
  readonly dante: Dante;
}

/** Runs with dante; skipped with the reason in its name, an error where CI=true. */
function danteTest(
  name: string,
  options: Omit<DanteOptions, "port">,
  run: (place: DantePlace) => Promise<void>,
): void {
  if (missing !== undefined && Deno.env.get("CI") !== "true") {
    const fn = () => {};
    Deno.test({ name: `${name} (skipped: ${missing})`, ignore: true, fn });
    return;
  }
  Deno.test(name, async () => {
    if (missing !== undefined) throw new Error(`can't run: ${missing}`);
    const port = freePort();
    const { address } = options;
    const host = address.includes(":") ? `[${address}]` : address;
    const dante = await startDante({ ...options, port });
    try {
      await run({ endpoint: `${host}:${port}`, port, dante });
    } catch (error) {
      console.log(dante.tail());
      throw error;
    } finally {
      await dante.kill();
    }
  });
}

/** A server that gives back what it gets, and remembers from where. */
class Echo implements Disposable {
  readonly port: number;
  readonly from: number[] = [];
  readonly #socket: Deno.DatagramConn;

  constructor(hostname = "127.0.0.1") {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.port = (this.#socket.addr as Deno.NetAddr).port;
    this.#serve();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #serve(): Promise<void> {
    for await (const [data, from] of this.#socket) {
      this.from.push((from as Deno.NetAddr).port);
      await this.#socket.send(data, from);
    }
  }
}

const LOOPBACK = { address: "127.0.0.1", external: ["lo"] };

danteTest(
  "dante carries datagrams of 40 sources, each with a port of its own",
  LOOPBACK,
  async ({ endpoint }) => {
    using echo = new Echo();
    using world = new UdpSocketWorld(proxySetup("socks5", endpoint));
    const payloads = new Map<string, number[]>();
    for (let n = 0; n < 40; n++) {
      const data = Array.from({ length: n * 30 + 1 }, (_, i) => i + n & 255);
      payloads.set(`10.0.0.2:${4000 + n}`, data);
      world.send({
        to: "127.0.0.1",
        toPort: echo.port,
        fromPort: 4000 + n,
        data,
      });
    }
    await world.until("all answers", () => world.answers.length === 40);
    for (const { from, to, payload } of world.answers) {
      assert.equal(from, `127.0.0.1:${echo.port}`);
      assert.deepEqual([...payload], payloads.get(to));
      payloads.delete(to);
    }
    assert.equal(new Set(echo.from).size, 40);
    assert.deepEqual(world.counters.drops(), {});
    assert.deepEqual(world.lines, []);
  },
);

danteTest(
  "a source looks the same to all remotes through dante",
  LOOPBACK,
  async ({ endpoint }) => {
    using one = new Echo();
    using other = new Echo();
    using world = new UdpSocketWorld(proxySetup("socks5", endpoint));
    for (const { port } of [one, other, one]) {
      world.send({ to: "127.0.0.1", toPort: port });
      assert.equal((await world.answer()).from, `127.0.0.1:${port}`);
    }
    assert.deepEqual([one.from[0], one.from[1]], [
      other.from[0],
      other.from[0],
    ]);
  },
);

danteTest("IPv6 remotes through dante", LOOPBACK, async ({ endpoint }) => {
  using echo = new Echo("::1");
  using world = new UdpSocketWorld(proxySetup("socks5", endpoint));
  world.send({ to: "0:0:0:0:0:0:0:1", toPort: echo.port, data: [6] });
  assert.deepEqual(await world.answer(), {
    from: `[::1]:${echo.port}`,
    to: "[fd00::2]:4000",
    payload: Uint8Array.of(6),
  });
});

danteTest(
  "dante that is reached by IPv6",
  { address: "::1", external: ["lo"] },
  async ({ endpoint }) => {
    using echo = new Echo("::1");
    using world = new UdpSocketWorld(proxySetup("socks5", endpoint));
    world.send({ to: "0:0:0:0:0:0:0:1", toPort: echo.port, data: [6] });
    assert.deepEqual((await world.answer()).payload, Uint8Array.of(6));
  },
);

danteTest(
  "dante whose rules refuse UDP",
  { ...LOOPBACK, udp: "refused" },
  async ({ endpoint }) => {
    using world = new UdpSocketWorld(proxySetup("socks5", endpoint));
    world.send({ to: "127.0.0.1", toPort: 9 });
    await world.until("the refusal", () => world.lines.length > 0);
    assert.match(world.lines[0], /gives no UDP \(.*reply [12]\)/);
    assert.equal(world.counters.get("droppedAssociationFailed"), 1);
  },
);

danteTest(
  "dante dies and comes back: the session ends, later datagrams make a new one",
  LOOPBACK,
  async ({ endpoint, port, dante }) => {
    using echo = new Echo();
    const setup = proxySetup("socks5", endpoint);
    using world = new UdpSocketWorld(setup, { failedMs: 1 });
    const datagram = { to: "127.0.0.1", toPort: echo.port };
    world.send(datagram);
    await world.answer();
    await dante.kill();
    await world.until("the end", () => world.relay.sessions === 0);
    assert.equal(world.counters.get("sessionsEnded"), 1);
    world.send(datagram);
    await world.until("the refusal", () => world.lines.length > 0);
    const again = await startDante({ ...LOOPBACK, port });
    try {
      await world.until("an answer", () => {
        if (world.relay.sessions === 0) world.send(datagram);
        return world.answers.length > 0;
      });
      assert.match(world.lines[1], /carries UDP again/);
    } finally {
      await again.kill();
    }
  },
);

danteTest(
  "sessions that expire give their descriptors back",
  LOOPBACK,
  async ({ endpoint }) => {
    using echo = new Echo();
    const setup = proxySetup("socks5", endpoint);
    using world = new UdpSocketWorld(setup, { idleMs: 1000 });
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 100; n++) {
        const fromPort = 4000 + n;
        world.send({ to: "127.0.0.1", toPort: echo.port, fromPort });
      }
      await world.until("all answers", () => world.answers.length >= 100);
      world.answers.length = 0;
      await world.until("all ends", () => world.relay.sessions === 0);
      assert.equal(world.openSockets, 0);
    }
    assert.equal(world.counters.get("sessionsExpired"), 200);
    assert.equal(world.relay.nextTimeout(), Infinity);
  },
);
