//! A program that runs to its end, and the most memory it had.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;

/// How often its memory is looked at. The kernel keeps the maximum, so only what it comes to after the last look is missed.
const LOOK: Duration = Duration::from_millis(10);

/// What it did.
pub(super) struct Ended {
    stdout: String,
    /// From its start to its end.
    pub(super) took: Duration,
    /// Its resident memory at its largest.
    pub(super) peak_bytes: u64,
}

impl Ended {
    /// The last line it printed.
    pub(super) fn answer<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let line = self.stdout.lines().last().context("it printed nothing")?;
        serde_json::from_str(line).with_context(|| format!("it printed {line:?}"))
    }
}

/// Runs it. An error when it ends with one.
pub(super) fn run(command: &mut Command) -> anyhow::Result<Ended> {
    // Files, because a pipe that nobody empties would hold it up.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let mut peak_bytes = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_bytes = peak_bytes.max(high_water(child.id()).unwrap_or(0));
        thread::sleep(LOOK);
    };
    let took = began.elapsed();
    let program = command.get_program().display();
    ensure!(status.success(), "{program}: {status}: {}", whole(&mut stderr)?);
    ensure!(peak_bytes > 0, "{program} ended before anybody saw its memory");
    Ok(Ended {
        stdout: whole(&mut stdout)?,
        took,
        peak_bytes,
    })
}

fn whole(file: &mut File) -> anyhow::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// The largest resident memory so far; `None` once it has ended.
fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn its_last_line_is_its_answer_and_its_memory_is_seen() {
        let ended = run(&mut shell("echo 1; sleep 0.1; echo '[2, 3]'")).expect("runs");
        assert_eq!(ended.answer::<Vec<u32>>().expect("JSON"), [2, 3]);
        assert!(ended.peak_bytes > 100_000, "{} bytes", ended.peak_bytes);
        assert!(ended.took >= Duration::from_millis(100));
    }

    #[test]
    fn memory_that_was_given_back_counts() {
        let ended = run(&mut shell(
            "x=$(head -c 30000000 /dev/zero | tr '\\0' a); x=; sleep 0.1; echo 1",
        ));
        assert!(ended.expect("runs").peak_bytes > 30_000_000);
    }

    #[test]
    fn an_end_with_an_error_says_why() {
        let error = run(&mut shell("echo why >&2; exit 3")).err().expect("fails");
        assert!(error.to_string().contains("why"), "{error}");
    }
}
