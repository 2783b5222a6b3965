import assert from "node:assert/strict";
import {
  formatExplainAnswer,
  parseDestination,
} from "../../src/cli/client_explain.ts";
import { isAskedFor } from "../../src/cli/client_status.ts";
import { flowTable, formatClientStatus } from "../../src/cli/client_view.ts";
import type { FlowView } from "../../src/control/client_port.ts";
import { FakeClientPort, FLOW, STATUS } from "../support/fake_client_port.ts";

const PLAIN = { color: false };

Deno.test("the status of a client", () => {
  assert.equal(
    formatClientStatus(STATUS, PLAIN),
    `sluice 1.2.3, process 4711, up 1h2m3s, config /etc/sluice/client.yaml
capture sluice-tun; direct traffic leaves by eth0 (IPv4), nothing (IPv6); kill switch on
3 rules; 4 flows: 2 in tunnels, 1 direct, 1 dropped, 0 waiting
! the resolver 192.0.2.53 does not answer

TUNNEL  TYPE       STATE  FOR   ENDPOINT         HANDSHAKE  FLOWS  SENT      RECEIVED
work    wireguard  up     1m1s  192.0.2.7:51820  12 s ago   2      2.00 KiB  1.43 MiB
home    socks5     down   5s    192.0.2.8:1080   -          0      0 B       0 B
home: the proxy refused the connection

counted: network changes 1

packets dropped: dropped by a rule 7
`,
  );
});

Deno.test("a paused client, one without tunnels, one without a way out", () => {
  const { egress4: _egress, ...without } = STATUS;
  const text = formatClientStatus(
    {
      ...without,
      mode: "paused",
      tunnels: [],
      counters: {},
      drops: {},
      problems: [],
    },
    PLAIN,
  );
  assert.match(text, /leaves by nothing: no default route;/);
  assert.match(text, /^PAUSED: .*sluice resume/m);
  assert.match(text, /\n\nno tunnels: the config names none\n$/);
  const both = formatClientStatus(
    { ...STATUS, egress4: "eth0", egress6: "eth0" },
    PLAIN,
  );
  assert.match(both, /leaves by eth0;/);
});

Deno.test("colours are around whole lines, so that columns stay aligned", () => {
  const bare = formatClientStatus(STATUS, PLAIN).split("\n");
  const coloured = formatClientStatus(STATUS, { color: true }).split("\n");
  // deno-lint-ignore no-control-regex -- what colours are made of
  const stripped = coloured.map((line) => line.replaceAll(/\x1b\[\d+m/g, ""));
  assert.deepEqual(stripped.map((line) => line.trimEnd()), bare);
  assert.ok(coloured.some((line) => line.startsWith("\x1b[32mwork")));
  assert.ok(coloured.some((line) => line.startsWith("\x1b[31mhome")));
});

Deno.test("flows: the last moved first, the rest counted", () => {
  const { program: _program, name: _name, ...nobody } = FLOW;
  const flows: FlowView[] = [
    { ...FLOW, idleMs: 5000 },
    {
      ...nobody,
      tunnel: undefined,
      way: "drop",
      by: "unknownOwner",
      protocol: "udp",
      idleMs: 0,
    },
    { ...FLOW, way: "direct", by: "rule 2", reason: "its tunnel is down" },
  ];
  assert.equal(
    flowTable(flows, { ...PLAIN, rows: 2 }),
    `PROGRAM  PID  WAY     BY                           PROTOCOL  REMOTE                        SENT   RECEIVED  AGE
-        -    drop    unknownOwner                 udp       198.51.100.7:443              512 B  4.00 KiB  3s
curl     99   direct  rule 2 (its tunnel is down)  tcp       198.51.100.7:443 example.org  512 B  4.00 KiB  3s
and 1 more
`,
  );
  assert.equal(flowTable([], PLAIN).split("\n").length, 2);
});

Deno.test("flows of one program or tunnel", () => {
  assert.ok(isAskedFor(FLOW, {}));
  assert.ok(isAskedFor(FLOW, { process: "curl", tunnel: "work" }));
  assert.ok(!isAskedFor(FLOW, { process: "cur" }));
  assert.ok(!isAskedFor(FLOW, { tunnel: "home" }));
});

Deno.test("an explanation says what it is about", () => {
  const answer = new FakeClientPort().explain({
    program: { kind: "process", processId: 1 },
    protocol: "tcp",
    address: "192.0.2.1",
    port: 443,
  });
  assert.equal(
    formatExplainAnswer(answer),
    `program: curl (/usr/bin/curl), user anna
started by: /usr/bin/bash
destination: tcp 192.0.2.1:443
verdict: tunnel work, by rule 1
if tunnel work were down: drop, by rule 1: its tunnel is down
`,
  );
});

Deno.test("destinations as they are typed", () => {
  const cases: [string, ReturnType<typeof parseDestination>][] = [
    ["example.org", { host: "example.org", port: undefined }],
    ["example.org:80", { host: "example.org", port: 80 }],
    ["192.0.2.7", { host: "192.0.2.7", port: undefined }],
    ["192.0.2.7:53", { host: "192.0.2.7", port: 53 }],
    ["2001:db8::7", { host: "2001:db8::7", port: undefined }],
    ["[2001:db8::7]", { host: "2001:db8::7", port: undefined }],
    ["[2001:db8::7]:53", { host: "2001:db8::7", port: 53 }],
    ["", undefined],
    ["a b", undefined],
    ["example.org:", undefined],
    ["example.org:x", undefined],
    ["example.org:65536", undefined],
    ["[example.org]:80", undefined],
    ["http://example.org", undefined],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(parseDestination(text), expected, text);
  }
});
