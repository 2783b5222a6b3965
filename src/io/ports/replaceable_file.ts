/** A file of the system that is replaced as a whole, and put back as it was. */

/** What stands at a path itself, links not followed. */
export type FileContent =
  | { readonly kind: "missing" }
  | {
    readonly kind: "file";
    readonly bytes: Uint8Array;
    /** Permission bits. */
    readonly mode: number;
    /** Undefined leaves it to the system, or comes from one without such numbers. */
    readonly userId?: number;
    readonly groupId?: number;
  }
  /** A symbolic link with its target as it is written. */
  | { readonly kind: "link"; readonly target: string }
  /** A directory, a device and the like. */
  | { readonly kind: "other" };

/** One path. Each call may throw what the system says. */
export interface ReplaceableFile {
  readonly path: string;
  /** What stands there now. */
  look(): FileContent;
  /** The bytes at the end of all links; undefined where there are none. */
  read(): Uint8Array | undefined;
  /**
   * Puts something there, on disk when this returns. Whoever reads meanwhile
   * finds the old or the new, whole; where the path can't be replaced (it is a
   * mount of its own, as in containers) the file is written over in place.
   */
  put(content: Exclude<FileContent, { readonly kind: "other" }>): void;
  /**
   * Calls after whatever happened to what stands there, soon and not once for
   * each step of it. Ends when disposed of.
   */
  watch(onChange: () => void): Disposable;
}
