use std::io::Write;

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn flags_lie_over_environment_over_file_over_defaults() {
    let file =
        file("node = 'from-file'\ndata = 'from-file'\n[topics]\npartitions = 7\nprefix = 'from-file'\n");
    let environment = environment(&[
        ("DAYBOOK_NODE", "from-env"),
        ("DAYBOOK_TOPICS_PREFIX", "from-env"),
    ]);
    let flags = Overrides::from([("node", "from-flag".to_owned())]);
    let effective = load(Some(file.path()), &environment, &flags).expect("loads");
    assert_eq!(effective.config.node, "from-flag");
    assert_eq!(effective.config.topics.prefix, "from-env");
    assert_eq!(effective.config.data, "from-file");
    assert_eq!(effective.config.topics.partitions, 7);
    assert_eq!(effective.config.owner.batch_commands_max, 1_024);
}

#[test]
fn an_unknown_key_is_refused_with_key_and_file() {
    let file = file("[topics]\npartition = 7\n");
    let error = load(Some(file.path()), &environment(&[]), &Overrides::new())
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("topics.partition") && error.contains(&file.path().display().to_string()),
        "{error}"
    );
    assert!(error.contains("is \"topics.partitions\" meant"), "{error}");
    let error = load(
        None,
        &environment(&[("DAYBOOK_TOPICS_PARTITON", "3")]),
        &Overrides::new(),
    )
    .expect_err("refused")
    .to_string();
    assert!(
        error.contains("DAYBOOK_TOPICS_PARTITON") && error.contains("DAYBOOK_TOPICS_PARTITIONS"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_key() {
    for (variable, value, key) in [
        ("DAYBOOK_TOPICS_PARTITIONS", "many", "topics.partitions"),
        ("DAYBOOK_TOPICS_PARTITIONS", "-1", "topics.partitions"),
        ("DAYBOOK_LOG", "paper", "log"),
        (
            "DAYBOOK_PROJECTIONS_ON_ERROR",
            "park,ordres=halt",
            "projections.on_error",
        ),
    ] {
        let error = load(None, &environment(&[(variable, value)]), &Overrides::new())
            .expect_err("refused")
            .to_string();
        assert!(error.contains(key) && error.contains(variable), "{error}");
    }
}

#[test]
fn the_database_url_is_never_shown() {
    let environment = environment(&[("DATABASE_URL", "postgres://me:secret@db/shop")]);
    let effective = load(None, &environment, &Overrides::new()).expect("loads");
    assert_eq!(effective.config.postgres.url, "postgres://me:secret@db/shop");
    assert!(
        effective
            .shown
            .iter()
            .all(|(_, value, _)| !value.contains("secret"))
    );
}

#[test]
fn our_own_variable_wins_over_the_foreign_one() {
    let environment = environment(&[("KAFKA_BROKERS", "a:1"), ("DAYBOOK_KAFKA_BROKERS", "b:1")]);
    assert_eq!(
        load(None, &environment, &Overrides::new())
            .expect("loads")
            .config
            .kafka
            .brokers,
        "b:1"
    );
}
