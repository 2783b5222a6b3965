import assert from "node:assert/strict";
import { TunnelAddresses } from "../../../src/control/client/tunnel_addresses.ts";
import { words } from "./plans.ts";

const [A, B, C] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(words);

Deno.test("each try takes the next address of a host, round and round", () => {
  const addresses = new TunnelAddresses();
  assert.equal(addresses.areKnown, false);
  addresses.learn([[A, B], [C]]);
  assert.equal(addresses.areKnown, true);
  assert.deepEqual(addresses.next(), [A, C]);
  assert.deepEqual(addresses.next(), [B, C]);
  assert.deepEqual(addresses.next(), [A, C]);
});

Deno.test("a good address is kept, and where it is the way already nothing is said", () => {
  const addresses = new TunnelAddresses();
  addresses.learn([[A, B]]);
  addresses.next();
  addresses.keep();
  assert.equal(addresses.next(), undefined);
  addresses.keep();
  addresses.pass();
  assert.deepEqual(addresses.next(), [B]);
});

Deno.test("a way stays while its address is one of the name's, else it follows", () => {
  const addresses = new TunnelAddresses();
  addresses.learn([[A]]);
  addresses.next();
  addresses.learn([[B, A]]);
  assert.equal(addresses.follow(), undefined);
  addresses.learn([[B, C]]);
  assert.deepEqual(addresses.follow(), [B]);
});

Deno.test("after the end it leads somewhere anew", () => {
  const addresses = new TunnelAddresses();
  assert.equal(addresses.leave(), false);
  addresses.learn([[A]]);
  addresses.next();
  assert.equal(addresses.leave(), true);
  assert.equal(addresses.leave(), false);
  assert.deepEqual(addresses.next(), [A]);
});
