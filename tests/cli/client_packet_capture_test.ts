/** Which capture a client takes, and what its driver lets through by itself. */
import assert from "node:assert/strict";
import type { ClientConfig } from "../../src/config/client_config.ts";
import {
  openPacketCapture,
  passRules,
} from "../../src/cli/client_packet_capture.ts";
import { UserError } from "../../src/cli/errors.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";
import {
  CaptureError,
  type CaptureErrorCode,
  type OpenedCapture,
} from "../../src/io/ports.ts";

const CAPTURE = { name: "ndis 3.6.1" } as OpenedCapture;

function open(
  mode: ClientConfig["capture"]["mode"],
  killSwitch: Partial<ClientConfig["killSwitch"]> = {},
  failure?: CaptureErrorCode,
) {
  const lines: string[] = [];
  const config = {
    capture: { mode },
    killSwitch: { enabled: true, persist: false, ...killSwitch },
  } as ClientConfig;
  const capture = openPacketCapture({
    config,
    platform: {
      openCapture: () => {
        if (failure === undefined) return CAPTURE;
        throw new CaptureError(failure, "it is not there", "get it");
      },
    },
    onLine: (text) => void lines.push(text),
  });
  return { name: capture?.name, lines };
}

Deno.test("auto captures where the driver is there, and says why it does not", () => {
  assert.deepEqual(open("auto"), { name: CAPTURE.name, lines: [] });
  assert.deepEqual(open("auto", {}, "driver-absent"), {
    name: undefined,
    lines: ["packets come by an interface: it is not there"],
  });
  // Where there can be none nobody misses it.
  assert.deepEqual(open("auto", {}, "unsupported").lines, []);
});

Deno.test("ndis captures or says what is missing; wintun never captures", () => {
  assert.equal(open("ndis").name, CAPTURE.name);
  assert.throws(
    () => open("ndis", {}, "wrong-version"),
    (error) => error instanceof UserError && error.hint === "get it",
  );
  assert.equal(open("wintun").name, undefined);
});

Deno.test("a kill switch that persists needs an interface", () => {
  assert.equal(open("auto", { persist: true }).name, undefined);
  assert.throws(() => open("ndis", { persist: true }), UserError);
  assert.equal(
    open("ndis", { persist: true, enabled: false }).name,
    CAPTURE.name,
  );
});

Deno.test("the driver lets through what the configuration allows anyway", () => {
  const { words, length, family } = parsePrefix("10.0.0.0/24")!;
  const networks = [{
    family,
    words: Int32Array.from(words),
    prefixLength: length,
  }];
  const kinds = (allowLan: boolean, allowDhcp: boolean) =>
    passRules(
      { killSwitch: { allowLan, allowDhcp } as ClientConfig["killSwitch"] },
      networks,
    ).map(({ kind }) => kind);
  assert.deepEqual(kinds(false, false), []);
  assert.deepEqual(kinds(false, true), ["dhcp"]);
  assert.deepEqual(kinds(true, true), ["dhcp", "network"]);
});
