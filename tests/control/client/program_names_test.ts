import assert from "node:assert/strict";
import * as dnsPacket from "dns-packet";
import { ProgramNames } from "../../../src/control/client/program_names.ts";
import { words } from "./plans.ts";

const OPTIONS = {
  capacity: 64,
  capacityPerOwner: 64,
  leastMs: 60_000,
  mostMs: 3_600_000,
};
const SERVICE = "C:\\WINDOWS\\System32\\svchost.exe";
const BROWSER = { path: "C:\\Programs\\browser.exe" };
const OTHER = { path: "C:\\Programs\\other.exe" };

function answer(name: string, address: string): Uint8Array {
  return dnsPacket.encode({
    type: "response",
    id: 1,
    questions: [{ type: "A", name }],
    answers: [{ type: "A", name, ttl: 60, data: address }],
  });
}

Deno.test("names that a service has looked up are everybody's, a program's are its own", () => {
  const names = new ProgramNames(OPTIONS, SERVICE);
  const target = words("192.0.2.7");
  names.learn(BROWSER, answer("own.example", "192.0.2.7"), 0);
  assert.deepEqual(names.of(OTHER, target, 0), []);
  const service = { path: SERVICE.toLowerCase() };
  names.learn(service, answer("all.example", "192.0.2.7"), 0);
  names.learn(service, answer("own.example", "192.0.2.7"), 0);
  assert.deepEqual(names.of(BROWSER, target, 1), [
    "own.example",
    "all.example",
  ]);
  assert.deepEqual(names.of(OTHER, target, 1), ["own.example", "all.example"]);
  names.sweep(60_001);
  assert.deepEqual(names.of(OTHER, target, 60_001), []);
});

Deno.test("where each program asks by itself nobody's names are everybody's", () => {
  const names = new ProgramNames(OPTIONS, undefined);
  names.learn(BROWSER, answer("own.example", "192.0.2.7"), 0);
  assert.deepEqual(names.of(OTHER, words("192.0.2.7"), 0), []);
  assert.deepEqual(names.of(BROWSER, words("192.0.2.7"), 0), ["own.example"]);
  names.clear();
  assert.deepEqual(names.of(BROWSER, words("192.0.2.7"), 0), []);
});
