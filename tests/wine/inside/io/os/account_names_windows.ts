/** Names of accounts: looked up once they are wanted, once each. */
import assert from "node:assert/strict";
import { openAdvapi32 } from "../../../../../ffi/windows/advapi32.ts";
import { openKernel32 } from "../../../../../ffi/windows/kernel32.ts";
import { AccountNames } from "../../../../../src/io/os/windows/account_names.ts";

/** The pseudo handle of this process. */
const THIS_PROCESS = -1;

/** Accounts, and how often the system was asked for a name. */
function openNames() {
  const kernel32 = openKernel32();
  const advapi32 = openAdvapi32();
  const asked = { count: 0 };
  const call = {
    ...advapi32.call,
    LookupAccountSidW: (
      ...args: Parameters<typeof advapi32.call.LookupAccountSidW>
    ) => {
      asked.count++;
      return advapi32.call.LookupAccountSidW(...args);
    },
  };
  const names = new AccountNames({ kernel32, advapi32: { ...advapi32, call } });
  return {
    names,
    asked,
    [Symbol.dispose]() {
      names[Symbol.dispose]();
      advapi32[Symbol.dispose]();
      kernel32[Symbol.dispose]();
    },
  };
}

Deno.test("nobody is asked for a name that nobody wants", () => {
  using opened = openNames();
  const account = opened.names.of(THIS_PROCESS);
  const { userId } = account;
  assert.ok(userId > 0);
  assert.equal(opened.asked.count, 0);
  const { user } = account;
  assert.match(user, /[^\d]/);
  assert.equal(account.user, user);
  assert.equal(opened.names.of(THIS_PROCESS).user, user);
  assert.equal(opened.asked.count, 1);
});

Deno.test("whose names were not asked for in time has a number", () => {
  let account;
  {
    using opened = openNames();
    account = opened.names.of(THIS_PROCESS);
  }
  assert.equal(account.user, String(account.userId));
});
