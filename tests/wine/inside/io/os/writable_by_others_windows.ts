/** Who may change a file, by the access lists that Wine keeps. */
import assert from "node:assert/strict";
import { openAdvapi32 } from "../../../../../ffi/windows/advapi32.ts";
import { openKernel32 } from "../../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../../ffi/windows/wide_text.ts";
import { closeWindowsFile } from "../../../../../src/io/os/windows/security.ts";
import { writableByOthers } from "../../../../../src/io/os/windows/writable_by_others.ts";

const DACL = 4;
const FOLDER = "C:\\ProgramData\\sluice-test";
const FILE = `${FOLDER}\\server.yaml`;

/** Gives a file the access list that is written so. */
function protect(path: string, text: string): void {
  using advapi32 = openAdvapi32();
  using kernel32 = openKernel32();
  const out = new BigUint64Array(1);
  const { call } = advapi32;
  const made = call.ConvertStringSecurityDescriptorToSecurityDescriptorW(
    wideText(text),
    1,
    out,
    null,
  );
  assert.notEqual(made, 0);
  const descriptor = Deno.UnsafePointer.create(out[0]);
  assert.notEqual(call.SetFileSecurityW(wideText(path), DACL, descriptor), 0);
  kernel32.call.LocalFree(descriptor);
}

Deno.test("a file that others may write to is named, or the folder that it lies in", () => {
  Deno.mkdirSync(FOLDER);
  try {
    Deno.writeTextFileSync(FILE, "");
    closeWindowsFile(FILE);
    protect(FOLDER, "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)");
    assert.equal(writableByOthers(FILE), undefined);
    protect(FOLDER, "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;WD)");
    assert.equal(writableByOthers(FILE), FOLDER);
    protect(FILE, "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;WD)");
    assert.equal(writableByOthers(FILE), FILE);
  } finally {
    Deno.removeSync(FOLDER, { recursive: true });
  }
});
