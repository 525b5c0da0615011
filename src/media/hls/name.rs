//! The names of what a playlist points to.

use std::fmt;

/// A file below the playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// The init segment in force from this media sequence number on.
    Init(u64),
    /// A segment by its media sequence number.
    Segment(u64),
    /// A part: its segment's media sequence number and its place in it.
    Part(u64, u64),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(number) => write!(f, "init-{number}.mp4"),
            Self::Segment(number) => write!(f, "segment-{number}.m4s"),
            Self::Part(number, part) => write!(f, "part-{number}-{part}.m4s"),
        }
    }
}

impl Name {
    /// Reads a name; nothing for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            // One way to write a number, so that every file has one name.
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            if plain { text.parse().ok() } else { None }
        };
        if let Some(init) = text.strip_prefix("init-") {
            return Some(Self::Init(number(init.strip_suffix(".mp4")?)?));
        }
        let text = text.strip_suffix(".m4s")?;
        if let Some(segment) = text.strip_prefix("segment-") {
            return Some(Self::Segment(number(segment)?));
        }
        let (segment, part) = text.strip_prefix("part-")?.split_once('-')?;
        Some(Self::Part(number(segment)?, number(part)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(a in any::<u64>(), b in any::<u64>()) {
            for name in [Name::Init(a), Name::Segment(a), Name::Part(a, b)] {
                prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
            }
        }

        #[test]
        fn what_is_read_is_written_the_same_way(text in "(init|segment|part)[-0-9.m4sp]{0,12}|.{0,20}") {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
