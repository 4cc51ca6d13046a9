//! Laying flags over environment over file over defaults, and saying where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Value;

use super::Config;

/// Prefix of our environment variables.
const PREFIX: &str = "DAYBOOK_";
/// Variables under our prefix that are not configuration keys.
const OTHER_VARIABLES: [&str; 6] = [
    "DAYBOOK_BEFORE",
    "DAYBOOK_CONFIG",
    "DAYBOOK_POSTGRES_BIN",
    "DAYBOOK_KAFKA_HOME",
    "DAYBOOK_SHARED_DATA",
    "DAYBOOK_BIN",
];
/// Variables of the field that mean one of our keys.
const FOREIGN_VARIABLES: [(&str, &str); 2] = [
    ("DATABASE_URL", "postgres.url"),
    ("KAFKA_BROKERS", "kafka.brokers"),
];
/// Read when it is there and no other file is named.
const DEFAULT_FILE: &str = "daybook.toml";
/// Keys whose values are never shown.
const SECRETS: [&str; 1] = ["postgres.url"];

/// Values given as flags, by key.
pub type Overrides = BTreeMap<&'static str, String>;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file.
    File(PathBuf),
    /// This variable.
    Environment(String),
    /// A flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?}{}", nearest.as_ref().map(|key| format!("; is {key:?} meant?")).unwrap_or_default())]
    UnknownKey {
        /// The file or "environment".
        place: String,
        /// The key.
        key: String,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// A value of another type or out of range.
    #[error("{place}: {key}: {detail}")]
    Invalid {
        /// Where the value came from.
        place: String,
        /// The key.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// The file cannot be read.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// The configuration with the source of every value.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// Every key, its value as TOML (secrets masked) and its source, ordered by key.
    pub shown: Vec<(String, String, Source)>,
}

/// Loads the configuration. `file` is the one named by flag; `environment` all variables.
pub fn load(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Overrides,
) -> Result<Effective, ConfigError> {
    let mut values = flatten(&Value::try_from(Config::default()).expect("the defaults are plain TOML"));
    let mut sources: BTreeMap<String, Source> =
        values.keys().map(|key| (key.clone(), Source::Default)).collect();
    let mut set = |key: &str, value: Value, source: Source| {
        values.insert(key.to_owned(), value);
        sources.insert(key.to_owned(), source);
    };
    let known = flatten(&Value::try_from(Config::default()).expect("the defaults are plain TOML"));

    let named = file
        .map(Path::to_owned)
        .or_else(|| environment.get("DAYBOOK_CONFIG").map(PathBuf::from));
    if let Some((path, table)) = read_file(named)? {
        for (key, value) in flatten(&table) {
            let place = path.display().to_string();
            let default = known.get(&key).ok_or_else(|| unknown(&known, &place, &key))?;
            set(
                &key,
                same_type(&place, &key, default, value)?,
                Source::File(path.clone()),
            );
        }
    }
    for (variable, key) in variables(environment, &known)? {
        let value = parsed(&variable, &key, &known[&key], &environment[&variable])?;
        set(&key, value, Source::Environment(variable));
    }
    for (key, text) in flags {
        let default = known.get(*key).expect("flags name keys of this file");
        set(key, parsed("flag", key, default, text)?, Source::Flag);
    }
    let config = deserialize(&values, &sources)?;
    let shown = values
        .iter()
        .map(|(key, value)| (key.clone(), masked(key, value), sources[key].clone()))
        .collect();
    Ok(Effective { config, shown })
}

fn read_file(named: Option<PathBuf>) -> Result<Option<(PathBuf, Value)>, ConfigError> {
    let must_exist = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let failed = |detail: String| ConfigError::File {
        path: path.clone(),
        detail,
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| failed(error.to_string()))?;
    Ok(Some((path, Value::Table(table))))
}

/// The variables that set keys, weakest first; an unknown one under our prefix is refused.
fn variables(
    environment: &BTreeMap<String, String>,
    known: &BTreeMap<String, Value>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut found = Vec::new();
    for (variable, key) in FOREIGN_VARIABLES {
        if environment.get(variable).is_some_and(|value| !value.is_empty()) {
            found.push((variable.to_owned(), key.to_owned()));
        }
    }
    let by_variable: BTreeMap<String, &String> = known.keys().map(|key| (variable_of(key), key)).collect();
    for variable in environment.keys().filter(|name| name.starts_with(PREFIX)) {
        if let Some(key) = by_variable.get(variable) {
            found.push((variable.clone(), (*key).clone()));
        } else if !OTHER_VARIABLES.contains(&variable.as_str()) {
            let key = variable[PREFIX.len()..].to_lowercase();
            return Err(match unknown(known, "environment", &key.replacen('_', ".", 1)) {
                ConfigError::UnknownKey { place, nearest, .. } => ConfigError::UnknownKey {
                    place,
                    key: variable.clone(),
                    nearest: nearest.map(|key| variable_of(&key)),
                },
                other => other,
            });
        }
    }
    Ok(found)
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// `section.key` of every value.
fn flatten(value: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let key = if prefix.is_empty() {
                        name.clone()
                    } else {
                        format!("{prefix}.{name}")
                    };
                    walk(&key, value, into);
                }
            }
            value => {
                into.insert(prefix.to_owned(), value.clone());
            }
        }
    }
    let mut into = BTreeMap::new();
    walk("", value, &mut into);
    into
}

fn unknown(known: &BTreeMap<String, Value>, place: &str, key: &str) -> ConfigError {
    // Enough to catch a typo: the known key that shares most of its letters in order.
    let likeness = |candidate: &str| {
        let mut rest = candidate.chars();
        key.chars()
            .filter(|c| rest.clone().any(|d| d == *c) && rest.any(|d| d == *c))
            .count()
    };
    let nearest = known
        .keys()
        .max_by_key(|candidate| likeness(candidate) * 2 * 100 / (candidate.len() + key.len()));
    ConfigError::UnknownKey {
        place: place.to_owned(),
        key: key.to_owned(),
        nearest: nearest
            .filter(|candidate| likeness(candidate) * 4 >= candidate.len() * 3)
            .cloned(),
    }
}

fn same_type(place: &str, key: &str, default: &Value, value: Value) -> Result<Value, ConfigError> {
    match (default, value) {
        // A whole number is a fine value for a fraction.
        #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
        (Value::Float(_), Value::Integer(whole)) => Ok(Value::Float(whole as f64)),
        (default, value) if default.same_type(&value) => Ok(value),
        (default, value) => Err(ConfigError::Invalid {
            place: place.to_owned(),
            key: key.to_owned(),
            detail: format!("a {} is wanted, not a {}", default.type_str(), value.type_str()),
        }),
    }
}

fn parsed(place: &str, key: &str, default: &Value, text: &str) -> Result<Value, ConfigError> {
    let value = match default {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        _ => Some(Value::String(text.to_owned())),
    };
    value.ok_or_else(|| ConfigError::Invalid {
        place: place.to_owned(),
        key: key.to_owned(),
        detail: format!("{text:?} is not a {}", default.type_str()),
    })
}

fn deserialize(
    values: &BTreeMap<String, Value>,
    sources: &BTreeMap<String, Source>,
) -> Result<Config, ConfigError> {
    let mut root = toml::Table::new();
    for (key, value) in values {
        match key.split_once('.') {
            None => {
                root.insert(key.clone(), value.clone());
            }
            Some((section, name)) => {
                let section = root
                    .entry(section)
                    .or_insert_with(|| Value::Table(toml::Table::new()));
                if let Value::Table(section) = section {
                    section.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    // Each value alone over the defaults, so that the message can name the one that is wrong.
    Value::Table(root).try_into().map_err(|error: toml::de::Error| {
        let wrong = values.iter().find(|(key, value)| !fits(key, value));
        let (key, place) = wrong.map_or((String::new(), String::new()), |(key, _)| {
            (key.clone(), sources[key].to_string())
        });
        ConfigError::Invalid {
            place,
            key,
            detail: error.message().to_owned(),
        }
    })
}

fn fits(key: &str, value: &Value) -> bool {
    let mut table = Value::try_from(Config::default()).expect("the defaults are plain TOML");
    let mut place = Some(&mut table);
    for part in key.split('.') {
        place = place.and_then(|table| table.get_mut(part));
    }
    if let Some(place) = place {
        *place = value.clone();
    }
    table.try_into::<Config>().is_ok()
}

fn masked(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) if SECRETS.contains(&key) && !text.is_empty() => "\"********\"".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
