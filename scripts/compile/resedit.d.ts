/**
 * What we use of resedit. Its own declarations bring those of a browser along,
 * which differ from Deno's.
 */

/** An entry of the resource section. */
export interface ResourceEntry {
  readonly type: string | number;
  readonly id: string | number;
  readonly bin: ArrayBuffer;
}

/** A Windows executable. */
export class NtExecutable {
  static from(
    bytes: ArrayBuffer,
    options?: { readonly ignoreCert?: boolean },
  ): NtExecutable;
  generate(): ArrayBuffer;
}

/** Its resource section. */
export class NtExecutableResource {
  static from(
    executable: NtExecutable,
    ignoreUnparsableData?: boolean,
  ): NtExecutableResource;
  entries: ResourceEntry[];
  outputResource(executable: NtExecutable): void;
}

interface Language {
  readonly lang: number;
  readonly codepage: number;
}

declare class VersionInfo {
  static createEmpty(): VersionInfo;
  static fromEntries(entries: readonly ResourceEntry[]): VersionInfo[];
  setFileVersion(version: string, language: number): void;
  setProductVersion(version: string, language: number): void;
  setStringValues(language: Language, values: Record<string, string>): void;
  getStringValues(language: Language): Record<string, string>;
  outputToResourceEntries(entries: ResourceEntry[]): void;
}

declare class IconGroupEntry {
  static fromEntries(entries: readonly ResourceEntry[]): IconGroupEntry[];
  static replaceIconsForResource(
    entries: ResourceEntry[],
    group: number,
    language: number,
    icons: readonly unknown[],
  ): void;
  readonly icons: readonly unknown[];
}

/** Kinds of resources. */
export const Resource: {
  readonly VersionInfo: typeof VersionInfo;
  readonly IconGroupEntry: typeof IconGroupEntry;
};

/** Files that become resources. */
export const Data: {
  readonly IconFile: {
    from(bytes: ArrayBuffer): {
      readonly icons: readonly { readonly data: unknown }[];
    };
  };
};
