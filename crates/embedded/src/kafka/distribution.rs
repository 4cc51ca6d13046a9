//! Where Kafka's jars come from: resolved by Maven from our own POM, once per machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::EmbeddedError;

const POM: &str = include_str!("../../kafka/pom.xml");
const VERSION: &str = "4.4.0";

/// The Java runtime.
pub(super) fn java() -> Result<PathBuf, EmbeddedError> {
    found("java").ok_or(EmbeddedError::Missing {
        program: "Java 17",
        install: "apt-get install default-jre-headless",
    })
}

/// The class path of the broker, fetched when it is not there yet.
pub(super) fn classpath(progress: &impl Fn(&str)) -> Result<String, EmbeddedError> {
    let cache = cache();
    let jars = cache.join(format!("kafka-{VERSION}"));
    if !jars.exists() {
        fs::create_dir_all(&cache).map_err(EmbeddedError::io(&cache))?;
        let lock_path = cache.join("kafka.lock");
        let lock = File::create(&lock_path).map_err(EmbeddedError::io(&lock_path))?;
        lock.lock().map_err(EmbeddedError::io(&lock_path))?;
        // Another process may have fetched it while this one waited.
        if !jars.exists() {
            progress("fetching Kafka (once, about 43 MB)");
            fetch(&cache, &jars)?;
        }
    }
    Ok(format!("{}/*", jars.display()))
}

/// Into a directory that takes its name only when it is complete.
fn fetch(cache: &Path, jars: &Path) -> Result<(), EmbeddedError> {
    let maven = found("mvn").ok_or(EmbeddedError::Missing {
        program: "Maven",
        install: "apt-get install maven",
    })?;
    let project = cache.join("kafka-pom");
    let unfinished = cache.join("kafka-unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&project).map_err(EmbeddedError::io(&project))?;
    let pom = project.join("pom.xml");
    fs::write(&pom, POM).map_err(EmbeddedError::io(&pom))?;
    let output = Command::new(maven)
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", unfinished.display()))
        .output()
        .map_err(EmbeddedError::io("mvn"))?;
    if !output.status.success() {
        let detail = String::from_utf8_lossy(&output.stdout)
            .lines()
            .take(3)
            .collect::<Vec<_>>()
            .join(" | ");
        return Err(EmbeddedError::Failed {
            command: "mvn dependency:copy-dependencies".to_owned(),
            detail,
        });
    }
    fs::rename(&unfinished, jars).map_err(EmbeddedError::io(jars))
}

fn cache() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let base = home("XDG_CACHE_HOME").or_else(|| home("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("daybook")
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.exists())
}
