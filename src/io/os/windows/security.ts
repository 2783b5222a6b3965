/**
 * Who this process is to the system, and folders that are closed to others.
 * Source: winnt.h, securitybaseapi.h, sddl.h, aclapi.h.
 */
import {
  type Advapi32,
  openAdvapi32,
} from "../../../../ffi/windows/advapi32.ts";
import {
  type Kernel32,
  openKernel32,
} from "../../../../ffi/windows/kernel32.ts";
import {
  securityAttributes,
  tokenUser,
} from "../../../../ffi/windows/layouts/advapi32.ts";
import { wideText, wideTextAt } from "../../../../ffi/windows/wide_text.ts";
import { checkWin32 } from "../../../../ffi/windows/win32_error.ts";
import { runsUnderWine } from "../../../../ffi/windows/wine.ts";
import { writeU32le } from "../../../core/wire/bytes.ts";
import { isOpenToOthers, type SecuredPlace } from "./security_text.ts";

const THIS_PROCESS = -1n;
const TOKEN_QUERY = 8;
const TOKEN_USER_CLASS = 1;
/** WinBuiltinAdministratorsSid. */
const ADMINISTRATORS_SID = 26;
/** A SID has at most 68 bytes. */
const SID_BYTES = 68;
const TOKEN_BYTES = 128;
const SE_FILE_OBJECT = 1;
const OWNER_INFORMATION = 1;
const DACL_INFORMATION = 4;
const PROTECTED_DACL_INFORMATION = 0x8000_0004;
const SDDL_REVISION = 1;
const ALREADY_EXISTS = 183;

const SYSTEM = "S-1-5-18";
const ADMINISTRATORS = "S-1-5-32-544";
/** Administrators', and nobody but the system and them, here and below; nothing inherited. */
const CLOSED = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/** The same of what has nothing below it. */
const CLOSED_OBJECT = "D:P(A;;FA;;;SY)(A;;FA;;;BA)";

/** The security side of Windows, for the thread that opened it. */
export class Security implements Disposable {
  readonly #advapi32: Advapi32;
  readonly #kernel32: Kernel32;
  readonly #resources: DisposableStack;

  /** @throws {MissingLibraryError} */
  constructor() {
    using guard = new DisposableStack();
    this.#advapi32 = guard.use(openAdvapi32());
    this.#kernel32 = guard.use(openKernel32());
    this.#resources = guard.move();
  }

  /**
   * Whether this process has an administrator's rights now: a token that could
   * have them, but was not given them, has the group for denials alone.
   */
  isElevated(): boolean {
    const { CreateWellKnownSid, CheckTokenMembership } = this.#advapi32.call;
    const sid = new Uint8Array(SID_BYTES);
    const length = new Uint32Array([SID_BYTES]);
    if (CreateWellKnownSid(ADMINISTRATORS_SID, null, sid, length) === 0) {
      throw this.#kernel32.error("CreateWellKnownSid");
    }
    const isMember = new Int32Array(1);
    if (CheckTokenMembership(null, sid, isMember) === 0) {
      throw this.#kernel32.error("CheckTokenMembership");
    }
    return isMember[0] !== 0;
  }

  /**
   * Makes a folder that only the system and administrators may enter.
   * @returns why it is not fit, or undefined.
   */
  closedFolder(path: string): string | undefined {
    using resources = new DisposableStack();
    const descriptor = this.#descriptor(CLOSED, resources);
    const attributes = attributesOf(descriptor);
    const { call } = this.#kernel32;
    if (call.CreateDirectoryW(wideText(path), attributes) !== 0) {
      return undefined;
    }
    const error = this.#kernel32.error("CreateDirectoryW");
    if (error.code !== ALREADY_EXISTS) return error.message;
    if (!Deno.lstatSync(path).isDirectory) return "not a folder";
    // Somebody else's folder has somebody else's files. What this user makes
    // with an administrator's rights is the administrators', else anybody's who
    // runs as him.
    const fit = [SYSTEM, ADMINISTRATORS];
    // Wine keeps no owners.
    if (runsUnderWine()) fit.push(this.#user(resources));
    if (!fit.includes(this.#owner(path, resources))) {
      return "does not belong to the administrators";
    }
    const closed = this.#advapi32.call.SetFileSecurityW(
      wideText(path),
      PROTECTED_DACL_INFORMATION,
      descriptor,
    );
    return closed === 0
      ? this.#kernel32.error("SetFileSecurityW").message
      : undefined;
  }

  /**
   * SECURITY_ATTRIBUTES of what only the system and administrators may open, and
   * this user where he is none: with an administrator's rights his other
   * programs are as strange as anybody's. Valid until `resources` are disposed of.
   */
  closedToOthers(resources: DisposableStack): Uint8Array<ArrayBuffer> {
    const text = this.isElevated() ? CLOSED_OBJECT : this.#closed(resources);
    return attributesOf(this.#descriptor(text, resources));
  }

  /**
   * Closes a file to all but this user, the system and administrators.
   * @throws {Win32Error}
   */
  closeFile(path: string): void {
    using resources = new DisposableStack();
    const descriptor = this.#descriptor(this.#closed(resources), resources);
    const { SetFileSecurityW } = this.#advapi32.call;
    const done = SetFileSecurityW(
      wideText(path),
      PROTECTED_DACL_INFORMATION,
      descriptor,
    );
    if (done === 0) throw this.#kernel32.error(`SetFileSecurityW ${path}`);
  }

  /** Whether others than administrators may change what a path names. @throws {Win32Error} */
  isOpenToOthers(path: string, place: SecuredPlace): boolean {
    using resources = new DisposableStack();
    // Wine gives all that this user makes to him.
    const trusted = runsUnderWine() ? [this.#user(resources)] : [];
    return isOpenToOthers(this.#textOf(path, resources), place, trusted);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #closed(resources: DisposableStack): string {
    return `${CLOSED_OBJECT}(A;;FA;;;${this.#user(resources)})`;
  }

  #descriptor(
    text: string,
    resources: DisposableStack,
  ): Deno.PointerValue {
    const out = new BigUint64Array(1);
    const { call } = this.#advapi32;
    const made = call.ConvertStringSecurityDescriptorToSecurityDescriptorW(
      wideText(text),
      SDDL_REVISION,
      out,
      null,
    );
    if (made === 0) {
      throw this.#kernel32.error(
        "ConvertStringSecurityDescriptorToSecurityDescriptorW",
      );
    }
    return this.#freed(out[0], resources);
  }

  /** Owner and access list as text. */
  #textOf(path: string, resources: DisposableStack): string {
    const descriptor = new BigUint64Array(1);
    checkWin32(
      "GetNamedSecurityInfoW",
      this.#advapi32.call.GetNamedSecurityInfoW(
        wideText(path),
        SE_FILE_OBJECT,
        OWNER_INFORMATION | DACL_INFORMATION,
        null,
        null,
        null,
        null,
        descriptor,
      ),
    );
    const text = new BigUint64Array(1);
    const { call } = this.#advapi32;
    const made = call.ConvertSecurityDescriptorToStringSecurityDescriptorW(
      this.#freed(descriptor[0], resources),
      SDDL_REVISION,
      OWNER_INFORMATION | DACL_INFORMATION,
      text,
      null,
    );
    if (made === 0) {
      throw this.#kernel32.error(
        "ConvertSecurityDescriptorToStringSecurityDescriptorW",
      );
    }
    return wideTextAt(this.#freed(text[0], resources));
  }

  #owner(path: string, resources: DisposableStack): string {
    const sid = new BigUint64Array(1);
    const descriptor = new BigUint64Array(1);
    checkWin32(
      "GetNamedSecurityInfoW",
      this.#advapi32.call.GetNamedSecurityInfoW(
        wideText(path),
        SE_FILE_OBJECT,
        OWNER_INFORMATION,
        sid,
        null,
        null,
        null,
        descriptor,
      ),
    );
    this.#freed(descriptor[0], resources);
    return this.#sidText(sid[0], resources);
  }

  #user(resources: DisposableStack): string {
    const bytes = this.#token(TOKEN_USER_CLASS);
    // The SID lies in there.
    resources.defer(() => void bytes.fill(0));
    const sid = new DataView(bytes.buffer).getBigUint64(
      tokenUser.at.User,
      true,
    );
    return this.#sidText(sid, resources);
  }

  #sidText(sid: bigint, resources: DisposableStack): string {
    const out = new BigUint64Array(1);
    const pointer = Deno.UnsafePointer.create(sid);
    if (this.#advapi32.call.ConvertSidToStringSidW(pointer, out) === 0) {
      throw this.#kernel32.error("ConvertSidToStringSidW");
    }
    return wideTextAt(this.#freed(out[0], resources));
  }

  #freed(address: bigint, resources: DisposableStack): Deno.PointerValue {
    const pointer = Deno.UnsafePointer.create(address);
    resources.defer(() => void this.#kernel32.call.LocalFree(pointer));
    return pointer;
  }

  /** What is known of this process's token; pointers in it stay valid with it. */
  #token(information: number): Uint8Array<ArrayBuffer> {
    const { OpenProcessToken, GetTokenInformation } = this.#advapi32.call;
    const token = new BigUint64Array(1);
    if (OpenProcessToken(THIS_PROCESS, TOKEN_QUERY, token) === 0) {
      throw this.#kernel32.error("OpenProcessToken");
    }
    try {
      const bytes = new Uint8Array(TOKEN_BYTES);
      const needed = new Uint32Array(1);
      const got = GetTokenInformation(
        token[0],
        information,
        bytes,
        bytes.length,
        needed,
      );
      if (got === 0) throw this.#kernel32.error("GetTokenInformation");
      return bytes;
    } finally {
      this.#kernel32.call.CloseHandle(Number(token[0]));
    }
  }
}

/**
 * Closes one file; see {@linkcode Security.closeFile}.
 * @throws {MissingLibraryError | Win32Error}
 */
export function closeWindowsFile(path: string): void {
  using security = new Security();
  security.closeFile(path);
}

function attributesOf(descriptor: Deno.PointerValue): Uint8Array<ArrayBuffer> {
  const attributes = new Uint8Array(securityAttributes.size);
  const { at } = securityAttributes;
  writeU32le(attributes, at.nLength, securityAttributes.size);
  new DataView(attributes.buffer).setBigUint64(
    at.lpSecurityDescriptor,
    BigInt(Deno.UnsafePointer.value(descriptor)),
    true,
  );
  return attributes;
}
