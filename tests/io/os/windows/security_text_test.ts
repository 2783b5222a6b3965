/** Descriptors as Windows has them, and who may change what they protect. */
import assert from "node:assert/strict";
import {
  isOpenToOthers,
  type SecuredPlace,
} from "../../../../src/io/os/windows/security_text.ts";

const USER = "S-1-5-21-1004336348-1177238915-682003330-1001";
const INSTALLER =
  "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";

function openOf(text: string): SecuredPlace[] {
  const places = ["file", "folder", "above"] as const;
  return places.filter((place) => isOpenToOthers(text, place));
}

Deno.test("Program Files and what lies there is the administrators'", () => {
  const folder =
    `O:${INSTALLER}G:${INSTALLER}D:PAI(A;;FA;;;${INSTALLER})(A;CIIO;GA;;;${INSTALLER})` +
    "(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)" +
    "(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;OICIIO;GA;;;CO)(A;;0x1200a9;;;AC)";
  assert.deepEqual(openOf(folder), []);
  const file =
    "O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)(A;ID;FX;;;AC)";
  assert.deepEqual(openOf(file), []);
});

Deno.test("at the top of a drive others make folders, which changes nothing below", () => {
  const text = `O:${INSTALLER}G:SYD:PAI(A;OICIIO;SDGXGWGR;;;AU)(A;;LC;;;AU)` +
    "(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
  assert.deepEqual(openOf(text), ["file"]);
});

Deno.test("a folder that others make files in is open for what lies in it alone", () => {
  const text = "O:SYG:SYD:(A;OICI;FA;;;SY)(A;;0x1200ab;;;BU)";
  assert.deepEqual(openOf(text), ["file", "folder"]);
});

Deno.test("a user's own, and what a user may do with it", () => {
  const all = ["file", "folder", "above"];
  assert.deepEqual(openOf(`O:${USER}G:BUD:(A;;FA;;;SY)`), all);
  assert.deepEqual(openOf(`O:BAG:BUD:(A;;FA;;;${USER})`), all);
  assert.deepEqual(openOf("O:BAG:BUD:AI(A;ID;0x1301bf;;;AU)"), all);
  assert.deepEqual(openOf("O:BAG:BUD:(A;;CCWDRC;;;WD)"), all);
  assert.deepEqual(openOf("O:BAD:(A;;DT;;;BU)"), ["folder", "above"]);
  assert.deepEqual(openOf("O:BAD:(A;;FW;;;BU)"), ["file", "folder"]);
  assert.deepEqual(openOf(`O:BAD:(D;;FA;;;BU)(A;;FR;;;${USER})`), []);
});

Deno.test("without a list everybody may everything; an empty one lets nobody", () => {
  const all = ["file", "folder", "above"];
  assert.deepEqual(openOf("O:BAG:SY"), all);
  assert.deepEqual(openOf("O:BAD:NO_ACCESS_CONTROL"), all);
  assert.deepEqual(openOf(""), all);
  assert.deepEqual(openOf("O:BAD:P"), []);
});

Deno.test("whom the caller trusts counts as an administrator", () => {
  const text = `O:${USER}D:(A;;FA;;;${USER})`;
  assert.equal(isOpenToOthers(text, "file", [USER]), false);
});
