//! How much of the room's log is kept, as people write it.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Unit};

/// A time like 30d or 12h, or `never`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    if text == "never" {
        return Ok(Duration::MAX);
    }
    let wrong = || "a time is like 30d, 12h or 2 weeks, or never".to_owned();
    let span = text.parse::<Span>().map_err(|_| wrong())?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|age| !age.is_zero()).ok_or_else(wrong)
}

/// A number of bytes, like 256M or 1G.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is like 64M, 256M or 1G".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].trim_end_matches("iB") {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(wrong()),
    };
    let number = digits.parse::<u64>().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_like_people_write_them() {
        assert_eq!(age("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(age("2 weeks"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(age("never"), Ok(Duration::MAX));
        assert_eq!((size("256M"), size("1GiB"), size("7")), (Ok(1 << 28), Ok(1 << 30), Ok(7)));
        for bad in ["", "7", "-1d", "0s", "1 month"] {
            assert!(age(bad).is_err(), "{bad}");
        }
        for bad in ["", "M", "0", "-1", "1.5G", "1Q", "99999999T", "1MM"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
