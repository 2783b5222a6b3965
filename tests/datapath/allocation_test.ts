/**
 * The packet path allocates nothing per packet once it runs: seal, open, both
 * engines and every way out, over ports that allocate nothing themselves.
 */
import assert from "node:assert/strict";

const MEASURE = new URL("./allocation/measure.ts", import.meta.url);

/**
 * So large that nothing is collected while it is counted: what was allocated is
 * then the growth of the heap.
 */
const HEAP = "--min-semi-space-size=128,--max-semi-space-size=128";

/** Code is optimized in time, however busy the machine is. */
const COMPILER = "--no-concurrent-recompilation";

/**
 * Bytes per packet. A batch of 200 may cost the boxes of a few times, which are
 * 16 bytes each.
 */
const LIMIT = 1;
/**
 * libcrypto takes pointers only by views, which are kept for each place in the
 * arena where a packet has lain. Packets of all sizes lie everywhere.
 */
const LIMITS: Record<string, number> = { "auto: mixed to the host": 256 };

interface Measured {
  readonly name: string;
  readonly perPacket: number;
  readonly missing: number;
}

Deno.test("steady state allocates nothing per packet", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      `--v8-flags=--expose-gc,${HEAP},${COMPILER}`,
      MEASURE.href,
      "wasm",
      "auto",
    ],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  const [control, ...cases] = lines.map((line): Measured => JSON.parse(line));
  assert.equal(control.name, "control");
  assert.ok(control.perPacket >= 16, "what allocates is seen to");
  assert.equal(cases.length, 26);
  for (const { name, perPacket, missing } of cases) {
    assert.equal(missing, 0, `${name}: packets went elsewhere`);
    const limit = LIMITS[name] ?? LIMIT;
    assert.ok(perPacket < limit, `${name}: ${perPacket} bytes per packet`);
  }
});
