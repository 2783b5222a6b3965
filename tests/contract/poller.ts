/** What waiting and waking do on every system: one suite, without privileges. */
import assert from "node:assert/strict";
import type { Platform } from "../../src/io/platform.ts";
import { type Poller, Ready } from "../../src/io/ports.ts";
import { numbered } from "../support/packet_arena.ts";
import {
  target,
  TunnelEnd,
  type TunnelSocketPlatform,
} from "../support/tunnel_end.ts";

/** What the suite needs of a platform. */
export type PollerPlatform =
  & Pick<Platform, "openWake" | "attachWake" | "openPoller" | "attachPoller">
  & Pick<Platform, "openClock">
  & TunnelSocketPlatform
  & Disposable;

const PATIENCE_MS = 5000;

/** Registers the suite; a wake stands for a TUN. */
export function testPoller(open: () => PollerPlatform): void {
  Deno.test("a wake ends the wait once, however often it was signalled", () => {
    using platform = open();
    using wake = platform.openWake();
    using other = platform.attachWake(wake.descriptor);
    using opened = platform.openPoller();
    using poller = platform.attachPoller({
      descriptor: opened.descriptor,
      wake: wake.descriptor,
    });
    assert.equal(poller.wait(0), 0);
    wake.signal();
    other.signal();
    other.signal();
    assert.equal(poller.wait(-1), Ready.Wake);
    assert.equal(poller.wait(0), 0);
    wake.signal();
    wake.drain();
    assert.equal(poller.wait(0), 0);
  });

  Deno.test("a worker that blocks is woken by another thread", async () => {
    using platform = open();
    using wake = platform.openWake();
    using opened = platform.openPoller();
    const program = new URL("./wake_program.ts", import.meta.url);
    const worker = new Worker(program, { type: "module" });
    const messages = messagesOf(worker);
    worker.postMessage({
      descriptor: opened.descriptor,
      wake: wake.descriptor,
    });
    assert.equal(await messages.next(), "blocks");
    wake.signal();
    assert.equal(await messages.next(), Ready.Wake);
    worker.terminate();
  });

  Deno.test("a TUN's event and a socket are told until they are dealt with", () => {
    using platform = open();
    using wake = platform.openWake();
    using tun = platform.openWake();
    using near = new TunnelEnd(platform);
    using far = new TunnelEnd(platform);
    using opened = platform.openPoller();
    using poller = platform.attachPoller({
      descriptor: opened.descriptor,
      wake: wake.descriptor,
      tun: tun.descriptor,
      tunnel: near.opened.descriptor,
    });
    assert.equal(poller.wait(0), 0);
    tun.signal();
    assert.equal(waitFor(poller, Ready.Tun), Ready.Tun);
    far.send(target(`127.0.0.1:${near.socket.port}`), [numbered(1, 50)]);
    const both = Ready.Tun | Ready.Tunnel;
    for (let round = 0; round < 3; round++) {
      assert.equal(waitFor(poller, both), both);
    }
    assert.equal(poller.tunnelCount, 1);
    tun.drain();
    assert.equal(waitFor(poller, Ready.Tunnel) & Ready.Wake, 0);
    assert.equal(near.receiveAll().bytes.length, 1);
    settle(poller);
    wake.signal();
    tun.signal();
    const events = Ready.Wake | Ready.Tun;
    assert.equal(waitFor(poller, events), events);
    tun.drain();
    settle(poller);
  });

  Deno.test("tunnels come and go, each known by its number", () => {
    using platform = open();
    using wake = platform.openWake();
    using one = new TunnelEnd(platform);
    using other = new TunnelEnd(platform);
    using far = new TunnelEnd(platform);
    using opened = platform.openPoller();
    using poller = platform.attachPoller({
      descriptor: opened.descriptor,
      wake: wake.descriptor,
    });
    const ready = () => {
      poller.wait(0);
      const { tunnelCount } = poller;
      return Array.from({ length: tunnelCount }, (_, i) => poller.tunnel(i))
        .sort((a, b) => a - b);
    };
    const write = ({ socket }: TunnelEnd) =>
      far.send(target(`[::1]:${socket.port}`), [numbered(1, 9)]);
    assert.ok(poller.watchTunnel(one.opened.descriptor, 3));
    assert.ok(poller.watchTunnel(other.opened.descriptor, 31));
    assert.equal(poller.watchTunnel(0x7fff_fff0, 4), false);
    assert.deepEqual(ready(), []);
    write(other);
    assert.deepEqual(ready(), [31]);
    write(one);
    assert.deepEqual(ready(), [3, 31]);
    poller.forgetTunnel(other.opened.descriptor);
    assert.deepEqual(ready(), [3]);
    assert.ok(poller.watchTunnel(other.opened.descriptor, 7));
    assert.deepEqual(ready(), [3, 7]);
    assert.equal(one.receiveAll().bytes.length, 1);
    assert.deepEqual(ready(), [7]);
    // Hundreds of times, so that nothing is left of those before.
    for (let i = 0; i < 300; i++) {
      poller.forgetTunnel(other.opened.descriptor);
      assert.ok(poller.watchTunnel(other.opened.descriptor, i));
    }
    assert.deepEqual(ready(), [299]);
  });

  Deno.test("two threads of a pump wait in turns on one set", () => {
    using platform = open();
    using wake = platform.openWake();
    using near = new TunnelEnd(platform);
    using far = new TunnelEnd(platform);
    using opened = platform.openPoller();
    const attachment = {
      descriptor: opened.descriptor,
      wake: wake.descriptor,
      tunnel: near.opened.descriptor,
    };
    using first = platform.attachPoller(attachment);
    using second = platform.attachPoller(attachment);
    for (let round = 0; round < 3; round++) {
      far.send(target(`127.0.0.1:${near.socket.port}`), [numbered(1, 50)]);
      assert.equal(first.wait(PATIENCE_MS), Ready.Tunnel);
      assert.equal(second.wait(PATIENCE_MS), Ready.Tunnel);
      near.receiveAll();
      assert.equal(first.wait(0), 0);
      wake.signal();
      assert.equal(second.wait(-1), Ready.Wake);
    }
  });

  Deno.test("the clock goes on and is the same for all who open it", () => {
    using platform = open();
    using other = open();
    const [a, b] = [platform.openClock(), other.openClock()];
    let last = 0;
    for (let i = 0; i < 1000; i++) {
      const now = i % 2 === 0 ? a() : b();
      assert.ok(now >= last && now > 0);
      last = now;
    }
    const before = a();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
    assert.ok(b() - before >= 29);
  });
}

/** Waits until all of these have been told. @returns what was told */
function waitFor(poller: Poller, wanted: number): number {
  let told = 0;
  while ((told & wanted) !== wanted) {
    const ready = poller.wait(PATIENCE_MS);
    assert.notEqual(ready, 0, `${told} told, ${wanted} wanted`);
    told |= ready;
  }
  return told;
}

/** Takes what was on its way already when its reason went; then nothing is told. */
function settle(poller: Poller): void {
  for (let late = 0; late < 3 && poller.wait(0) !== 0; late++);
  assert.equal(poller.wait(0), 0);
}

/** A worker's messages, one after the other. */
function messagesOf(worker: Worker): { next(): Promise<unknown> } {
  const waiting: unknown[] = [];
  let take: ((data: unknown) => void) | undefined;
  worker.onmessage = ({ data }) => {
    if (take === undefined) waiting.push(data);
    else take(data);
    take = undefined;
  };
  return {
    next: () =>
      waiting.length > 0
        ? Promise.resolve(waiting.shift())
        : new Promise((resolve) => take = resolve),
  };
}
