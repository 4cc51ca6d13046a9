//! Ties a server's life to the test process: a shell waits for our end of a pipe to close, which the
//! kernel does however we die, and then ends the server and clears its directory.

use std::path::Path;
use std::process::{Command, Stdio};

/// Ends `process` and removes `directory` when this process is gone.
pub(crate) fn tether(process: Option<u32>, directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    let process = process.map(|id| id.to_string()).unwrap_or_default();
    let mut shell = Command::new("sh")
        .args([
            "-c",
            r#"read _; kill -QUIT $1 2>/dev/null; sleep 1; kill -9 $1 2>/dev/null; rm -rf "$2""#,
            "sh",
        ])
        .arg(process)
        .arg(directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Kept open for as long as we live.
    std::mem::forget(shell.stdin.take());
    Ok(())
}
