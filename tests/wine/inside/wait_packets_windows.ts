/**
 * Waiting as on Windows itself, where events report to the completion port; run
 * by wait_packets_test.ts, which builds the stand-in.
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { AFD_POLL } from "../../../ffi/windows/ntdll.ts";
import { AfdPoll, openAfdPoll } from "../../../src/io/os/windows/afd_poll.ts";
import { attachPoller, openPoller } from "../../../src/io/os/windows/poller.ts";
import {
  openSocketLibraries,
  type SocketLibraries,
} from "../../../src/io/os/windows/socket_libraries.ts";
import { attachWake, openWake } from "../../../src/io/os/windows/wake.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import { testPoller } from "../../contract/poller.ts";

const standin = Deno.dlopen(`${dirname(Deno.execPath())}\\waitpackets.dll`, {
  NtCreateWaitCompletionPacket: {
    parameters: ["buffer", "u32", "pointer"],
    result: "u32",
  },
  NtAssociateWaitCompletionPacket: {
    parameters: ["u32", "u32", "u32", "u64", "u64", "u32", "u64", "pointer"],
    result: "u32",
  },
  NtCancelWaitCompletionPacket: { parameters: ["u32", "u8"], result: "u32" },
});

function openLibraries(): SocketLibraries {
  const libraries = openSocketLibraries();
  const { ntdll } = libraries;
  return {
    ...libraries,
    ntdll: { ...ntdll, call: { ...ntdll.call, ...standin.symbols } },
    [Symbol.dispose]: () => libraries[Symbol.dispose](),
  };
}

testPoller(() => {
  const libraries = openLibraries();
  return Object.assign(openPlatform(), {
    openPoller: openPoller.bind(undefined, libraries),
    attachPoller: attachPoller.bind(undefined, libraries),
  });
});

Deno.test("an event reports once a wait, whatever comes and goes beside it", () => {
  using libraries = openLibraries();
  using opened = openAfdPoll(libraries, 64);
  const poll = new AfdPoll(libraries, opened.address);
  const { kernel32 } = libraries;
  using kept = openWake(kernel32);
  assert.ok(poll.addEvent(kept.descriptor, -7));
  assert.equal(poll.addEvent(kept.descriptor, -7), false);
  for (let round = 0; round < 200; round++) {
    using wake = openWake(kernel32);
    assert.ok(poll.addEvent(wake.descriptor, -8));
    assert.equal(poll.wait(0), 0);
    attachWake(kernel32, wake.descriptor).signal();
    assert.equal(poll.wait(5000), 1);
    assert.equal(poll.key(0), -8);
    assert.equal(poll.event(0), wake.descriptor);
    wake.drain();
    poll.removeEvent(wake.descriptor);
  }
  kept.signal();
  assert.equal(poll.wait(5000), 1);
  assert.equal(poll.key(0), -7);
  assert.equal(poll.find(4), -1);
  assert.equal(poll.add(0x7fff_fff0, AFD_POLL.RECEIVE, 1, 1), -1);
});
