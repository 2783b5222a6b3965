/** Who started whom, by events and by sight, against a slow obvious twin. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ProcessTree } from "../../../src/io/os/process_tree.ts";

function sighting(processId: number, startTime: number, parentId: number) {
  const path = `/bin/p${processId}.${startTime}`;
  return { processId, startTime, parentId, path, name: `p${processId}` };
}

function line(tree: ProcessTree, processId: number): string[] {
  return tree.ancestors(processId)
    .map(({ processId, path, ended }) =>
      `${processId} ${path}${ended ? " †" : ""}`
    );
}

Deno.test("ancestors stay known after their ends, while a descendant lives", () => {
  const tree = new ProcessTree();
  tree.observe(sighting(1, 0, 0));
  tree.observe(sighting(10, 5, 1));
  tree.start(11, 10);
  tree.change(11, "/bin/launcher", "launcher");
  tree.start(12, 11);
  tree.end(11);
  assert.deepEqual(line(tree, 12), [
    "11 /bin/launcher †",
    "10 /bin/p10.5",
    "1 /bin/p1.0",
  ]);
  // Seen with the parent that it was given after that: the line stays.
  tree.observe(sighting(12, 9, 1));
  assert.equal(line(tree, 12)[0], "11 /bin/launcher †");
  assert.equal(tree.size, 4);
  tree.end(12);
  assert.equal(tree.size, 2);
});

Deno.test("a child that runs no program of its own has its parent's", () => {
  const tree = new ProcessTree();
  tree.observe(sighting(10, 5, 1));
  tree.start(11, 10);
  tree.start(12, 11);
  assert.deepEqual(line(tree, 12), ["11 /bin/p10.5", "10 /bin/p10.5"]);
});

Deno.test("an id that is used again is another process", () => {
  const tree = new ProcessTree();
  tree.observe(sighting(10, 5, 1));
  tree.observe(sighting(11, 6, 10));
  tree.observe(sighting(10, 7, 1));
  assert.ok(tree.has(10, 7) && !tree.has(10, 5));
  assert.deepEqual(line(tree, 11), ["10 /bin/p10.5 †"]);
  // By an event, without a word of the old one's end.
  tree.start(10, 11);
  assert.deepEqual(line(tree, 10), ["11 /bin/p11.6", "10 /bin/p10.5 †"]);
});

Deno.test("a parent that started later is not the parent", () => {
  const tree = new ProcessTree();
  tree.observe(sighting(10, 50, 1));
  tree.observe(sighting(11, 6, 10));
  assert.deepEqual(line(tree, 11), []);
});

Deno.test("the memory of the ended is bounded, and so is a line", () => {
  const tree = new ProcessTree();
  tree.observe(sighting(1, 0, 0));
  // A chain in which each starts the next one and ends.
  for (let i = 1; i < 40_000; i++) {
    tree.start(i + 1, i);
    tree.end(i);
  }
  assert.ok(tree.size <= 16_384 + 2, `${tree.size}`);
  assert.equal(line(tree, 40_000).length, 64);
  tree.end(40_000);
  assert.equal(tree.size, 0);
});

interface TwinNode {
  readonly id: number;
  readonly parent: TwinNode | undefined;
}

/** A twin that forgets nothing. */
class Twin {
  readonly living = new Map<number, TwinNode>();

  start(id: number, parentId: number): void {
    this.living.set(id, { id, parent: this.living.get(parentId) });
  }

  end(id: number): void {
    this.living.delete(id);
  }

  line(id: number): number[] {
    const ids: number[] = [];
    let node = this.living.get(id)?.parent;
    for (; node !== undefined; node = node.parent) ids.push(node.id);
    return ids.slice(0, 64);
  }
}

Deno.test("random starts and ends: the lines of a twin that forgets nothing", () => {
  const step = fc.tuple(
    fc.constantFrom("start", "end"),
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 1, max: 30 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const tree = new ProcessTree();
      const twin = new Twin();
      for (const [what, id, parent] of steps) {
        if (what === "end") {
          tree.end(id);
          twin.end(id);
        } else if (id !== parent) {
          tree.start(id, parent);
          twin.start(id, parent);
        }
      }
      for (const id of twin.living.keys()) {
        const ids = tree.ancestors(id).map(({ processId }) => processId);
        assert.deepEqual(ids, twin.line(id));
      }
      for (const id of [...twin.living.keys()]) tree.end(id);
      assert.equal(tree.size, 0);
    }),
    { numRuns: 500 },
  );
});
