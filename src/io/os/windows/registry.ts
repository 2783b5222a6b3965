/** Keys of HKEY_LOCAL_MACHINE. Source: winreg.h, winnt.h. */
import {
  type Advapi32,
  openAdvapi32,
} from "../../../../ffi/windows/advapi32.ts";
import { readWideText, wideText } from "../../../../ffi/windows/wide_text.ts";
import { checkWin32, Win32 } from "../../../../ffi/windows/win32_error.ts";
import { writeU32le } from "../../../core/wire/bytes.ts";

/** (HKEY)(LONG)0x80000002. */
const LOCAL_MACHINE = -0x7fff_fffen;
const KEY_READ = 0x2_0019;
const KEY_WRITE = 0x2_0006;
const VALUE_BYTES = 4096;

/** What a value holds. */
export type RegistryValue =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "texts"; readonly texts: readonly string[] }
  | { readonly kind: "number"; readonly number: number };

const TYPES = { text: 1, number: 4, texts: 7 } as const;

/** The registry, for the thread that opened it. */
export class Registry implements Disposable {
  readonly #library: Advapi32;

  /** @throws {MissingLibraryError} */
  constructor() {
    this.#library = openAdvapi32();
  }

  /** Whether a key is there. */
  has(key: string): boolean {
    const handle = this.#open(key, KEY_READ);
    if (handle === undefined) return false;
    this.#library.call.RegCloseKey(handle);
    return true;
  }

  /** Makes a key where there is none, and sets values of it. */
  set(key: string, values: Readonly<Record<string, RegistryValue>>): void {
    const { call } = this.#library;
    const out = new BigInt64Array(1);
    const code = call.RegCreateKeyExW(
      LOCAL_MACHINE,
      wideText(key),
      0,
      null,
      0,
      KEY_WRITE,
      null,
      out,
      null,
    );
    checkWin32(`RegCreateKeyExW ${key}`, code);
    try {
      for (const [name, value] of Object.entries(values)) {
        const bytes = bytesOf(value);
        const type = TYPES[value.kind];
        checkWin32(
          `RegSetValueExW ${key} ${name}`,
          call.RegSetValueExW(
            out[0],
            wideText(name),
            0,
            type,
            bytes,
            bytes.length,
          ),
        );
      }
    } finally {
      call.RegCloseKey(out[0]);
    }
  }

  /** A text; undefined where there is none. */
  text(key: string, name: string): string | undefined {
    const handle = this.#open(key, KEY_READ);
    if (handle === undefined) return undefined;
    try {
      const type = new Uint32Array(1);
      const bytes = new Uint8Array(VALUE_BYTES);
      const length = new Uint32Array([bytes.length]);
      const code = this.#library.call.RegQueryValueExW(
        handle,
        wideText(name),
        null,
        type,
        bytes,
        length,
      );
      const isText = type[0] === TYPES.text || type[0] === TYPES.texts;
      return code === Win32.Success && isText
        ? readWideText(bytes, 0, length[0])
        : undefined;
    } finally {
      this.#library.call.RegCloseKey(handle);
    }
  }

  /** Removes a key with all below it. @returns whether it was there. */
  remove(key: string): boolean {
    const { call } = this.#library;
    const code = call.RegDeleteTreeW(LOCAL_MACHINE, wideText(key));
    if (code === Win32.FileNotFound) return false;
    checkWin32(`RegDeleteTreeW ${key}`, code);
    return true;
  }

  [Symbol.dispose](): void {
    this.#library[Symbol.dispose]();
  }

  #open(key: string, access: number): bigint | undefined {
    const out = new BigInt64Array(1);
    const code = this.#library.call.RegOpenKeyExW(
      LOCAL_MACHINE,
      wideText(key),
      0,
      access,
      out,
    );
    if (code === Win32.FileNotFound) return undefined;
    checkWin32(`RegOpenKeyExW ${key}`, code);
    return out[0];
  }
}

function bytesOf(value: RegistryValue): Uint8Array<ArrayBuffer> {
  switch (value.kind) {
    case "text":
      return wideText(value.text);
    case "texts":
      // Each ends with a zero, and the list with one more.
      return wideText(value.texts.map((text) => `${text}\0`).join(""));
    case "number": {
      const bytes = new Uint8Array(4);
      writeU32le(bytes, 0, value.number);
      return bytes;
    }
  }
}
