/** The numbers of an interface that is known by its name. Source: netioapi.h. */
import { openIphlpapi } from "../../../../ffi/windows/iphlpapi.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";

const LUID_SIZE = 8;

/**
 * @param name as people see it: `Ethernet`, `Wi-Fi 2`
 * @returns undefined where no interface has this name.
 * @throws {MissingLibraryError}
 */
export function interfaceIndexOf(name: string): number | undefined {
  using library = openIphlpapi();
  const { call } = library;
  const luid = new Uint8Array(LUID_SIZE);
  const index = new Uint32Array(1);
  const bytes = new Uint8Array(index.buffer);
  return call.ConvertInterfaceAliasToLuid(wideText(name), luid) === 0 &&
      call.ConvertInterfaceLuidToIndex(luid, bytes) === 0
    ? index[0]
    : undefined;
}

/**
 * Its number that stays the same for good (NET_LUID).
 * @returns undefined where no interface has this name.
 * @throws {MissingLibraryError}
 */
export function interfaceLuidOf(name: string): bigint | undefined {
  using library = openIphlpapi();
  const luid = new BigUint64Array(1);
  const bytes = new Uint8Array(luid.buffer);
  const code = library.call.ConvertInterfaceAliasToLuid(wideText(name), bytes);
  return code === 0 ? luid[0] : undefined;
}
