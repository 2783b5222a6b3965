/** The choice of the operating system. */
import assert from "node:assert/strict";
import { openJournal } from "../../src/io/os/linux/journal.ts";
import { openPlatform } from "../../src/io/platform.ts";
import { UnsupportedSystemError } from "../../src/io/worker_platform.ts";

Deno.test({
  name: "a platform opens its parts without any privilege",
  ignore: Deno.build.os !== "linux",
  fn() {
    using platform = openPlatform();
    const now = platform.openClock();
    assert.ok(now() > 0);
    using wake = platform.openWake();
    using set = platform.openPoller();
    using poller = platform.attachPoller({
      descriptor: set.descriptor,
      wake: wake.descriptor,
    });
    assert.equal(poller.wait(0), 0);
    using socket = platform.openTunnelSocket({ port: 0, source: "system" });
    assert.ok(socket.port > 0);
    using network = platform.openHostNetwork(openJournal({ directories: [] }));
    assert.throws(() =>
      network.apply({
        name: "nosuch0",
        mtu: 1420,
        up: true,
        addresses: [],
        routes: [],
      })
    );
    assert.ok(platform.raiseOpenFileLimit() > 0);
    using table = platform.openProcessTable();
    assert.equal(table.process(Deno.pid)?.processId, Deno.pid);
    const journal = openJournal({ directories: [] });
    using routing = platform.openPolicyRouting(journal);
    routing.reset();
  },
});

Deno.test("another system says in one line that it is not known yet", () => {
  const error = new UnsupportedSystemError("freebsd");
  assert.equal(
    error.message,
    "sluice does not run on freebsd yet; it runs on Linux and Windows",
  );
});
