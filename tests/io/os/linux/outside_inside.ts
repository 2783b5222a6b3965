/**
 * Outside sockets across a router, in the namespaces of this test:
 *
 *     here 192.0.2.1 ---- 192.0.2.254 router 198.51.100.254 ---- far 198.51.100.1
 *     2001:db8:1::1           ::fe           2001:db8:2::fe      2001:db8:2::1
 *                    MTU 1500                     MTU 1300
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { ERRNO } from "../../../../ffi/linux_socket_constants.ts";
import { OpenFailure } from "../../../../src/core/flow/outside_sockets.ts";
import { formatEndpoint } from "../../../../src/core/wire/address.ts";
import { readU16be, writeU16be } from "../../../../src/core/wire/bytes.ts";
import { checksum } from "../../../../src/core/wire/checksum.ts";
import { Ready } from "../../../../src/io/ports.ts";
import { Lab } from "../../../support/lab.ts";
import { OutsideEnd } from "../../../support/outside_end.ts";
import { numbered } from "../../../support/packet_arena.ts";
import { runCommand } from "../../../support/process.ts";
import { linuxSockets } from "./linux_sockets.ts";

interface Family {
  readonly family: 4 | 6;
  readonly protocol: 1 | 58;
  readonly far: string;
  readonly router: string;
  readonly loopback: string;
  readonly echoRequest: number;
  readonly echoReply: number;
  /** Type and code of the errors. */
  readonly timeExceeded: readonly [number, number];
  readonly portUnreachable: readonly [number, number];
  readonly tooBig: readonly [number, number];
  /** IP and UDP header. */
  readonly headers: number;
}

const V4: Family = {
  family: 4,
  protocol: 1,
  far: "198.51.100.1",
  router: "192.0.2.254",
  loopback: "127.0.0.1",
  echoRequest: 8,
  echoReply: 0,
  timeExceeded: [11, 0],
  portUnreachable: [3, 3],
  tooBig: [3, 4],
  headers: 28,
};

const V6: Family = {
  family: 6,
  protocol: 58,
  far: "[2001:db8:2::1]",
  router: "[2001:db8:1::fe]",
  loopback: "[::1]",
  echoRequest: 128,
  echoReply: 129,
  timeExceeded: [3, 0],
  portUnreachable: [1, 4],
  tooBig: [2, 0],
  headers: 48,
};

const CLOSED_PORT = 9;
const WAIT_MS = 5000;

/** An echo request as the gateway sends it; the IPv6 checksum is the kernel's. */
function echoRequest(
  { echoRequest, family }: Family,
  identifier: number,
  sequence: number,
  length = 64,
): Uint8Array {
  const message = numbered(sequence, length);
  message.fill(0, 0, 8);
  message[0] = echoRequest;
  writeU16be(message, 4, identifier);
  writeU16be(message, 6, sequence);
  if (family === 4) writeU16be(message, 2, checksum(message, 0, length));
  return message;
}

/** What an outside has received, waiting until there is something. */
function receiveRows(end: OutsideEnd): void {
  const { batch } = end.arena;
  batch.clear();
  for (let tries = 0; tries < 20 && batch.count === 0; tries++) {
    assert.ok(end.poller.wait(WAIT_MS) & Ready.Outside);
    for (let i = 0; i < end.poller.outsideCount; i++) {
      const row = end.poller.outsideRow(i);
      end.outside.receive(row, end.poller.outsideHandle(i), batch);
    }
  }
}

/** Takes one report, waiting for it; others of the host are passed over. */
function waitForReport(end: OutsideEnd, handle: number): Uint8Array {
  const { outside, arena, poller } = end;
  const { report } = outside;
  for (let tries = 0; tries < 20; tries++) {
    assert.ok(poller.wait(WAIT_MS) & Ready.Outside);
    if (!outside.receiveError(handle, arena.batch, report)) continue;
    const at = report.payloadAt;
    return arena.bytes.slice(at, at + report.payloadLength);
  }
  throw new Error("no report came");
}

Deno.test("outside sockets", async (t) => {
  await using lab = await Lab.create();
  await wire(lab);

  await t.step("without the right to ping, open says so", async () => {
    using libc = openLibc();
    await allowPing("1 0");
    using end = new OutsideEnd(linuxSockets(libc), { echo: "ping" });
    assert.equal(end.opened.echo, "none");
    for (const family of [4, 6] as const) {
      const protocol = family === 4 ? 1 : 58;
      assert.equal(
        end.outside.open(protocol, family, 77, 0),
        OpenFailure.NotPermitted,
      );
    }
  });

  for (const kind of ["raw", "ping"] as const) {
    for (const family of [V4, V6]) {
      await t.step(
        `echo by ${kind} sockets over IPv${family.family}`,
        async () => {
          using libc = openLibc();
          await allowPing("0 2147483647");
          using end = new OutsideEnd(linuxSockets(libc), { echo: kind });
          assert.equal(end.opened.echo, kind);
          const { outside, arena } = end;
          const natRow = 12;
          const identifier = 0xbeef;
          const handle = outside.open(
            family.protocol,
            family.family,
            identifier,
            natRow,
          );
          assert.ok(handle >= 0);
          assert.equal(outside.port(handle), kind === "raw" ? 0 : identifier);
          if (kind === "ping") {
            assert.equal(
              outside.open(family.protocol, family.family, identifier, 13),
              OpenFailure.InUse,
            );
          }
          for (
            const [host, hopLimit] of [
              [family.loopback, 64],
              [family.far, 63],
            ] as const
          ) {
            const requests = [1, 2, 3].map((sequence) =>
              echoRequest(family, identifier, sequence)
            );
            for (const request of requests) {
              end.queueEcho(handle, `${host}:0`, request);
            }
            assert.equal(outside.flush(), 0);
            for (let got = 0; got < requests.length;) {
              receiveRows(end);
              const { batch } = arena;
              for (let row = 0; row < batch.count; row++) {
                const message = arena.row(row);
                assert.equal(message[0], family.echoReply);
                assert.equal(readU16be(message, 4), identifier);
                assert.deepEqual(message.slice(6), requests[got].slice(6));
                assert.equal(batch.target[row], kind === "raw" ? -1 : natRow);
                assert.equal(batch.hopLimit[row], hopLimit);
                assert.equal(
                  formatEndpoint(batch.remote, row * 4, 0),
                  `${host}:0`,
                );
                got++;
              }
            }
          }

          // A hop limit of 1 ends at the router, which quotes the request.
          const request = echoRequest(family, identifier, 9, 40);
          end.queueEcho(handle, `${family.far}:0`, request, { hopLimit: 1 });
          assert.equal(outside.flush(), 0);
          const quoted = waitForReport(end, kind === "raw" ? -1 : handle);
          const { report } = outside;
          assert.deepEqual([report.type, report.code], family.timeExceeded);
          assert.equal(report.family, family.family);
          assert.equal(
            formatEndpoint(report.offender, 0, 0),
            `${family.router}:0`,
          );
          assert.equal(
            formatEndpoint(report.destination, 0, 0),
            `${family.far}:0`,
          );
          assert.equal(quoted[0], family.echoRequest);
          assert.equal(readU16be(quoted, 4), identifier);
          assert.equal(readU16be(quoted, 6), 9);
          assert.deepEqual(quoted.slice(8), request.slice(8));

          // Other programs' pings and their errors are not taken for ours.
          if (kind === "raw") {
            await runCommand(
              [
                "ping",
                "-c",
                "1",
                "-w",
                "2",
                "-t",
                "1",
                family.far.replace(/[[\]]/g, ""),
              ],
              { exit: "any" },
            );
            assert.ok(end.poller.wait(WAIT_MS) & Ready.Outside);
            assert.ok(outside.receiveError(-1, arena.batch, report));
            assert.notEqual(
              readU16be(arena.bytes, report.payloadAt + 4),
              identifier,
            );
          }

          // Given up: a ping socket is closed, the raw one goes on for others.
          outside.retire(natRow, handle);
          const freed: number[] = [];
          outside.closeRetired({ markFree: (row) => void freed.push(row) });
          assert.deepEqual(freed, [natRow]);
          const again = outside.open(
            family.protocol,
            family.family,
            identifier,
            natRow,
          );
          assert.equal(again >= 0, true);
          end.queueEcho(
            again,
            `${family.far}:0`,
            echoRequest(family, identifier, 4),
          );
          assert.equal(outside.flush(), 0);
          receiveRows(end);
          assert.equal(arena.row(0)[0], family.echoReply);
        },
      );
    }
  }

  for (const family of [V4, V6]) {
    await t.step(`ICMP errors of a router over IPv${family.family}`, () => {
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      const { outside, arena } = end;
      const { report } = outside;
      const { batch } = arena;
      const handle = end.openUdp(family.family, 3);
      const to = `${family.far}:${CLOSED_PORT}`;
      const expectReport = (
        type: readonly [number, number],
        from: string,
        sent: Uint8Array,
      ) => {
        const quoted = waitForReport(end, handle);
        assert.deepEqual([report.type, report.code], type);
        assert.equal(formatEndpoint(report.offender, 0, 0), `${from}:0`);
        assert.equal(
          formatEndpoint(report.destination, 0, report.destinationPort),
          to,
        );
        assert.deepEqual(quoted, sent.slice(0, quoted.length));
        batch.clear();
      };

      const small = numbered(1, 60);
      end.queueUdp(handle, to, small, { hopLimit: 1 });
      assert.equal(outside.flush(), 0);
      expectReport(family.timeExceeded, family.router, small);
      assert.equal(report.extra, 0);

      end.queueUdp(handle, to, small, { hopLimit: 2 });
      assert.equal(outside.flush(), 0);
      expectReport(family.portUnreachable, family.far, small);

      // The first packet over the path's MTU leaves, and the router says no.
      const large = numbered(2, 1400);
      end.queueUdp(handle, to, large, { dontFragment: 1 });
      assert.equal(outside.flush(), 0);
      expectReport(family.tooBig, family.router, large);
      assert.equal(report.extra, 1300);

      // Now the host knows: the row fails, and its own report is passed over.
      const rows = [numbered(3, 500), large, numbered(4, 500)].map((bytes) =>
        end.queueUdp(handle, to, bytes, { dontFragment: 1 })
      );
      assert.equal(outside.flush(), 1);
      assert.equal(outside.failedRow[0], rows[1]);
      assert.equal(outside.failedErrno[0], ERRNO.EMSGSIZE);
      assert.equal(outside.pathMtu(batch, rows[1]), 1300);
      const fits = numbered(5, 1300 - family.headers);
      end.queueUdp(handle, to, fits, { dontFragment: 1 });
      assert.equal(outside.flush(), 0);
      expectReport(family.portUnreachable, family.far, numbered(3, 500));
      expectReport(family.portUnreachable, family.far, numbered(4, 500));
      expectReport(family.portUnreachable, family.far, fits);

      // Where fragments are allowed the same size arrives.
      const whole = numbered(6, 1400);
      end.queueUdp(handle, to, whole);
      assert.equal(outside.flush(), 0);
      expectReport(family.portUnreachable, family.far, whole);
      assert.equal(outside.receiveError(handle, batch, report), false);
      assert.equal(end.poller.wait(0), 0);
    });
  }

  await t.step(
    "larger than the device without fragments: told by the row",
    async () => {
      await runCommand(["ip", "link", "set", "lo", "mtu", "1500"]);
      using libc = openLibc();
      using end = new OutsideEnd(linuxSockets(libc));
      const { outside } = end;
      for (const { family, loopback, headers } of [V4, V6]) {
        const near = end.openUdp(family, 1);
        const to = end.openUdp(family, 2);
        const target = `${loopback}:${outside.port(to)}`;
        const most = 1500 - headers;
        const { batch } = end.arena;
        batch.clear();
        const sent = [
          [most, 1],
          [most + 1, 1],
          [most + 1, 0],
          [30_000, 0],
          [30_000, 1],
          [5, 1],
        ] as const;
        const rows = sent.map(([length, dontFragment], i) =>
          end.queueUdp(near, target, numbered(i, length), { dontFragment })
        );
        assert.equal(outside.flush(), 2);
        assert.deepEqual([...outside.failedRow.slice(0, 2)], [
          rows[1],
          rows[4],
        ]);
        assert.equal(outside.pathMtu(batch, rows[1]), 1500);
        batch.clear();
        assert.equal(outside.receive(2, to, batch), 4);
        assert.deepEqual(
          [...batch.length.slice(0, 4)],
          [most, most + 1, 30_000, 5],
        );
        while (outside.receiveError(near, batch, outside.report));
      }
      assert.equal(end.poller.wait(0), 0);
    },
  );
});

/** Makes the namespaces and waits until both families pass. */
async function wire(lab: Lab): Promise<void> {
  const router = await lab.namespace("router");
  const far = await lab.namespace("far");
  await runCommand(["ip", "-batch", "-"], {
    input: [
      `link add near type veth peer name east netns ${router.holderPid}`,
      "address add 192.0.2.1/24 dev near",
      "address add 2001:db8:1::1/64 dev near nodad",
      "link set near up",
      "link set lo up",
      "",
    ].join("\n"),
  });
  await router.ip(
    "address add 192.0.2.254/24 dev east",
    "address add 2001:db8:1::fe/64 dev east nodad",
    "link set east up",
  );
  await lab.link(
    {
      namespace: router,
      name: "west",
      addresses: ["198.51.100.254/24", "2001:db8:2::fe/64"],
    },
    {
      namespace: far,
      name: "lan",
      addresses: ["198.51.100.1/24", "2001:db8:2::1/64"],
    },
  );
  await router.ip("link set west mtu 1300");
  await far.ip(
    "link set lan mtu 1300",
    "route add default via 198.51.100.254",
    "route add default via 2001:db8:2::fe",
  );
  await runCommand(["ip", "-batch", "-"], {
    input: "route add default via 192.0.2.254\n" +
      "route add default via 2001:db8:1::fe\n",
  });
  for (const namespace of [router, far]) {
    await namespace.sysctl("net.ipv4.ip_forward", 1);
    await namespace.sysctl("net.ipv6.conf.all.forwarding", 1);
    await namespace.sysctl("net.ipv4.icmp_ratelimit", 0);
    await namespace.sysctl("net.ipv4.icmp_msgs_per_sec", 100_000);
    await namespace.sysctl("net.ipv6.icmp.ratelimit", 0);
  }
  await runCommand(["ping", "-c", "1", "-w", "5", "198.51.100.1"]);
  await runCommand(["ping", "-c", "1", "-w", "5", "2001:db8:2::1"]);
}

async function allowPing(groups: string): Promise<void> {
  await runCommand([
    "sh",
    "-c",
    `echo '${groups}' > /proc/sys/net/ipv4/ping_group_range`,
  ]);
}
