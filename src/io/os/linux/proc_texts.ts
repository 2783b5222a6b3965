/**
 * The texts of /proc/PID/stat and /proc/PID/status.
 * Source: proc_pid_stat(5), proc_pid_status(5).
 */

/** What we take of /proc/PID/stat. */
export interface ProcStat {
  /** What the system calls the program: 15 bytes at most. */
  readonly name: string;
  /** A zombie or dead: it holds nothing any more. */
  readonly dead: boolean;
  readonly parentId: number;
  /** Clock ticks between boot and its start. */
  readonly startTime: number;
}

/** Reads /proc/PID/stat; the name in it may hold spaces and parentheses. */
export function parseProcStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  // Fields from the third one on.
  const fields = text.slice(close + 2).split(" ", 20);
  const parentId = Number(fields[4 - 3]);
  const startTime = Number(fields[22 - 3]);
  if (!Number.isSafeInteger(parentId) || !Number.isSafeInteger(startTime)) {
    return undefined;
  }
  return {
    name: text.slice(open + 1, close),
    dead: fields[0] === "Z" || fields[0] === "X",
    parentId,
    startTime,
  };
}

/** The effective user in the text of /proc/PID/status. */
export function parseUserId(status: string): number | undefined {
  const match = /^Uid:\s*\d+\s+(\d+)/m.exec(status);
  return match === null ? undefined : Number(match[1]);
}

/** An executable's path as /proc/PID/exe tells it. */
export interface ExecutablePath {
  readonly path: string;
  /** The link said so; a file may also be named like that. */
  readonly deleted: boolean;
}

const DELETED = " (deleted)";

/** Takes « (deleted)» off, which the system adds to the link's text. */
export function parseExecutable(link: string): ExecutablePath {
  return link.endsWith(DELETED)
    ? { path: link.slice(0, -DELETED.length), deleted: true }
    : { path: link, deleted: false };
}

/** The part of a path behind its last slash. */
export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Users by number, from the text of /etc/passwd. */
export function parseUsers(text: string): Map<number, string> {
  const users = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    const number = Number(id);
    if (name === "" || id === undefined || id === "" || users.has(number)) {
      continue;
    }
    users.set(number, name);
  }
  return users;
}
