//! Lengths of time and sizes, written with their unit so that nobody has to guess it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text was not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a length of time.
    #[error("`{0}` is not a length of time; write a whole number with ms, s, m, h or d, such as \"30s\"")]
    Span(String),
    /// Not a size.
    #[error("`{0}` is not a size; write a whole number with B, KiB, MiB, GiB or TiB, such as \"64 MiB\"")]
    Size(String),
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A length of time such as `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Milliseconds in each unit, longest first.
    const UNITS: &'static [(&'static str, u64)] =
        &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    /// This many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let parsed = split(text).and_then(|(number, unit)| {
            let (_, millis) = Self::UNITS.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*millis)
        });
        parsed
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| QuantityError::Span(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = Self::UNITS.iter().find(|(_, unit)| millis != 0 && millis.is_multiple_of(*unit));
        let (name, unit) = whole.copied().unwrap_or(("ms", 1));
        write!(f, "{}{name}", millis / unit)
    }
}

/// A number of bytes such as `64 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    const UNITS: &'static [(&'static str, u64)] =
        &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

    /// This many times 1,024 bytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// This many times 1,048,576 bytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// As a count for memory on this machine.
    #[must_use]
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let parsed = split(text).and_then(|(number, unit)| {
            let (_, bytes) = Self::UNITS.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*bytes)
        });
        parsed.map(Self).ok_or_else(|| QuantityError::Size(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Self::UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = whole.copied().unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

macro_rules! as_text {
    ($name:ident, $expecting:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

as_text!(Span, "a length of time in quotes, such as \"30s\"");
as_text!(Size, "a size in quotes, such as \"64 MiB\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_back_as_written() {
        for text in ["250ms", "30s", "10m", "36h", "35d", "0ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["0 B", "100 B", "64 KiB", "10 MiB", "3 GiB", "2 TiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("64KiB".parse::<Size>().unwrap(), Size::kib(64));
    }

    #[test]
    fn a_quantity_without_a_known_unit_is_refused_with_an_example() {
        for text in ["", "30", "s", "30 seconds", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text.parse::<Span>().unwrap_err().to_string().contains("such as \"30s\""), "{text}");
        }
        for text in ["", "64", "64 MB", "64 mib", "18446744073709551615 TiB"] {
            assert!(text.parse::<Size>().unwrap_err().to_string().contains("such as \"64 MiB\""), "{text}");
        }
    }
}
