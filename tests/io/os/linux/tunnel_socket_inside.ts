/** The tunnel's socket where MTUs and addresses change; in its own namespace. */
import assert from "node:assert/strict";
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import { POLL } from "../../../../ffi/linux_socket_constants.ts";
import { runCommand } from "../../../support/process.ts";
import { numbered, PlainSocket } from "../../../support/packet_arena.ts";
import { target, TunnelEnd } from "../../../support/tunnel_end.ts";
import { linuxSockets } from "./linux_sockets.ts";

Deno.test("trains of messages over the path's MTU arrive in fragments", async () => {
  await runCommand(["ip", "link", "set", "lo", "mtu", "1300"]);
  using libc = openLibc();
  for (const host of ["127.0.0.1", "[::1]"]) {
    using a = new TunnelEnd(linuxSockets(libc));
    using b = new TunnelEnd(linuxSockets(libc));
    const sent = [1400, 1400, 1400, 1400, 200, 1200, 1200, 1400, 1400, 60]
      .map((length, i) => numbered(i, length));
    for (let round = 0; round < 50; round++) {
      assert.equal(a.send(target(`${host}:${b.socket.port}`), sent), 0);
      assert.deepEqual(b.receiveAll().bytes, sent);
    }
  }
  await runCommand(["ip", "link", "set", "lo", "mtu", "65536"]);
});

Deno.test("an address that the host has lost is not answered from", async () => {
  using libc = openLibc();
  for (
    const [lost, other, prefix] of [
      ["192.0.2.7", "127.0.0.1", "32"],
      ["2001:db8::7", "::1", "128"],
    ]
  ) {
    const command = ["ip", "address"];
    const address = [`${lost}/${prefix}`, "dev", "lo"];
    const atOnce = prefix === "128" ? ["nodad"] : [];
    await runCommand([...command, "add", ...address, ...atOnce]);
    using server = new TunnelEnd(linuxSockets(libc), { source: "sticky" });
    using client = new PlainSocket(other);
    const { port } = server.socket;
    const host = other.includes(":") ? `[${other}]` : other;
    const back = target(`${host}:${client.port}`);
    do await client.send(numbered(1, 20), { hostname: lost, port }); while (
      !hasInput(libc, server)
    );
    assert.equal(server.receiveAll().bytes.length, 1);
    assert.equal(server.send(back, [numbered(2, 20)]), 0);
    assert.equal((await client.receive()).from.hostname, lost);

    await runCommand([...command, "del", ...address]);
    const sent = [3, 4, 5, 6].map((i) => numbered(i, 20));
    assert.equal(server.send(back, sent), 0);
    for (const message of sent) {
      const { bytes, from } = await client.receive();
      assert.deepEqual(bytes, message);
      assert.equal(from.hostname, other);
    }
  }
});

/** Waits a moment for input: what comes right after a new address may get lost. */
function hasInput(libc: Libc, { opened }: TunnelEnd): boolean {
  const poll = new Int32Array([opened.descriptor, POLL.IN]);
  return libc.call.poll(new Uint8Array(poll.buffer), 1, 200) === 1;
}
