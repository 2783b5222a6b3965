/** What `sluice tun2socks` can't do it says in one message, with nothing left behind. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import type { Namespace } from "../support/lab.ts";
import { runSluice } from "../support/sluice.ts";
import { prepareUnprivileged } from "../support/unprivileged.ts";

/** Exit codes: it failed; the input can't be used. */
const FAILURE = 1, USAGE = 2;
const PROXY = ["-x", `${OUTSIDE.second}:1080`] as const;

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly message: RegExp;
  /** Makes the trouble. */
  readonly prepare?: (host: Namespace) => Promise<unknown>;
}

const CASES: readonly Case[] = [
  {
    name: "a proxy's port out of range",
    args: ["-x", "socks5://127.0.0.1:65536"],
    code: USAGE,
    message: /--proxy: port 65536 is out of range: write one from 1 to 65535/,
  },
  {
    name: "an unknown scheme",
    args: ["-x", "ftp://127.0.0.1:21"],
    code: USAGE,
    message: /--proxy: unknown proxy scheme "ftp"/,
  },
  {
    name: "a proxy's name that nobody has",
    args: ["-x", "socks5://nowhere.invalid:1080"],
    code: FAILURE,
    message: /--proxy: cannot resolve nowhere\.invalid/,
  },
  {
    name: "MTU out of range",
    args: ["-m", "70000"],
    code: USAGE,
    message: /--tun-mtu: "70000" is no MTU\n.*576 to 65535/,
  },
  {
    name: "an address that is none",
    args: ["-i", "10.0.0.256"],
    code: USAGE,
    message: /--tun-ip: "10\.0\.0\.256" is no IPv4 address/,
  },
  {
    name: "a route that is none",
    args: ["--route", "10.0.0.0/40"],
    code: USAGE,
    message: /--route: "10\.0\.0\.0\/40" is no prefix/,
  },
  {
    name: "a word too many",
    args: ["up"],
    code: USAGE,
    message: /too many arguments/,
  },
  {
    name: "an unknown way for ping",
    args: ["--icmp", "drop"],
    code: USAGE,
    message: /Allowed choices are local, forward/,
  },
  {
    name: "the interface is taken",
    args: PROXY,
    code: FAILURE,
    message: /there is an interface sluice-tun already\n.*--name/,
    prepare: (host) => host.ip("link add sluice-tun type veth peer name other"),
  },
  {
    name: "a name that no interface can have",
    args: [...PROXY, "-n", "far-too-long-a-name"],
    code: FAILURE,
    message: /far-too-long-a-name: a name has 1 to 15 bytes/,
  },
  {
    name: "an egress that is not there",
    args: ["-x", "direct://", "--egress", "eth7"],
    code: USAGE,
    message: /there is no interface eth7\n.*--egress/,
  },
  {
    name: "no way to the proxy but through the interface",
    args: [...PROXY, "--default-route"],
    code: FAILURE,
    message: /there is no route to the proxy 198\.51\.100\.11 now/,
    prepare: (host) => host.ip("route del default"),
  },
  {
    name: "a route that is there already",
    args: [...PROXY, "--route", "203.0.113.0/24"],
    code: FAILURE,
    message: /route 203\.0\.113\.0\/24: there is one already through out/,
    prepare: (host) => host.ip("route add 203.0.113.0/24 dev out"),
  },
];

for (const { name, args, code, message, prepare } of CASES) {
  await e2eTest({
    name: `tun2socks bad input: ${name}`,
    needs: ["tun"],
    run: async (lab) => {
      const { gateway: host } = await makeGatewayNet(lab, 0);
      await prepare?.(host);
      const before = await hostState(host);
      const result = await runSluice(host, ["tun2socks", ...args], {
        timeoutMs: 15_000,
      });
      assert.equal(result.code, code, result.stderr);
      assert.equal(result.stdout, "");
      assert.match(result.stderr, message);
      assert.equal(result.stderr.match(/error: /g)?.length, 1, result.stderr);
      assert.doesNotMatch(result.stderr, /\n\s+at .*\.ts:/, "no stack trace");
      assert.deepEqual(await hostState(host), before);
    },
  });
}

await e2eTest({
  name: "tun2socks bad input: no root",
  needs: ["tun", "root"],
  run: async (lab) => {
    const namespace = await lab.namespace("host");
    const user = await prepareUnprivileged(namespace);
    const { code, stderr } = await runSluice(namespace, ["tun2socks"], {
      user,
      timeoutMs: 8000,
    });
    assert.equal(code, FAILURE, stderr);
    assert.match(stderr, /CAP_NET_ADMIN/);
    assert.match(stderr, /as root/);
    assert.doesNotMatch(stderr, /tun: none/);
  },
});
