/** Icon and version of a Windows executable, put beside the resources it has. */
// @ts-types="./resedit.d.ts"
import { Data, NtExecutable, NtExecutableResource, Resource } from "resedit";
import { drawIcon } from "./icon.ts";

/** English (US), Unicode. */
const LANGUAGE = { lang: 1033, codepage: 1200 } as const;
const ICON_GROUP = 1;
/** RT_VERSION and RT_RCDATA. */
const VERSION = 16, RCDATA = 10;
/** What the compiler's payload is called. */
const PAYLOAD = "D3N0L4ND";

/** What the properties of the file show. */
export interface VersionInfo {
  /** MAJOR.MINOR.PATCH. */
  readonly version: string;
  readonly file: string;
}

/**
 * Puts icon and version in. @returns the new executable.
 * @throws {Error} where the bytes are no 64-bit Windows executable.
 */
export function withResources(
  executable: Uint8Array<ArrayBuffer>,
  { version, file }: VersionInfo,
): Uint8Array<ArrayBuffer> {
  const program = NtExecutable.from(executable.buffer, { ignoreCert: true });
  const resources = NtExecutableResource.from(program);
  const icon = Data.IconFile.from(drawIcon().slice().buffer);
  Resource.IconGroupEntry.replaceIconsForResource(
    resources.entries,
    ICON_GROUP,
    LANGUAGE.lang,
    icon.icons.map((item) => item.data),
  );
  const info = Resource.VersionInfo.createEmpty();
  info.setFileVersion(`${version}.0`, LANGUAGE.lang);
  info.setProductVersion(`${version}.0`, LANGUAGE.lang);
  info.setStringValues(LANGUAGE, {
    ProductName: "sluice",
    FileDescription: "sluice: VPN gateway and per-process split tunnel",
    FileVersion: version,
    ProductVersion: version,
    OriginalFilename: file,
    InternalName: "sluice",
    LegalCopyright: "MIT licence",
  });
  // What the base says of itself is not ours.
  resources.entries = resources.entries.filter(({ type }) => type !== VERSION);
  info.outputToResourceEntries(resources.entries);
  resources.outputResource(program);
  return new Uint8Array(program.generate());
}

/** What an executable has of these. */
export interface WindowsResources {
  readonly version: string | undefined;
  readonly icons: number;
  /** Bytes that the compiler put in. */
  readonly payloadLength: number;
}

/** Reads them back. @throws {Error} as {@linkcode withResources}. */
export function readResources(
  executable: Uint8Array<ArrayBuffer>,
): WindowsResources {
  const program = NtExecutable.from(executable.buffer, { ignoreCert: true });
  const { entries } = NtExecutableResource.from(program, true);
  const [info] = Resource.VersionInfo.fromEntries(entries);
  const [group] = Resource.IconGroupEntry.fromEntries(entries);
  const payload = entries.find(({ type, id }) =>
    type === RCDATA && id === PAYLOAD
  );
  return {
    version: info?.getStringValues(LANGUAGE).ProductVersion,
    icons: group?.icons.length ?? 0,
    payloadLength: payload?.bin.byteLength ?? 0,
  };
}
