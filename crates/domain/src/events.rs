//! An aggregate's events: an enum, the versioned type of each, and JSON both ways. Older versions are read, too:
//! `docs/guides/evolving-an-event.md`.

use eventsourcing::aggregate::DecodeError;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// Declares an event enum with the `CloudEvents` type of each variant, and its [`eventsourcing::aggregate::Event`].
///
/// ```text
/// Rejected(OrderRejected) = "daybook.order.rejected.v3" from {
///     "daybook.order.rejected.v1" as v1::OrderRejected,
///     "daybook.order.rejected.v2" as v2::OrderRejected,
/// },
/// ```
///
/// `at field` names the data's own time, where an event happened at another time than it was recorded.
///
/// The older types stand in their order. Each struct becomes the next one by `From`, the last one the variant's own:
/// so a new version adds one step and leaves the others as they are. With `writes "….v2" as v2::OrderRejected` behind
/// it the variant is still written in that version (by `From` the other way), while builds that cannot read the newest
/// one are running.
macro_rules! events {
    (
        $(#[$doc:meta])*
        $vis:vis $name:ident { $(
            $(#[$variant_doc:meta])*
            $variant:ident($data:ty) = $type:literal
                $(at $time:ident)?
                $(from { $($old_type:literal as $old:ty),+ $(,)? })?
                $(writes $written_type:literal as $written:ty)?,
        )+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis enum $name {
            $( $(#[$variant_doc])* $variant($data), )+
        }

        impl $name {
            /// Every type that is read.
            const READ: &[&str] = &[$( $type, $( $($old_type,)+ )? )+];
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
                    $( Self::$variant(_) => $crate::events::written!($type $(, $written_type)?), )+
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                let written = match self {
                    $( Self::$variant(data) => $crate::events::write!(out, data $(, $written)?), )+
                };
                written.expect("an event is plain data, and memory takes it");
            }

            fn decode(
                event_type: &str,
                data: &[u8],
            ) -> Result<Self, eventsourcing::aggregate::DecodeError> {
                match event_type {
                    $( $type => return $crate::events::read(event_type, data).map(Self::$variant), )+
                    _ => {}
                }
                $( $( $crate::events::upcast!(event_type, data, Self::$variant, $data; $($old_type as $old),+); )? )+
                Err(eventsourcing::aggregate::DecodeError::unknown(event_type, Self::READ))
            }
        }

        #[cfg(test)]
        impl $name {
            /// Each type that is read with its JSON Schema, for the files under `schemas/`.
            pub(crate) fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(
                    ($type, schemars::schema_for!($data)),
                    $( $( ($old_type, schemars::schema_for!($old)), )+ )?
                )+]
            }
        }
    };
}

/// The type that is written: the newest one, or the one named behind it.
macro_rules! written {
    ($type:literal) => {
        $type
    };
    ($type:literal, $written_type:literal) => {
        $written_type
    };
}

/// Writes the data as it is, or in the form named behind it.
macro_rules! write {
    ($out:ident, $data:ident) => {
        serde_json::to_writer($out, $data)
    };
    ($out:ident, $data:ident, $written:ty) => {
        serde_json::to_writer($out, &<$written>::from($data.clone()))
    };
}

/// Returns the event if its type is one of the older ones: read in its form, and made the next one until it is of the
/// present.
macro_rules! upcast {
    ($asked:ident, $stored:ident, $variant:path, $data:ty;) => {};
    (
        $asked:ident, $stored:ident, $variant:path, $data:ty;
        $type:literal as $old:ty $(, $later_type:literal as $later:ty)*
    ) => {
        if $asked == $type {
            return $crate::events::read::<$old>($asked, $stored)
                .map(|old| $variant($crate::events::chain!(old => $($later,)* $data,)));
        }
        $crate::events::upcast!($asked, $stored, $variant, $data; $($later_type as $later),*);
    };
}

/// One step after the other, each by `From`.
macro_rules! chain {
    ($value:expr =>) => {
        $value
    };
    ($value:expr => $next:ty, $($later:ty,)*) => {
        $crate::events::chain!(<$next>::from($value) => $($later,)*)
    };
}

pub(crate) use {chain, events, upcast, write, written};

/// The data of one type.
pub(crate) fn read<T: DeserializeOwned>(event_type: &str, data: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(data).map_err(|source| DecodeError::Malformed {
        event_type: event_type.to_owned(),
        source,
    })
}
