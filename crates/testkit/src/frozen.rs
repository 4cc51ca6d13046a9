//! Stopping processes in their tracks: a frozen one closes no socket and answers nothing.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process and all its children, stopped (SIGSTOP) until this is dropped.
#[derive(Debug)]
pub struct Frozen(Vec<Pid>);

impl Frozen {
    /// Stops `root` first: it must not replace a child that seems to hang.
    pub fn tree(root: u32) -> Self {
        let root = Pid::from_raw(root.cast_signed()).expect("the id of a process");
        let mut frozen = Self(vec![root]);
        frozen.signal(Signal::STOP);
        let mut seen = 0;
        while seen < frozen.0.len() {
            let parent = frozen.0[seen];
            frozen.0.extend(children_of(parent));
            seen += 1;
        }
        frozen.signal(Signal::STOP);
        frozen
    }

    fn signal(&self, signal: Signal) {
        for pid in &self.0 {
            // It may have ended in between.
            let _ = kill_process(*pid, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let children = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        // `pid (name) state parent …`; the name may hold anything but ends at the last parenthesis.
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let of: i32 = fields.split_whitespace().nth(1)?.parse().ok()?;
        (of == parent.as_raw_nonzero().get()).then(|| Pid::from_raw(pid))?
    });
    children.collect()
}
