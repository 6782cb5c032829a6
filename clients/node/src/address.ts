// Where the daemon listens, and whether who listens there is to be believed.

import { execFile } from "node:child_process";
import { lstat, realpath, stat } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

import { ConnectionLostError, LiteBaseError, PermissionDeniedError, UntrustedError } from "./errors.js";

/** The user of the system's daemon. */
const DAEMON_USER = "litebase";
const SYSTEM_SOCKET = "/run/litebase/litebase.sock";
const NAME = "litebase/litebase.sock";

/**
 * The paths at which a client without a name for it looks for the socket (docs/protocol.md), the first one first. None is in a
 * directory where everybody may put one, such as /tmp.
 */
export function socketCandidates(): string[] {
  const { LITEBASE_SOCKET: named, XDG_RUNTIME_DIR: runtime = "", XDG_STATE_HOME: state = "" } = process.env;
  if (named) return [named];
  return [
    ...(isAbsolute(runtime) ? [join(runtime, NAME)] : []),
    join(isAbsolute(state) ? state : join(homedir(), ".local/state"), NAME),
    SYSTEM_SOCKET,
  ];
}

async function findSocket(): Promise<string> {
  const paths = socketCandidates();
  for (const path of paths) {
    const isThere = await stat(path).then(() => true, () => false);
    if (isThere) return path;
  }
  // Named: connect(2) says what is wrong with it.
  if (process.env["LITEBASE_SOCKET"]) return paths[0] as string;
  throw new ConnectionLostError("connection_lost", `There is no socket of litebased at ${paths.join(", ")}.`, {
    hint: "Start it (systemctl start litebase.socket), or name its socket in LITEBASE_SOCKET.",
  });
}

/** Lines of getent(1), which asks all of the machine's directories of users, as Node does not. */
function users(names: string[]): Promise<{ name: string; uid: number }[]> {
  return new Promise((resolve) => {
    // It fails when one of the names is not known, and tells the others all the same.
    execFile("/usr/bin/getent", ["passwd", "--", ...names], { timeout: 10_000 }, (_, output) => {
      const lines = String(output).split("\n").filter(Boolean).map((line) => line.split(":"));
      resolve(lines.map((fields) => ({ name: fields[0] ?? "", uid: Number(fields[2]) })));
    });
  });
}

/** Users who may listen: root, one's own, `litebase`, and those who are named. */
class Trusted {
  readonly #names: string[];
  readonly #own = process.geteuid?.() ?? -1;
  #looked: Promise<Set<number>> | undefined;

  constructor(more: readonly (string | number)[]) {
    const named = (process.env["LITEBASE_TRUSTED_USERS"] ?? "").split(/[, ]+/).filter(Boolean);
    this.#names = [DAEMON_USER, ...named, ...more.map(String)];
  }

  async has(uid: number): Promise<boolean> {
    if (uid === 0 || uid === this.#own) return true;
    this.#looked ??= this.#look();
    return (await this.#looked).has(uid);
  }

  async #look(): Promise<Set<number>> {
    const numbers = this.#names.filter((name) => /^\d+$/.test(name)).map(Number);
    const names = this.#names.filter((name) => !/^\d+$/.test(name));
    return new Set([...numbers, ...(await users(names)).map((user) => user.uid)]);
  }
}

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * Node cannot ask the kernel who listens (SO_PEERCRED, unix(7)). So it is asked who could have put a socket there: the socket, and
 * every directory on the way to it, must belong to a trusted user, and nobody else may have the right to put another one in its
 * place. Returns the path without symbolic links, which nobody else can turn elsewhere meanwhile.
 */
async function checkedPath(named: string, more: readonly (string | number)[]): Promise<string> {
  const path = await realpath(named);
  const trusted = new Trusted(more);
  for (let place = path; ; place = dirname(place)) {
    const { uid, gid, mode } = await lstat(place);
    if (!(await trusted.has(uid))) {
      const name = (await users([String(uid)]))[0]?.name ?? "nobody of this machine";
      throw new UntrustedError(
        "untrusted",
        `${place === path ? path : `The directory ${place}, in which ${path} is,`} belongs to the user ${name} (uid ${uid}), ` +
          `who is neither root, nor ${DAEMON_USER}, nor you. Nothing was sent.`,
        { hint: "If that is right, name the user: connect({ trustUsers: […] }) or LITEBASE_TRUSTED_USERS." },
      );
    }
    // A user's own group (gid = uid, as Debian makes them) has nobody else. In a sticky directory others cannot move what is ours.
    const isGroupsOwn = gid === 0 || (gid === uid && gid === process.getegid?.());
    const writers = mode & (OTHERS_WRITE | (isGroupsOwn ? 0 : GROUP_WRITES));
    if (place !== path && writers !== 0 && (mode & STICKY) === 0) {
      throw new UntrustedError(
        "untrusted",
        `Others may write in ${place}, and could put a socket of their own at ${path}. Nothing was sent.`,
        { hint: `Take that right away (chmod go-w ${place}), or let the daemon listen elsewhere.` },
      );
    }
    if (place === dirname(place)) return path;
  }
}

/** What to connect to, and how long to try. */
export interface Address {
  socket?: string | undefined;
  trustUsers?: readonly (string | number)[] | undefined;
}

/** Connects, and checks who may listen there. `signal`: for how long to try. */
export async function openSocket(address: Address, signal: AbortSignal): Promise<Socket> {
  const named = address.socket ?? (await findSocket());
  let socket: Socket | undefined;
  try {
    const path = await checkedPath(named, address.trustUsers ?? []);
    signal.throwIfAborted();
    socket = createConnection({ path });
    await connected(socket, signal);
    return socket;
  } catch (error) {
    socket?.destroy();
    if (error instanceof LiteBaseError) throw error;
    signal.throwIfAborted();
    if ((error as { code?: unknown }).code === "EACCES") {
      throw new PermissionDeniedError("permission_denied", `The socket ${named} is not open to you.`, {
        hint: "Ask the administrator to add you to the socket's group; it counts from your next login.",
        cause: error,
      });
    }
    throw new ConnectionLostError("connection_lost", `Cannot connect to ${named}: ${(error as Error).message}.`, {
      hint: "Is litebased running? Try: litebase ping",
      cause: error,
    });
  }
}

function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
    socket.once("connect", () => {
      signal.removeEventListener("abort", stop);
      socket.removeListener("error", reject);
      resolve();
    });
    socket.once("error", (error) => {
      signal.removeEventListener("abort", stop);
      reject(error);
    });
  });
}
