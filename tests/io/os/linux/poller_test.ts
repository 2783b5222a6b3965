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
import { openWake } from "../../../../src/io/os/linux/wake.ts";
import { openPlatform } from "../../../../src/io/platform.ts";
import { Ready } from "../../../../src/io/ports.ts";
import { testPoller } from "../../../contract/poller.ts";

const ignore = Deno.build.os !== "linux";

if (!ignore) testPoller(openPlatform);

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
