/**
 * A Wintun device as the product uses it: made by one thread, waited for, read
 * and written by another; run by wintun_test.ts.
 */
import assert from "node:assert/strict";
import { openPlatform } from "../../../src/io/platform.ts";
import { TUN_BENCH } from "../../contract/tun_device.ts";
import type { ReflectorSetup } from "./wintun_reflector.ts";

const DATAGRAMS = 200;
const PEER = "10.88.0.2";
const LONGEST = TUN_BENCH.mtu - 28;

for (const rows of [2, 256]) {
  Deno.test(`a worker that waits gets every packet, ${rows} at a time`, async () => {
    using platform = openPlatform();
    using tun = platform.createTun({ name: TUN_BENCH.name, offload: "none" });
    using poller = platform.openPoller();
    using wake = platform.openWake();
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const url = import.meta.resolve("./wintun_reflector.ts");
    const worker = new Worker(url, { type: "module" });
    const setup: ReflectorSetup = {
      poller: poller.descriptor,
      wake: wake.descriptor,
      tun: tun.descriptor,
      name: tun.name,
      mtu: TUN_BENCH.mtu,
      stop,
      rows,
    };
    const said = (word: string) =>
      new Promise<void>((resolve, reject) => {
        worker.onmessage = ({ data }) => data === word && resolve();
        worker.onerror = (event) => reject(new Error(event.message));
      });
    const ready = said("ready");
    worker.postMessage(setup);
    await ready;
    const ended = said("ended");
    try {
      await exchange();
    } finally {
      Atomics.store(stop, 0, 1);
      wake.signal();
      await ended;
      worker.terminate();
    }
  });
}

/** Sends datagrams a few at a time, all of which must come back. */
async function exchange(): Promise<void> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: TUN_BENCH.address,
    port: 0,
  });
  const burst = 10;
  for (let sent = 0; sent < DATAGRAMS; sent += burst) {
    for (let i = sent; i < sent + burst; i++) {
      const payload = new Uint8Array(1 + i * 7 % LONGEST).fill(i);
      await socket.send(payload, {
        transport: "udp",
        hostname: PEER,
        port: 5000,
      });
    }
    for (let i = sent; i < sent + burst; i++) {
      const [payload, from] = await socket.receive();
      assert.equal(payload.length, 1 + i * 7 % LONGEST);
      assert.ok(payload.every((byte) => byte === (i & 0xff)));
      assert.equal((from as Deno.NetAddr).hostname, PEER);
    }
  }
  socket.close();
}
