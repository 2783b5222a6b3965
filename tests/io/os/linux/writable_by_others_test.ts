/** Who may change what a path leads to, by owners and modes of a made tree. */
import assert from "node:assert/strict";
import {
  type FileEntry,
  writableByOthers,
} from "../../../../src/io/os/linux/writable_by_others.ts";

type Place = Partial<FileEntry> & { readonly link?: string };

const FOLDER = 0o040755;
const FILE = 0o100755;
/** A program of root's in folders of root's. */
const CLOSED: Readonly<Record<string, Place>> = {
  "/": { mode: FOLDER },
  "/opt": { mode: FOLDER },
  "/opt/vpn": { mode: FOLDER },
  "/opt/vpn/sluice": { mode: FILE },
};

function asked(path: string, places: Readonly<Record<string, Place>>) {
  return writableByOthers(path, {
    entry: (path) =>
      path in places
        ? {
          uid: 0,
          gid: 0,
          mode: 0o120777,
          isSymlink: places[path].link !== undefined,
          ...places[path],
        }
        : undefined,
    readLink: (path) => places[path].link!,
  });
}

const PROGRAM = "/opt/vpn/sluice";

Deno.test("what is root's, up to the top, is nobody else's to change", () => {
  assert.equal(asked(PROGRAM, CLOSED), undefined);
});

Deno.test("a file or a folder above it that others may write to is named", () => {
  const open: readonly [string, Place][] = [
    ["/opt/vpn/sluice", { uid: 1000, mode: FILE }],
    ["/opt/vpn/sluice", { mode: FILE | 0o002 }],
    ["/opt/vpn/sluice", { mode: FILE | 0o020, gid: 100 }],
    ["/opt/vpn", { uid: 1000, mode: FOLDER }],
    ["/opt/vpn", { mode: FOLDER | 0o020, gid: 100 }],
    ["/opt", { mode: FOLDER | 0o002 }],
  ];
  for (const [path, place] of open) {
    assert.equal(asked(PROGRAM, { ...CLOSED, [path]: place }), path);
  }
});

Deno.test("the group root is root, and a sticky folder keeps what is root's", () => {
  const places = {
    ...CLOSED,
    "/opt": { mode: FOLDER | 0o020 },
    "/opt/vpn": { mode: FOLDER | 0o1022, gid: 100 },
  };
  assert.equal(asked(PROGRAM, places), undefined);
});

Deno.test("links are followed, each by its own owner", () => {
  const places: Readonly<Record<string, Place>> = {
    ...CLOSED,
    "/opt/current": { link: "vpn" },
    "/opt/vpn/link": { link: "/srv/sluice" },
    "/srv": { mode: FOLDER | 0o002 },
    "/opt/theirs": { link: "vpn", uid: 1000 },
    "/opt/round": { link: "round" },
  };
  assert.equal(asked("/opt/current/sluice", places), undefined);
  assert.equal(asked("/opt/current/link", places), "/srv");
  assert.equal(asked("/opt/theirs/sluice", places), "/opt/theirs");
  assert.equal(asked("/opt/round", places), undefined);
  assert.equal(asked("/opt/nothing", places), undefined);
});

Deno.test("the system's own files are looked at", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/sluice`, "");
    Deno.chmodSync(`${folder}/sluice`, 0o666);
    assert.notEqual(writableByOthers(`${folder}/sluice`), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
