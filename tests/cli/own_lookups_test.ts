import assert from "node:assert/strict";
import * as dnsPacket from "dns-packet";
import { ownLookups } from "../../src/cli/own_lookups.ts";
import { formatAddress, parseAddress } from "../../src/core/wire/address.ts";

const LOOPBACK = Int32Array.from(parseAddress("127.0.0.1")!);
const SYSTEM = Int32Array.from(parseAddress("192.0.2.99")!);

/** A resolver on loopback; it forgets the first question of all. */
function startResolver(addresses: Readonly<Record<string, readonly string[]>>) {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  let asked = 0;
  const served = (async () => {
    for await (const [bytes, from] of socket) {
      const query = dnsPacket.decode(bytes as never);
      const { type, name } = query.questions![0];
      if (asked++ === 0) continue;
      const data = (addresses[name.toLowerCase()] ?? [])
        .filter((text) => (type === "AAAA") === text.includes(":"));
      const answer = dnsPacket.encode({
        type: "response",
        id: query.id,
        questions: query.questions,
        answers: data.map((data) => ({ type, name, data } as never)),
      });
      // Somebody else's is passed over.
      const other = answer.slice();
      other[0] ^= 1;
      await socket.send(other, from);
      await socket.send(answer, from);
    }
  })();
  return {
    place: { words: LOOPBACK, port: (socket.addr as Deno.NetAddr).port },
    asked: () => asked,
    async [Symbol.asyncDispose]() {
      socket.close();
      await served;
    },
  };
}

Deno.test("own look-ups: both families, by the first resolver that knows the name", async () => {
  await using empty = startResolver({});
  await using full = startResolver({
    "vpn.example": ["2001:db8::7", "192.0.2.7"],
  });
  const asked: string[] = [];
  const resolve = ownLookups({
    resolvers: () => [empty.place, full.place],
    source: () => LOOPBACK,
    system: (host) => {
      asked.push(host);
      return Promise.resolve([SYSTEM]);
    },
    patienceMs: 3000,
  });
  const texts = async (host: string) =>
    (await resolve(host)).map((words) => formatAddress(words));
  assert.deepEqual(await texts("vpn.example"), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(await texts("VPN.example."), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(asked, []);
  assert.deepEqual(await texts("other.example"), ["192.0.2.99"]);
  const before = full.asked();
  for (const host of ["printer", "192.0.2.1", "2001:db8::1", "a..b"]) {
    assert.deepEqual(await texts(host), ["192.0.2.99"], host);
  }
  assert.equal(full.asked(), before);
  assert.deepEqual(
    asked,
    ["other.example", "printer", "192.0.2.1", "2001:db8::1", "a..b"],
  );
});

Deno.test("own look-ups: where no resolver answers, the system is asked", async () => {
  const silent = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const { port } = silent.addr as Deno.NetAddr;
  const resolve = ownLookups({
    resolvers: () => [{ words: LOOPBACK, port }],
    source: () => undefined,
    system: () => Promise.reject(new Error("unknown")),
    patienceMs: 30,
  });
  await assert.rejects(resolve("vpn.example"), /unknown/);
  silent.close();
});
