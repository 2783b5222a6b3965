import assert from "node:assert/strict";
import fc from "fast-check";
import { CandidateSet } from "../../../../src/core/route/rules/candidate_set.ts";

Deno.test("walked in order, each once, whatever was added", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 200 }).chain((size) =>
      fc.tuple(
        fc.constant(size),
        fc.array(fc.integer({ min: 0, max: size - 1 })),
      )
    ),
    ([size, numbers]) => {
      const set = new CandidateSet(size);
      for (const number of numbers) set.add(number);
      const walked: number[] = [];
      for (let i = set.next(0); i >= 0; i = set.next(i + 1)) walked.push(i);
      const wanted = [...new Set(numbers)].sort((a, b) => a - b);
      assert.deepEqual(walked, wanted);
      set.clear();
      assert.equal(set.next(0), -1);
    },
  ));
});

Deno.test("an empty set of no numbers", () => {
  assert.equal(new CandidateSet(0).next(0), -1);
});
