/** Users by number: /etc/passwd, read again when it has changed. */
import { parseUsers } from "./proc_texts.ts";

const PATH = "/etc/passwd";

/** Names users. */
export class UserNames {
  readonly #path: string;
  #users: ReadonlyMap<number, string> = new Map();
  #readAt = Number.NaN;

  constructor(path: string = PATH) {
    this.#path = path;
  }

  /** A user's name; his number as text where none is known. */
  name(userId: number): string {
    const known = this.#users.get(userId);
    if (known !== undefined) return known;
    this.#refresh();
    return this.#users.get(userId) ?? String(userId);
  }

  /** Users of a directory service are not in the file: numbers then. */
  #refresh(): void {
    try {
      const changedAt = Deno.statSync(this.#path).mtime?.getTime() ?? 0;
      if (changedAt === this.#readAt) return;
      this.#users = parseUsers(Deno.readTextFileSync(this.#path));
      this.#readAt = changedAt;
    } catch {
      this.#users = new Map();
    }
  }
}
