//! An aggregate's events: an enum, the versioned type of each, and JSON both ways.

/// Declares an event enum with the CloudEvents type of each variant, and its [`eventsourcing::aggregate::Event`].
/// `= "type" at field` names the data's own time, where an event happened at another time than it was recorded.
macro_rules! events {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident($data:ty) = $type:literal $(at $time:ident)?, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant($data), )+
        }

        impl eventsourcing::aggregate::Event for $name {
            const TYPES: &'static [&'static str] = &[ $( $type, )+ ];

            fn happened_at(&self) -> Option<time::OffsetDateTime> {
                $( $( if let Self::$variant(data) = self {
                    return Some(data.$time);
                } )? )+
                None
            }

            fn event_type(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $type, )+
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                let written = match self {
                    $( Self::$variant(data) => serde_json::to_writer(out, data), )+
                };
                written.expect("an event is plain data, and memory takes it");
            }

            fn decode(
                event_type: &str,
                data: &[u8],
            ) -> Result<Self, eventsourcing::aggregate::DecodeError> {
                use eventsourcing::aggregate::DecodeError;
                let malformed =
                    |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
                match event_type {
                    $( $type => serde_json::from_slice(data).map(Self::$variant).map_err(malformed), )+
                    unknown => Err(DecodeError::UnknownType(unknown.to_owned())),
                }
            }
        }

        #[cfg(test)]
        impl $name {
            /// Each type with its JSON Schema, for the files under `schemas/`.
            pub(crate) fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![ $( ($type, schemars::schema_for!($data)), )+ ]
            }
        }
    };
}

pub(crate) use events;
