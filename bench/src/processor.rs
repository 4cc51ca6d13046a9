//! CPU time of the whole machine: broker, load generator and all. The figure that noise spares.

use anyhow::Context;

/// Jiffies per second as `/proc/stat` counts them; fixed by the kernel's interface on Linux.
const JIFFIES_PER_SECOND: f64 = 100.0;

/// Seconds that the processors of this machine have worked since it started.
pub(crate) fn busy_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    parse(&text).context("/proc/stat has no line of all processors")
}

fn parse(text: &str) -> Option<f64> {
    let all = text.lines().next()?.strip_prefix("cpu ")?;
    let jiffies: Vec<u32> = all
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(u32::MAX))
        .collect();
    // user, nice, system, (idle, iowait), irq, softirq; steal is other people's work.
    let busy: f64 = [0, 1, 2, 5, 6]
        .iter()
        .map(|index| jiffies.get(*index).copied().map(f64::from))
        .sum::<Option<f64>>()?;
    Some(busy / JIFFIES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_do_not_count() {
        let text = "cpu  100 10 50 9999 77 3 7 5 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse(text), Some(1.7));
        assert_eq!(parse("intr 1"), None);
    }

    #[test]
    fn this_machine_has_worked() {
        assert!(busy_seconds().expect("Linux") > 0.0);
    }
}
