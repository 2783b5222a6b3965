/** The layers hold, and the check would notice if they didn't. */
import assert from "node:assert/strict";
import { checkLayers } from "../scripts/layers.ts";
import { checkGlobals, codeOnly } from "../scripts/layers/globals.ts";
import { checkImports, type Import } from "../scripts/layers/rules.ts";

Deno.test("layers: the project keeps them", async () => {
  const violations = await checkLayers();
  assert.deepEqual(
    violations.map(({ file, message }) => `${file} ${message}`),
    [],
  );
});

Deno.test("layers: forbidden imports are named with file, import and rule", () => {
  const forbidden: Import[] = [
    { from: "ffi/libc.ts", to: "src/core/wire/bytes.ts", kind: "code" },
    { from: "src/core/wire/ipv4.ts", to: "src/core/flow/nat.ts", kind: "type" },
    {
      from: "src/core/flow/nat.ts",
      to: "src/core/wireguard/device.ts",
      kind: "type",
    },
    {
      from: "src/core/wireguard/device.ts",
      to: "src/core/engine/gateway.ts",
      kind: "code",
    },
    { from: "src/core/flow/nat.ts", to: "node:net", kind: "code" },
    {
      from: "src/datapath/open_pump.ts",
      to: "src/io/os/linux/tun.ts",
      kind: "code",
    },
    { from: "src/io/ports.ts", to: "src/control/peers.ts", kind: "type" },
    { from: "src/config/load.ts", to: "src/io/ports.ts", kind: "code" },
    { from: "src/config/load.ts", to: "src/control/peers.ts", kind: "type" },
    { from: "main.ts", to: "src/control/peers.ts", kind: "code" },
    { from: "src/cli/main.ts", to: "main.ts", kind: "code" },
    { from: "src/helpers/all.ts", to: "src/core/wire/ipv4.ts", kind: "code" },
    { from: "src/datapath/open_pump.ts", to: "zod", kind: "code" },
  ];
  for (const found of forbidden) {
    const [violation] = checkImports([found]);
    assert.ok(violation, `${found.from} -> ${found.to} was let pass`);
    assert.equal(violation.file, found.from);
  }
  assert.deepEqual(
    checkImports([forbidden[2]])[0].message,
    [
      "imports src/core/wireguard/device.ts:",
      "src/core/flow/ may import itself, src/core/wire/, src/core/columns/, package dns-packet",
    ].join(" "),
  );
});

Deno.test("layers: allowed imports pass", () => {
  const allowed: Import[] = [
    {
      from: "src/core/flow/nat.ts",
      to: "src/core/flow/ports.ts",
      kind: "code",
    },
    {
      from: "src/core/wire/ipv4.ts",
      to: "src/core/columns/drop_reason.ts",
      kind: "code",
    },
    {
      from: "src/core/engine/gateway.ts",
      to: "src/core/wireguard/peer_table.ts",
      kind: "code",
    },
    {
      from: "src/core/wireguard/noble.ts",
      to: "@noble/hashes/blake2.js",
      kind: "code",
    },
    { from: "src/config/load.ts", to: "src/io/ports.ts", kind: "type" },
    { from: "src/control/peers.ts", to: "src/config/keys.ts", kind: "code" },
    { from: "src/cli/server.ts", to: "src/io/os/linux/tun.ts", kind: "code" },
    { from: "main.ts", to: "src/cli/main.ts", kind: "code" },
  ];
  assert.deepEqual(checkImports(allowed), []);
});

Deno.test("layers: globals of the outside world are found in code alone", () => {
  const uses = (source: string) =>
    checkGlobals("src/core/x.ts", source).map(({ file, message }) =>
      `${file} ${message.split(":")[0]}`
    );
  assert.deepEqual(uses("const a = 1;\nconst now = Date.now();"), [
    "src/core/x.ts:2 uses Date",
  ]);
  assert.deepEqual(uses("x = Math.random() * crypto.subtle"), [
    "src/core/x.ts:1 uses Math.random",
    "src/core/x.ts:1 uses crypto.subtle",
  ]);
  assert.deepEqual(uses("f(`at ${performance.now()} ${`${console}`}`)"), [
    "src/core/x.ts:1 uses performance",
    "src/core/x.ts:1 uses console",
  ]);
  assert.deepEqual(uses("a = b / 2; setTimeout(f, 1); c = d / 3"), [
    "src/core/x.ts:1 uses setTimeout",
  ]);
  assert.deepEqual(uses("const g = globalThis; new Worker(u); Deno.exit()"), [
    "src/core/x.ts:1 uses globalThis",
    "src/core/x.ts:1 uses Worker",
    "src/core/x.ts:1 uses Deno",
  ]);
  const innocent = [
    "// Date and Deno in a comment",
    "/* crypto\n console */",
    '"Deno.exit()" + \'it is \\\' Date\' + `Worker \\` ${"crypto"} fetch`',
    "const isDate = /Date\\/Deno[/]console/.test(x);",
    "this.crypto.seal(1); options.performance; const UpDate = 1;",
    "interface Primitives { crypto: number; fetch?: number }",
  ];
  for (const source of innocent) assert.deepEqual(uses(source), [], source);
});

Deno.test("layers: blanking keeps length and lines", () => {
  const source = 'a = "x\\"y"; // c\nb = `t ${f({ k: `u` })} v`;\n/* d\ne */ c';
  const code = codeOnly(source);
  assert.equal(code.length, source.length);
  assert.deepEqual(
    [...code.matchAll(/\n/g)].map((m) => m.index),
    [...source.matchAll(/\n/g)].map((m) => m.index),
  );
  assert.match(code, /f\(\{ k: {5}\}\)/);
});
