//! The house keeps its own rules: who depends on whom, how files are called, how large they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of the house's crates, and which of the outside, a crate may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "eventsourcing",
        &[
            "rdkafka",
            "sqlx",
            "axum",
            "domain",
            "eventsourcing-kafka",
            "eventsourcing-postgres",
        ],
    ),
    (
        "eventsourcing-kafka",
        &["sqlx", "axum", "domain", "eventsourcing-postgres"],
    ),
    (
        "eventsourcing-postgres",
        &["rdkafka", "axum", "domain", "eventsourcing-kafka"],
    ),
    (
        "domain",
        &[
            "tokio", "rdkafka", "sqlx", "axum", "rand", "reqwest", "tracing", "metrics",
        ],
    ),
    (
        "commands",
        &[
            "rdkafka",
            "sqlx",
            "projections",
            "queries",
            "eventsourcing-kafka",
            "eventsourcing-postgres",
        ],
    ),
    (
        "projections",
        &["rdkafka", "axum", "commands", "queries", "eventsourcing-kafka"],
    ),
    (
        "queries",
        &[
            "domain",
            "commands",
            "rdkafka",
            "eventsourcing-kafka",
            "eventsourcing-postgres",
        ],
    ),
    ("workers", &["rdkafka", "axum", "sqlx", "commands", "queries"]),
    (
        "daybook-http",
        &["rdkafka", "sqlx", "domain", "commands", "queries"],
    ),
    (
        "checker",
        &[
            "rdkafka",
            "sqlx",
            "axum",
            "domain",
            "eventsourcing-kafka",
            "eventsourcing-postgres",
        ],
    ),
    (
        "simulation",
        &[
            "rdkafka",
            "sqlx",
            "axum",
            "domain",
            "eventsourcing-kafka",
            "eventsourcing-postgres",
        ],
    ),
];

/// For tests only: nothing that runs in production may come to name them.
const TESTS_ONLY: &[&str] = &["checker", "simulation", "testkit"];

const LINES_MAX: usize = 400;

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(testkit::workspace())
        .output()
        .expect("cargo metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let normal = |dependency: &&Value| dependency["kind"].is_null();
    let packages = metadata["packages"].as_array().expect("packages");
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter(normal).map(name).collect()
    };
    packages
        .iter()
        .map(|package| (name(package), of(package)))
        .collect()
}

#[test]
fn dependencies_point_in_one_direction() {
    let dependencies = dependencies();
    for (package, forbidden) in FORBIDDEN {
        let named = dependencies
            .get(*package)
            .unwrap_or_else(|| panic!("{package} is gone"));
        for name in *forbidden {
            assert!(
                !named.iter().any(|found| found == name),
                "{package} must not depend on {name}"
            );
        }
    }
}

#[test]
fn what_is_for_tests_stays_with_the_tests() {
    let dependencies = dependencies();
    let mut production = vec!["daybook"];
    let mut seen = 0;
    while let Some(package) = production.get(seen).copied() {
        seen += 1;
        let named = dependencies.get(package).map_or(&[][..], Vec::as_slice);
        for name in named {
            assert!(
                !TESTS_ONLY.contains(&name.as_str()),
                "{package} must not depend on {name}"
            );
            if dependencies.contains_key(name) && !production.contains(&name.as_str()) {
                production.push(name);
            }
        }
    }
    assert!(production.len() > 8, "the walk finds what runs in production");
}

#[test]
fn only_the_kafka_adapter_and_the_bench_speak_to_kafka() {
    for (package, named) in dependencies() {
        let allowed = ["eventsourcing-kafka", "bench"].contains(&package.as_str());
        assert!(
            allowed || !named.iter().any(|name| name == "rdkafka"),
            "{package} names rdkafka"
        );
    }
}

#[test]
fn the_domain_uses_only_the_pure_part_of_the_engine() {
    let manifest = std::fs::read_to_string(testkit::workspace().join("crates/domain/Cargo.toml"));
    let manifest: toml::Table = manifest.expect("readable").parse().expect("TOML");
    let features = manifest["dependencies"]["eventsourcing"].get("features");
    assert!(
        features.is_none(),
        "domain must take eventsourcing without features"
    );
}

fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(under).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_small_and_named_for_what_they_hold() {
    let mut files = Vec::new();
    for folder in ["crates", "tests", "bench", "chaos", "xtask"] {
        sources(&testkit::workspace().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the walk finds the sources");
    for file in files {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        assert!(
            !["mod", "utils", "common", "helpers", "types"].contains(&name),
            "{}",
            file.display()
        );
        let lines = std::fs::read_to_string(&file).expect("readable").lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
    }
}
