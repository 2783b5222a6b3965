import assert from "node:assert/strict";
import { FailedRows } from "../../../../src/io/os/shared/failed_rows.ts";

const told = ({ row, errno, count }: FailedRows) =>
  Array.from({ length: count }, (_, i) => [row[i], errno[i]]);

Deno.test("messages that failed are told as rows, once", () => {
  const failed = new FailedRows(4);
  failed.begin();
  failed.sends(0, 17);
  failed.sends(1, 3);
  failed.add(1, 90);
  failed.sends(0, 4);
  failed.add(0, 11);
  assert.equal(failed.tell(), 2);
  assert.deepEqual(told(failed), [[3, 90], [4, 11]]);
  assert.equal(failed.tell(), 0, "nothing came since");
});

Deno.test("what was told is forgotten with the next row, what was not stays", () => {
  const failed = new FailedRows(4);
  failed.begin();
  failed.sends(0, 1);
  failed.add(0, 5);
  failed.begin();
  assert.deepEqual(told(failed), [[1, 5]]);
  failed.tell();
  assert.deepEqual(told(failed), [[1, 5]]);
  failed.begin();
  assert.deepEqual(told(failed), []);
});

Deno.test("more rows than there is room for are left out", () => {
  const failed = new FailedRows(1);
  for (let i = 0; i < 10_000; i++) {
    failed.sends(0, i);
    failed.add(0, 1);
  }
  assert.equal(failed.tell(), 8192);
  assert.equal(failed.row[8191], 8191);
});
