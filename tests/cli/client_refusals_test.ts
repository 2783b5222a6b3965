import assert from "node:assert/strict";
import { refusalProblems, refusals } from "../../src/cli/client_refusals.ts";
import { Counters } from "../../src/core/columns/counters.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";

function counted(...reasons: number[]) {
  const counters = new Counters(new ArrayBuffer(Counters.byteLength));
  for (const reason of reasons) counters.drop(reason);
  return counters.snapshot();
}

Deno.test("refused flows are those that found no room, whoever refused them", () => {
  const counters = counted(
    DropReason.NoDescriptor,
    DropReason.HeldFull,
    DropReason.HeldFull,
    DropReason.RuleDrop,
  );
  const relay = { "no-descriptor": 2, "Limited": 0, "Open": 7 };
  const found = refusals({ counters, relay });
  assert.deepEqual(found, { "no descriptor left": 3, "too many undecided": 2 });
  const [problem, ...others] = refusalProblems(found);
  assert.match(problem, /refused 3 times.*capture\.maxFlows/);
  assert.deepEqual(others, []);
});

Deno.test("nothing refused: nothing to say", () => {
  const found = refusals({ counters: counted(), relay: {} });
  assert.deepEqual([found, refusalProblems(found)], [{}, []]);
});
