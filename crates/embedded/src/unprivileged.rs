//! PostgreSQL refuses to run as root, rightly. As root its programs run as `nobody`; as anybody else
//! they run as that user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::EmbeddedError;

/// Debian's and Ubuntu's `nobody:nogroup`.
const NOBODY: u32 = 65_534;

/// Whether this process is root, told by whose its own `/proc` entry is.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The command, to be run without root's rights.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
        command.current_dir("/");
    }
    command
}

/// Makes `path` belong to whoever runs the commands.
pub(crate) fn hand_over(path: &Path) -> Result<(), EmbeddedError> {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).map_err(EmbeddedError::io(path))?;
    }
    Ok(())
}

/// Where a cluster for `wanted` can live: there, or, when root keeps a parent to itself (a clone under
/// root's home), under `/var/lib/daybook` by a name derived from `wanted`.
pub(crate) fn reachable(wanted: &Path) -> PathBuf {
    let closed =
        |parent: &Path| fs::metadata(parent).is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0);
    if is_root() && wanted.ancestors().skip(1).any(closed) {
        let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, wanted.as_os_str().as_encoded_bytes());
        return Path::new("/var/lib/daybook").join(name.simple().to_string());
    }
    wanted.to_owned()
}
