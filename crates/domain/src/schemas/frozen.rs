//! `schemas/events/frozen.sha256`: what is in somebody's log does not change, and lines are only ever added. Its form is that of
//! `sha256sum`, so `sha256sum --check frozen.sha256` says the same. That no line was taken back since the last commits is for
//! `tests/it/evolution.rs` to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use sha2::{Digest, Sha256};

use super::{GUIDE, folder, updating};
use crate::{order, product, stock_item};

const SERVICES: [&str; 3] = [product::SERVICE, stock_item::SERVICE, order::SERVICE];

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("memory takes it");
        hex
    })
}

/// What there is to pin, with its hash: everything but the schemas, whose words may be mended.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for service in SERVICES {
        for file in fs::read_dir(folder(service)).expect("readable") {
            let path = file.expect("readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("text");
            if !name.ends_with(".schema.json") {
                files.insert(
                    format!("{service}/{name}"),
                    sha256(&fs::read(&path).expect("readable")),
                );
            }
        }
    }
    files
}

/// The lines that are missing from the manifest, or what is wrong with it.
fn missing(manifest: &str, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut pinned = BTreeMap::new();
    for line in manifest.lines() {
        let (hash, name) = line
            .split_once("  ")
            .ok_or_else(|| format!("{line:?} is no line of sha256sum"))?;
        if pinned.insert(name, hash).is_some() {
            return Err(format!("{name} is pinned twice"));
        }
        match files.get(name) {
            None => return Err(format!("{name} is in somebody's log and must not go")),
            Some(found) if found != hash => return Err(format!("{name} has changed; {GUIDE}")),
            Some(_) => {}
        }
    }
    let new = files
        .iter()
        .filter(|(name, _)| !pinned.contains_key(name.as_str()));
    Ok(new.map(|(name, hash)| format!("{hash}  {name}\n")).collect())
}

/// Everything is pinned, and what is pinned is as it was.
pub(super) fn check() {
    let path = folder("frozen.sha256");
    let manifest = fs::read_to_string(&path).unwrap_or_default();
    let missing = missing(&manifest, &files()).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
    if updating() {
        fs::write(&path, manifest + &missing.concat()).expect("writable");
        return;
    }
    assert!(
        missing.is_empty(),
        "{} lacks lines, `make schemas` adds them: {missing:#?}",
        path.display()
    );
}

#[test]
fn a_pinned_file_that_changes_or_goes_is_found() {
    let file = |name: &str, text: &str| (name.to_owned(), sha256(text.as_bytes()));
    let files = BTreeMap::from([file("a/one.json", "1"), file("a/two.json", "2")]);
    let manifest = missing("", &files).expect("nothing is wrong").concat();
    assert_eq!(missing(&manifest, &files), Ok(Vec::new()));

    let first = manifest.lines().next().expect("a line");
    let second = manifest.lines().nth(1).expect("a line");
    assert_eq!(missing(first, &files), Ok(vec![format!("{second}\n")]));
    let changed = BTreeMap::from([file("a/one.json", "1"), file("a/two.json", "3")]);
    assert_eq!(
        missing(&manifest, &changed),
        Err(format!("a/two.json has changed; {GUIDE}"))
    );
    let gone = BTreeMap::from([file("a/one.json", "1")]);
    assert_eq!(
        missing(&manifest, &gone),
        Err("a/two.json is in somebody's log and must not go".to_owned())
    );
    let twice = manifest.clone() + first;
    assert_eq!(
        missing(&twice, &files),
        Err("a/one.json is pinned twice".to_owned())
    );
    assert!(missing("nonsense", &files).is_err());
}

#[test]
fn the_hash_is_that_of_sha256sum() {
    assert_eq!(
        sha256(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
