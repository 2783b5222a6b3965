/** No descriptor left for flows: what stands goes on, what comes is refused and counted, later ones work. */
import assert from "node:assert/strict";
import { descriptorReserve } from "../../../src/io/os/linux/descriptor_room.ts";
import { denoRun } from "../../support/agent.ts";

const PROGRAM = new URL("./full_program.ts", import.meta.url).pathname;
const LIMIT = 512;

Deno.test({
  name:
    "all descriptors of flows taken: connections live on, others are refused, later ones work",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { stdout, stderr, success } = await new Deno.Command("sh", {
      args: [
        "-c",
        `ulimit -n ${LIMIT} && exec "$@"`,
        "sh",
        ...denoRun(PROGRAM),
      ],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const found = JSON.parse(new TextDecoder().decode(stdout));
    const ceiling = LIMIT - descriptorReserve(LIMIT);
    assert.ok(found.openAtMost <= ceiling + 4, `${found.openAtMost} are open`);
    assert.ok(found.openAtMost >= ceiling - 4, `${found.openAtMost} are open`);
    assert.equal(found.living, found.refusedAt, "all of them carry");
    assert.ok(found.refusedAt > 50);
    assert.deepEqual(found.failures, { "no-descriptor": 1 });
    assert.equal(found.lines.length, 1);
    assert.match(found.lines[0], /descriptors/);
    assert.ok(found.mappingRefused);
    assert.ok(found.laterCarries);
    assert.ok(found.mappingLater);
  },
});

Deno.test("the reserve: a share of the limit, neither tiny nor large", () => {
  assert.equal(descriptorReserve(256), 64);
  assert.equal(descriptorReserve(1024), 128);
  assert.equal(descriptorReserve(20_000), 256);
  assert.equal(descriptorReserve(Infinity), 256);
});
