import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import {
  attachPoller,
  openPoller,
} from "../../../../src/io/os/linux/poller.ts";
import {
  PollEvents,
  PollSet,
  PollTag,
} from "../../../../src/io/os/linux/poller_set.ts";
import { attachWake, openWake } from "../../../../src/io/os/linux/wake.ts";
import { Ready } from "../../../../src/io/ports.ts";

const ignore = Deno.build.os !== "linux";

Deno.test("events keep row and handle, negative and large ones too", () => {
  const events = new PollEvents(3);
  const values = [[PollTag.Tunnel, 0], [0x7fffffff, 0x40000001], [5, -1]];
  values.forEach(([row, handle], i) => events.set(i, row, handle));
  assert.deepEqual(
    values.map((_, i) => [events.row(i), events.handle(i), events.events(i)]),
    values.map(([row, handle]) => [row, handle, 1]),
  );
});

Deno.test({
  name: "a wake ends the wait once, however often it was signalled",
  ignore,
  fn() {
    using libc = openLibc();
    using wake = openWake(libc);
    using other = attachWake(libc, wake.descriptor);
    using opened = openPoller(libc);
    using poller = attachPoller(libc, {
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
  },
});

Deno.test({
  name: "a worker that blocks is woken by another thread",
  ignore,
  async fn() {
    using libc = openLibc();
    using wake = openWake(libc);
    using opened = openPoller(libc);
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
  },
});

Deno.test({
  name: "each kind of descriptor is told apart",
  ignore,
  fn() {
    using libc = openLibc();
    using wake = openWake(libc);
    using tun = openWake(libc);
    using tunnel = openWake(libc);
    using first = openWake(libc);
    using second = openWake(libc);
    using opened = openPoller(libc);
    using poller = attachPoller(libc, {
      descriptor: opened.descriptor,
      wake: wake.descriptor,
      tun: tun.descriptor,
      tunnel: tunnel.descriptor,
    });
    const set = new PollSet(libc, opened.descriptor);
    assert.ok(set.add(first.descriptor, 70_000, 12));
    assert.ok(set.add(second.descriptor, PollTag.RawEcho, -1));
    tun.signal();
    assert.equal(poller.wait(0), Ready.Tun);
    tunnel.signal();
    assert.equal(poller.wait(0), Ready.Tun | Ready.Tunnel);
    tun.drain();
    first.signal();
    second.signal();
    assert.equal(poller.wait(0), Ready.Tunnel | Ready.Outside);
    const outside = Array.from(
      { length: poller.outsideCount },
      (_, i) => [poller.outsideRow(i), poller.outsideHandle(i)],
    );
    assert.deepEqual(outside.toSorted((a, b) => a[0] - b[0]), [
      [-1, -1],
      [70_000, 12],
    ]);
    assert.equal(poller.outsideError(0), false);
    // Level-triggered: reported until it is read or taken out.
    assert.ok(set.remove(first.descriptor));
    assert.equal(poller.wait(0), Ready.Tunnel | Ready.Outside);
    assert.equal(poller.outsideCount, 1);
    second.drain();
    tunnel.drain();
    assert.equal(poller.wait(1), 0);
    assert.equal(poller.outsideCount, 0);
  },
});

Deno.test({
  name: "tunnels come and go, each known by its number",
  ignore,
  fn() {
    using libc = openLibc();
    using wake = openWake(libc);
    using one = openWake(libc);
    using other = openWake(libc);
    using opened = openPoller(libc);
    using poller = attachPoller(libc, {
      descriptor: opened.descriptor,
      wake: wake.descriptor,
    });
    const ready = () => {
      poller.wait(0);
      return Array.from(
        { length: poller.tunnelCount },
        (_, i) => poller.tunnel(i),
      ).sort();
    };
    assert.ok(poller.watchTunnel(one.descriptor, 3));
    assert.ok(poller.watchTunnel(other.descriptor, 31));
    assert.equal(poller.watchTunnel(-1, 4), false);
    assert.deepEqual(ready(), []);
    other.signal();
    assert.deepEqual(ready(), [31]);
    one.signal();
    assert.deepEqual(ready(), [3, 31]);
    poller.forgetTunnel(other.descriptor);
    assert.deepEqual(ready(), [3]);
    assert.ok(poller.watchTunnel(other.descriptor, 7));
    assert.deepEqual(ready(), [3, 7]);
  },
});

Deno.test({
  name: "a descriptor that cannot be waited for is an error",
  ignore,
  fn() {
    using libc = openLibc();
    using opened = openPoller(libc);
    assert.throws(
      () =>
        attachPoller(libc, { descriptor: opened.descriptor, wake: 1_000_000 }),
      /epoll_ctl/,
    );
  },
});

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
