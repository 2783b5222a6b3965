import assert from "node:assert/strict";
import { LocalNames } from "../../src/control/local_names.ts";
import { isAnswerTo, parseDns } from "../../src/core/wire/dns.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";
import {
  buildQuery,
  type QueryShape,
  readMessage,
  type TestMessage,
} from "../support/dns_messages.ts";

const prefix = (text: string) => parsePrefix(text)!;

function names(domain = "sluice"): LocalNames {
  const names = new LocalNames(domain);
  names.set([
    {
      name: "Phone",
      addresses: [prefix("10.8.0.2/32"), prefix("fd00:8::2/128")],
    },
    { name: "old-phone", addresses: [prefix("10.8.0.3/32")] },
    {
      name: "gateway",
      addresses: [prefix("10.8.0.1/24"), prefix("10.9.0.1/24")],
    },
  ]);
  return names;
}

function answer(
  shape: QueryShape,
  from: LocalNames = names(),
): TestMessage | undefined {
  const query = buildQuery(shape);
  const bytes = from.answer(parseDns(query)!);
  if (bytes === undefined) return undefined;
  assert.ok(isAnswerTo(bytes, query), "id and question are the query's");
  assert.ok(parseDns(bytes) !== undefined);
  return readMessage(bytes);
}

function data(message: TestMessage | undefined): unknown[] {
  return message!.answers.map(({ type, name, ttl, data }) => [
    type,
    name,
    ttl,
    data,
  ]);
}

Deno.test("a peer's name has its addresses, whatever the spelling", () => {
  const four = answer({ name: "phone.sluice" })!;
  assert.deepEqual(data(four), [["A", "phone.sluice", 60, "10.8.0.2"]]);
  assert.equal(four.rcode, "NOERROR");
  assert.ok(four.flag_aa && four.flag_ra && four.type === "response");
  assert.equal(four.authorities.length, 0);
  const six = answer({ name: "PHONE.Sluice", type: "AAAA" });
  assert.deepEqual(data(six), [["AAAA", "PHONE.Sluice", 60, "fd00:8::2"]]);
});

Deno.test("all addresses of a type are given, and of every type for ANY", () => {
  const four = answer({ name: "gateway.sluice" });
  assert.deepEqual(data(four).map((record) => (record as unknown[])[3]), [
    "10.8.0.1",
    "10.9.0.1",
  ]);
  const any = answer({ name: "phone.sluice", type: "ANY" });
  assert.deepEqual(data(any).map((record) => (record as unknown[])[0]), [
    "A",
    "AAAA",
  ]);
});

Deno.test("a name that exists without such a record: no data, with an SOA", () => {
  const cases: QueryShape[] = [
    { name: "old-phone.sluice", type: "AAAA" },
    { name: "phone.sluice", type: "TXT" },
    { name: "phone.sluice", class: "CH" },
    { name: "sluice", type: "A" },
  ];
  for (const shape of cases) {
    const message = answer(shape)!;
    assert.equal(message.rcode, "NOERROR");
    assert.equal(message.answers.length, 0);
    assert.equal(message.authorities.length, 1);
    assert.equal(message.authorities[0].type, "SOA");
  }
});

Deno.test("a name of the domain that nobody has doesn't exist", () => {
  for (
    const name of [
      "nobody.sluice",
      "x.phone.sluice",
      "phone.phone.sluice",
      "x".repeat(63) + ".SLUICE",
    ]
  ) {
    const message = answer({ name })!;
    assert.equal(message.rcode, "NXDOMAIN");
    assert.equal(message.answers.length, 0);
    const [soa] = message.authorities;
    assert.equal(soa.name.toLowerCase(), "sluice");
    const { mname, minimum } = soa.data as { mname: string; minimum: number };
    assert.equal(mname.toLowerCase(), "sluice");
    assert.deepEqual([soa.ttl, minimum], [10, 10]);
  }
});

Deno.test("other names are not ours", () => {
  const others = ["sluice.org", "xsluice", "phonesluice", "phone", "", "e"];
  for (const name of others) assert.equal(answer({ name }), undefined, name);
});

Deno.test("a domain of several labels", () => {
  const from = names("vpn.example.org");
  const known = answer({ name: "phone.vpn.example.org" }, from);
  assert.deepEqual(data(known), [
    ["A", "phone.vpn.example.org", 60, "10.8.0.2"],
  ]);
  const unknown = answer({ name: "no.VPN.example.org" }, from)!;
  assert.equal(unknown.rcode, "NXDOMAIN");
  assert.equal(unknown.authorities[0].name, "VPN.example.org");
  assert.equal(answer({ name: "phone.example.org" }, from), undefined);
});

Deno.test("EDNS is answered with EDNS, none with none", () => {
  const edns = { udpLimit: 1232 };
  assert.equal(answer({ name: "phone.sluice", edns })!.additionals.length, 1);
  assert.equal(answer({ name: "no.sluice", edns })!.additionals.length, 1);
  assert.equal(answer({ name: "phone.sluice" })!.additionals.length, 0);
});

Deno.test("names can be set anew", () => {
  const from = names();
  from.set([{ name: "new", addresses: [prefix("10.8.0.9/32")] }]);
  assert.equal(answer({ name: "phone.sluice" }, from)!.rcode, "NXDOMAIN");
  assert.equal(answer({ name: "new.sluice" }, from)!.answers.length, 1);
});
