//! Ties a process's life to ours: a shell waits for our end of a pipe to close, which the kernel does however
//! we die, and then ends the process and clears its directory.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A line on the pipe means that all is well; its end without one means that we are gone.
const WATCH: &str =
    r#"read _ && exit; kill -QUIT $1 2>/dev/null; sleep 1; kill -9 $1 2>/dev/null; rm -rf "$2""#;

/// Holds the pipe. Dropping it ends the process, as our own end does; [`Tether::release`] does not.
#[derive(Debug)]
pub struct Tether(Child);

impl Tether {
    /// Ends `process` when we are gone, and then removes `directory`.
    pub fn to(process: Option<u32>, directory: Option<&Path>) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let process = process.map(|id| id.to_string()).unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "sh"]).arg(process);
        // `rm -rf ""` removes nothing.
        shell.arg(directory.unwrap_or(Path::new("")));
        let shell = shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(shell))
    }

    /// The process has ended already: its id may soon be another's.
    pub fn release(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A shell that is gone needs not be told.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.0.wait();
    }
}
