/** What the kernels give to TypeScript. */
export { chacha20, open, poly1305, seal } from "./aead";
export { checksumSum } from "./checksum";
export { coalesce } from "./coalesce";
export { copyText, sameTag, takeOneTimeKey } from "./detached";
export { segment } from "./segment";

/** The first byte of memory that the kernels don't use. */
export function firstFree(): usize {
  return __heap_base;
}
