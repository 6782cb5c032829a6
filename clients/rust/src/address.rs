//! Where the daemon listens, and whether the one who listens there is to be believed.
//!
//! Other clients ask the kernel who listens (`SO_PEERCRED`). The standard library has that only behind an unstable feature
//! (`UnixStream::peer_cred`), and this crate keeps `unsafe` to the passing of files. So it looks at the path: whoever binds a socket owns its file
//! (unix(7)), and nobody can put another one in its place who can write in none of the directories that lead to it.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::Error;

const SYSTEM_SOCKET: &str = "/run/litebase/litebase.sock";
const SOCKET_NAME: &str = "litebase/litebase.sock";
const DAEMON_USER: &str = "litebase";

/// An absolute path in an environment variable.
fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn named() -> Option<PathBuf> {
    env::var_os("LITEBASE_SOCKET").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The paths at which a client without a name for it looks for the socket (docs/protocol.md), the first one first. None is in a
/// directory where everybody may put one, such as /tmp.
fn candidates() -> Vec<PathBuf> {
    if let Some(path) = named() {
        return vec![path];
    }
    let state = directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
    let own = directory("XDG_RUNTIME_DIR").into_iter().chain(state).map(|base| base.join(SOCKET_NAME));
    own.chain([PathBuf::from(SYSTEM_SOCKET)]).collect()
}

fn find() -> Result<PathBuf, Error> {
    let mut paths = candidates();
    if named().is_some() {
        return Ok(paths.remove(0)); // connect(2) says what is wrong with it.
    }
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Ok(path.clone());
    }
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Err(Error::new(
        "connection_lost",
        format!("There is no socket of litebased at {}.", names.join(", ")),
        Some("Start it (systemctl start litebase.socket), or name its socket in LITEBASE_SOCKET."),
    ))
}

/// Connects, and checks who can listen there.
pub(crate) fn open(path: Option<&Path>, trusted: &[String]) -> Result<UnixStream, Error> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => find()?,
    };
    let failed = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            let hint = "Ask the administrator to add you to the socket's group; it counts from your next login.";
            return Error::new(
                "permission_denied",
                format!("The socket {} is not open to you.", path.display()),
                Some(hint),
            );
        }
        let message = format!("Cannot connect to {}: {error}.", path.display());
        Error::new("connection_lost", message, Some("Is litebased running? Try: litebase ping"))
    };
    let real = path.canonicalize().map_err(failed)?;
    let uids = trusted_uids(trusted);
    let before = identity(&real, &uids).map_err(failed)?;
    let stream = UnixStream::connect(&real).map_err(failed)?;
    // A trusted user might have taken his socket away in between, from a directory such as /tmp.
    if before != identity(&real, &uids).map_err(failed)? {
        return Err(Error::lost(format!(
            "{} was replaced while it was connected to. Nothing was sent.",
            path.display()
        )));
    }
    match before {
        Ok(_) => Ok(stream),
        Err(refusal) => Err(refusal),
    }
}

/// Which socket a path without symbolic links is; an error in it for one that somebody else may have put there.
fn identity(path: &Path, trusted: &HashSet<u32>) -> std::io::Result<Result<(u64, u64), Error>> {
    let socket = fs::symlink_metadata(path)?;
    for place in path.ancestors() {
        let found = fs::symlink_metadata(place)?;
        if !trusted.contains(&found.uid()) {
            return Ok(Err(untrusted(
                format!(
                    "{} belongs to {}, who is neither root, nor {DAEMON_USER}, nor you.",
                    place.display(),
                    name_of(found.uid())
                ),
                "If that is right, name the user: Options::trust_user or LITEBASE_TRUSTED_USERS.",
            )));
        }
        // Where the sticky bit is set, only the owner of a file can take it away.
        let is_open = found.is_dir() && found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
        if is_open {
            return Ok(Err(untrusted(
                format!("Others than its owner may write in {}, and so put their own socket there.", place.display()),
                "Take that right away (chmod go-w), or use a socket elsewhere.",
            )));
        }
    }
    Ok(Ok((socket.dev(), socket.ino())))
}

fn untrusted(message: String, hint: &str) -> Error {
    Error::new("untrusted", message + " Nothing was sent.", Some(hint))
}

fn trusted_uids(more: &[String]) -> HashSet<u32> {
    let named = env::var("LITEBASE_TRUSTED_USERS").unwrap_or_default();
    let names = named.split([',', ' ']).filter(|name| !name.is_empty());
    let users = users();
    let mut uids: HashSet<u32> = [0].into_iter().chain(own_uid()).collect();
    for name in [DAEMON_USER].into_iter().chain(names).chain(more.iter().map(String::as_str)) {
        let known = || users.iter().find(|user| user.0 == name).map(|user| user.1);
        uids.extend(name.parse().ok().or_else(known));
    }
    uids
}

/// The effective user of this thread; proc(5).
fn own_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Names and numbers of the users of this machine; passwd(5).
fn users() -> Vec<(String, u32)> {
    let file = fs::read("/etc/passwd").unwrap_or_default();
    String::from_utf8_lossy(&file)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

fn name_of(uid: u32) -> String {
    let known = users().into_iter().find(|user| user.1 == uid);
    known.map_or(format!("the user {uid}"), |user| format!("the user {} ({uid})", user.0))
}
