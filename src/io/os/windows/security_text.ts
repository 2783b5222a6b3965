/**
 * Security descriptors as text: owner, and who may do what.
 *
 *     O:BA G:SY D:PAI(A;OICI;FA;;;SY)(A;;0x1200a9;;;BU)
 *
 * Source: "Security Descriptor String Format" and "ACE Strings", Microsoft Win32
 * documentation; winnt.h.
 */

/** What the descriptor is of: a file, the folder that it lies in, or one further up. */
export type SecuredPlace = "file" | "folder" | "above";

/** The system, administrators, who installs Windows, and owners, who are looked at themselves. */
const TRUSTED: ReadonlySet<string> = new Set([
  "SY",
  "S-1-5-18",
  "BA",
  "S-1-5-32-544",
  "LA",
  "DA",
  "EA",
  "CO",
  "S-1-3-0",
  "OW",
  "S-1-3-4",
  "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
]);

const RIGHTS: Readonly<Record<string, number>> = {
  CC: 0x1,
  DC: 0x2,
  LC: 0x4,
  SW: 0x8,
  RP: 0x10,
  WP: 0x20,
  DT: 0x40,
  LO: 0x80,
  CR: 0x100,
  SD: 0x1_0000,
  RC: 0x2_0000,
  WD: 0x4_0000,
  WO: 0x8_0000,
  GA: 0x1000_0000,
  GX: 0x2000_0000,
  GW: 0x4000_0000,
  GR: 0x8000_0000,
  FA: 0x1f_01ff,
  FR: 0x12_0089,
  FW: 0x12_0116,
  FX: 0x12_00a0,
};
/** Taking it away, its rights or it itself; all. */
const TAKES = RIGHTS.SD | RIGHTS.WD | RIGHTS.WO | RIGHTS.GA;
const DELETE_CHILD = RIGHTS.DT;
/** FILE_WRITE_DATA or FILE_ADD_FILE. */
const WRITE = RIGHTS.DC | RIGHTS.GW;
const APPEND = RIGHTS.LC;
const CHANGES: Readonly<Record<SecuredPlace, number>> = {
  file: TAKES | WRITE | APPEND,
  folder: TAKES | WRITE | DELETE_CHILD,
  above: TAKES | DELETE_CHILD,
};

/**
 * Whether others than administrators may change what is protected so.
 * @param trusted SIDs that count as administrators'.
 */
export function isOpenToOthers(
  text: string,
  place: SecuredPlace,
  trusted: readonly string[] = [],
): boolean {
  const isTrusted = (sid: string) => TRUSTED.has(sid) || trusted.includes(sid);
  const owner = /^O:(S-[\d-]+|[A-Z]{2})/.exec(text)?.[1];
  if (owner === undefined || !isTrusted(owner)) return true;
  const list = /D:([A-Z_]*)((?:\([^)]*\))*)/.exec(text.slice(owner.length + 2));
  if (list === null || list[1].includes("NO_ACCESS_CONTROL")) return true;
  return [...list[2].matchAll(/\(([^)]*)\)/g)].some(([, entry]) => {
    const [type, flags, rights, , , sid] = entry.split(";");
    // What is inherited only says nothing of the place itself.
    if (!/^X?A$/.test(type) || /^(..)*IO/.test(flags)) return false;
    return (rightsOf(rights) & CHANGES[place]) !== 0 && !isTrusted(sid);
  });
}

function rightsOf(text: string): number {
  if (/^(0x|\d)/i.test(text)) return Number(text) | 0;
  return (text.match(/../g) ?? []).reduce(
    (rights, name) => rights | (RIGHTS[name] ?? 0),
    0,
  );
}
